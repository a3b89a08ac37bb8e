"""The thirteen rules, word for word as the reference says them, and as slow as that is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from itertools import pairwise

from simulation.history.history import History
from tests.simulation.second_judge.reading import Offer, Reading, Span, Work, common, uncovered, union

SECOND = 1_000_000
UNDERWAY = SECOND
"""What is younger need not have reached anybody yet."""

Rule = Callable[[Reading], Iterator[str]]


def second_judge(history: History) -> dict[str, set[str]]:
    """Return, for each invariant that is violated, the events (or consumers, or keys) that it is violated for."""
    told = Reading(history)
    found = {name: set(rule(told)) for name, rule in RULES.items()}
    return {name: broken for name, broken in found.items() if broken}


# -- what several rules ask


def owner(told: Reading, work: Work) -> Work:
    """The handling that began the cascade: go up as long as it was released by the same consumer's earlier one."""
    while work.via == "released" and (leader := told.leaders[work.event]):
        earlier = [w for w in told.works_of(leader) if w.start < work.start and w.consumer == work.consumer]
        if not earlier:
            break
        work = earlier[-1]
    return work


def span_of(told: Reading, work: Work) -> Span:
    return work.at, told.end_at if work.end is None else work.end_at


def found_work(told: Reading, consumer: str) -> list[Span]:
    """When a consumer was handling what it had found, and not what was delivered to it."""
    mine = [w for w in told.works if w.consumer == consumer and owner(told, w).via != "delivered"]
    return union([span_of(told, w) for w in mine])


def list_of(told: Reading, consumer: str, before: int) -> list[Span]:
    """When a consumer was handling what its sweep had found that was in hand at an index."""
    swept = [e.at for i, e in told.of("swept") if e.consumer == consumer and i < before]
    since = swept[-1] if swept else 0
    return [(max(a, since), b) for a, b in found_work(told, consumer) if b > since]


def nobody_free(told: Reading) -> list[Span]:
    lanes = [[*told.down(c), *told.silences(c), *found_work(told, c)] for c in told.consumers]
    return common(lanes) if lanes else []


def lists_in_hand(told: Reading, due_at: int, before: int) -> list[Span]:
    lists = [list_of(told, consumer, before) for consumer in told.consumers]
    return [span for spans in lists if spans and spans[0][0] >= due_at for span in spans]


def takeovers(told: Reading, begin_at: int, stop_at: int) -> int:
    since = begin_at - told.terms.lease
    gone = [e for _, e in told.of("crashed", "stopped") if e.consumer and since <= e.at <= stop_at]
    silent = {s for c in told.consumers for s in told.lapses(c, since, stop_at) if s[0] >= since}
    return (len(gone) + len(silent)) * (told.terms.lease + told.terms.sweep_interval)


def served_below(told: Reading, leader: str, before: int) -> list[Work]:
    """The handlings of all that a leader released, and that what was released released in turn, before an index."""
    found: list[Work] = []
    seen, below = {leader}, told.followers(leader)
    while below:
        event = below.pop()
        works = told.works_of(event)
        if event not in seen and works and works[0].start < before:
            seen.add(event)
            found += works
            below += told.followers(event)
    return found


def holds_up(told: Reading, work: Work) -> list[Span]:
    """When a handling holds up those behind it: while its holder shows signs of life, and for one lease of silence."""
    begin, end = span_of(told, work)
    silent = [(max(a, begin), min(b, end)) for a, b in told.silences(work.consumer) if a < end and b > begin]
    spans, left, at = [], told.terms.lease, begin
    for a, b in silent:
        spans += [(at, a), (a, a + min(left, b - a))]
        left -= min(left, b - a)
        at = b
    return [*spans, (at, end)]


def retries(told: Reading, works: list[Work], begin_at: int, stop_at: int) -> int:
    firsts: dict[str, int] = {}
    for work in works:
        if work.end is not None and work.outcome == "failed":
            firsts.setdefault(work.event, work.end_at)
    failing = [at for at in firsts.values() if begin_at <= at <= stop_at]
    return len(failing) * told.terms.max_attempts * (told.terms.retry_delay + told.terms.sweep_interval)


def acknowledged_after(told: Reading, event: str, consumer: str, index: int) -> list[int]:
    mine = [o for o in told.offers_of(event) if o.consumer == consumer and o.how == "acknowledged"]
    return [o.closed for o in mine if o.closed is not None and o.closed > index]


def in_batch(told: Reading, effect: Work, work: Work) -> bool:
    """Say whether a follower was unanswered with the holder since before its leader's effect: they are one batch."""
    return any(
        o.consumer == effect.consumer
        and o.index < (effect.end or 0)
        and not o.parked
        and (o.closed is None or o.closed > work.start)
        for o in told.offers_of(work.event)
    )


def recorded_at(told: Reading, effect: Work) -> int:
    """The index of the first sign that an effect was recorded; that of the end if there is none."""
    end, first = effect.end or 0, owner(told, effect)
    signs = acknowledged_after(told, effect.event, effect.consumer, end)
    if first.via == "rescued":
        signs += [i for i, e in told.of("swept") if e.consumer == effect.consumer and i > end][:1]
    elif first is not effect:
        signs += acknowledged_after(told, first.event, effect.consumer, end)
    for follower in told.followers(effect.event):
        for work in told.works_of(follower):
            released = work.via == "released" and work.consumer == effect.consumer and work.start > end
            if released and not in_batch(told, effect, work):
                signs.append(work.start)
    return min(signs, default=told.last)


def unrecorded(told: Reading, effect: Work, before: int) -> bool:
    """Say whether the holder died or was cut off between an effect and its recording."""
    end = effect.end or 0
    refusals = [i for i, e in told.of("refused") if e.event == effect.event and e.details.get("because") == "seen"]
    if any(end < i < before for i in refusals):
        return False
    if effect.outcome == "unknown":
        return True
    if effect.consumer not in told.consumers:
        return False
    until = min(before, recorded_at(told, effect))
    until_at = min(effect.end_at + told.terms.lease, told.at(until))
    crashes = [i for i, e in told.of("crashed") if e.consumer == effect.consumer]
    if any(end < i < until and told.at(i) <= until_at for i in crashes):
        return True
    cuts = [*told.cut_off(effect.consumer), *told.cut_off("")]
    if any(a < until_at + 1 and b > effect.end_at for a, b in cuts):
        return True
    lapses = told.lapses(effect.consumer, effect.end_at, until_at + 1)
    return any(2 * (min(b, told.at(before)) - a) >= told.terms.lease or b == told.end_at for a, b in lapses)


def completion(told: Reading, event: str) -> Work | None:
    """The effect that completed an event: the first that can have been recorded, else the last."""
    effects = told.effects_of(event)
    for i, effect in enumerate(effects[:-1]):
        if not unrecorded(told, effect, effects[i + 1].start):
            return effect
    return effects[-1] if effects else None


def stop_of(told: Reading, event: str) -> int:
    """The index at which an event was handled first or given up; that of the end if it still waits."""
    stops = [w.start for w in told.works_of(event)[:1]]
    dead = told.dead(event)
    return min([*stops, *([dead[0]] if dead else []), told.last])


def finder(told: Reading, event: str, stop: int) -> str:
    works = told.works_of(event)
    found = works and works[0].start == stop and owner(told, works[0]).via != "delivered"
    return works[0].consumer if found else ""


# -- the rules


def causal_order(told: Reading) -> Iterator[str]:
    for event in told.events:
        leader = told.leaders[event]
        if not leader or leader in told.untold or (told.window and told.unheard(leader)):
            continue
        ends = [w.end for w in told.effects_of(leader) if w.end is not None]
        for effect in told.effects_of(event):
            if effect.start < min(ends, default=told.last) and not lost(told, event, leader, effect):
                yield event


def lost(told: Reading, event: str, leader: str, effect: Work) -> bool:
    dead = told.dead(leader)
    if dead and dead[0] < effect.start:
        return True
    offers = told.offers_of(event)
    published = told.publication(event)
    earliest = offers[0].at if offers else published[1].at if published else 0
    until_at = earliest + told.terms.lookback - told.jumped
    if effect.at < until_at:
        return False
    others = [one for one in told.circle(event) if one != event]
    if others and all(effect.start < w.start for one in others for w in told.effects_of(one)):
        return True
    return not came(told, event, leader, effect, until_at)


def came(told: Reading, event: str, leader: str, effect: Work, until_at: int) -> bool:
    offers = told.offers_of(event)
    known = told.first_known(event)
    first = offers[0].index if offers else -1 if known is None else known
    handed = [o for o in told.offers_of(leader) if heard_at(told, o) < until_at and o.index < effect.start]
    for offer in handed:
        unanswered = offer.closed is None or offer.closed > effect.start
        away = offer.closed is not None and any(
            a <= offer.at and told.at(offer.closed) <= b for a, b in told.silences(offer.consumer)
        )
        again = offer is handed[-1] and offer.how == "rejected" and not away
        forgotten = told.store_lost(leader, offer.index, effect.start)
        if offer.how == "rejected" and trimmed(told, leader, offer, effect):
            continue
        if offer.index < first and not unanswered and not again:
            continue
        if offer.index > first and not known_to_anybody(told, leader, offer, effect):
            continue
        if unanswered or not forgotten:
            return True
    for work in told.works_of(leader):
        if work.open_at(effect.start) and (work.at < until_at or effect.at - work.at > UNDERWAY):
            return True
    kept = [o for o in told.offers_of(leader) if o.parked and o.closed is not None and o.closed < effect.start]
    since = [(o.index, heard_at(told, o)) for o in kept]
    parked = told.parked(leader)
    if not since and parked is not None and parked < effect.start:
        since = [(parked, told.at(parked))]
    return any(at < until_at and not told.store_lost(leader, i, effect.start) for i, at in since)


def trimmed(told: Reading, leader: str, offer: Offer, effect: Work) -> bool:
    forgotten = [i for i, e in told.of("dropped", "fault") if e.event == leader and e.details.get("fault") == "trim"]
    return "trim" in told.header.allowed_loss and any(offer.index < i < effect.start for i in forgotten)


def heard_at(told: Reading, offer: Offer) -> int:
    return max([offer.at, *(b for a, b in told.silences(offer.consumer) if a <= offer.at < b)])


def known_to_anybody(told: Reading, leader: str, offer: Offer, effect: Work) -> bool:
    if effect.at - heard_at(told, offer) > UNDERWAY:
        return True
    signs = [offer.closed, told.parked(leader), *(w.start for w in told.works_of(leader))]
    return any(offer.index < sign < effect.start for sign in signs if sign is not None)


def mutual_exclusion(told: Reading) -> Iterator[str]:
    for event in told.events:
        works = told.works_of(event)
        for later in works:
            for earlier in works:
                overlap = earlier.start < later.start and earlier.open_at(later.start)
                if overlap and not fenced_off(told, event, earlier, later):
                    yield event


def fence(work: Work) -> float:
    token = work.fence
    if isinstance(token, str) and token.isdecimal():
        return int(token)
    return token if isinstance(token, (int, float)) else 0


def fenced_off(told: Reading, event: str, earlier: Work, later: Work) -> bool:
    first, second = (later, earlier) if fence(later) < fence(earlier) else (earlier, later)
    offers = told.offers_of(event)
    held = first.offer.index if first.offer else offers[0].index if offers else first.start
    for i, about in told.losses(allowed=True):
        if held < i < later.start and (about is None or event in about):
            return True
    since = told.at(held)
    for a, b in told.lapses(first.consumer, since, second.at + 1):
        if 2 * (min(b, second.at) - max(a, since)) >= told.terms.lease and not first.effect:
            return True
    return False


def handled_once(told: Reading) -> Iterator[str]:
    for event in told.events:
        effects = told.effects_of(event)
        for i, first in enumerate(effects[:-1]):
            if not may_repeat(told, event, first, effects[i + 1]):
                yield event
        dead = told.dead(event)
        if dead and any(not may_be_both(told, event, effect, *dead) for effect in effects):
            yield event


def lease_since(told: Reading, event: str, work: Work) -> int:
    mine = [o.index for o in told.offers_of(event) if o.consumer == work.consumer and o.index < work.start]
    return max(mine, default=work.start)


def may_repeat(told: Reading, event: str, first: Work, second: Work) -> bool:
    if second.at >= first.end_at + told.terms.retention - told.jumped:
        return True
    if told.store_lost(event, lease_since(told, event, first), second.start):
        return True
    if second.start < (first.end or 0):
        return False
    if unrecorded(told, first, second.start):
        return True
    lapsed = told.lapses(first.consumer, first.at, first.end_at)
    return first.consumer != second.consumer and second.at - first.end_at <= UNDERWAY and bool(lapsed)


def may_be_both(told: Reading, event: str, effect: Work, dead: int, letter: object) -> bool:
    by = str(letter.details.get("by") or "engine")  # type: ignore[attr-defined]
    known = next((i for i in range(told.last) if event in told.events_before(i + 1)), told.last)
    copies = any(e.event == event and i > known for i, e in told.of("duplicated"))
    if by == "broker" and (copies or any(w.open_at(dead) for w in told.works_of(event))):
        return True
    if by == "broker" and any(taken_unheard(told, o) for o in told.offers_of(event) if o.closed and o.closed < dead):
        return True
    end = effect.end or 0
    since, until = min(end, dead), max(end, dead)
    if told.at(until) - told.at(since) >= told.terms.retention - told.jumped:
        return True
    if told.store_lost(event, min(lease_since(told, event, effect), dead), until):
        return True
    return end < dead and unrecorded(told, effect, dead)


def taken_unheard(told: Reading, offer: Offer) -> bool:
    assert offer.closed is not None
    return any(a <= told.at(offer.closed) and offer.at <= b for a, b in told.silences(offer.consumer))


def nothing_lost(told: Reading) -> Iterator[str]:
    if not told.complete:
        return
    for event in told.events:
        settled = told.first_known(event) is None or told.effects_of(event) or told.dead(event)
        if settled or event in told.untold or told.loss_allowed(event, told.last):
            continue
        if told.phases or let_go(told, event):
            yield event


def let_go(told: Reading, event: str) -> bool:
    offers, works = told.offers_of(event), told.works_of(event)
    seen = any(e.event == event and e.details.get("because") == "seen" for _, e in told.of("refused"))
    acknowledged = bool(offers) and offers[-1].how == "acknowledged"
    kept = told.parked(event) is not None or any(w.via != "delivered" or w.end is None for w in works)
    return acknowledged and not kept and not seen


def given_up(told: Reading) -> Iterator[str]:
    for event in told.events:
        dead = told.dead(event)
        if not dead or event in told.untold or dead[1].details.get("because") in ("unreadable", "unknown-schema"):
            continue
        tries = [w for w in told.works_of(event) if w.start < dead[0] and not w.effect]
        needed = told.terms.max_attempts
        if (dead[1].details.get("by") or "engine") == "broker":
            rejected = any(o.how == "rejected" and not unreadable(told, o) for o in told.offers_of(event))
            blameless = any(True for _ in told.of("fault")) or told.window
            needed = 1 if rejected and not blameless else 0
        else:  # whoever died may have been granted the event, and had not begun with it
            known = told.first_known(event)
            deaths = [i for i, _ in told.of("crashed") if known is not None and known < i < dead[0]]
            spans = [(w.start, told.last if w.end is None else w.end) for w in told.works_of(event)]
            needed -= sum(not any(start < i <= end for start, end in spans) for i in deaths)
        if len(tries) < needed and not told.store_lost(event, -1, dead[0]):
            yield event


def unreadable(told: Reading, offer: Offer) -> bool:
    why = "" if offer.closed is None else str(told.entries[offer.closed].details.get("because", ""))
    return why.lower() in ("unreadable", "unknown-schema")


def prompt_release(told: Reading) -> Iterator[str]:
    for event in told.events:
        leader = told.leaders[event]
        known = told.first_known(event)
        if not leader or known is None or {event, leader} & told.untold:
            continue
        done = completion(told, leader)
        if done is None or done.end is None:
            continue
        dead = told.dead(leader)
        if dead and done.end < dead[0] and unrecorded(told, done, dead[0]):
            continue
        last = max((o.index for o in told.offers_of(event) if o.index < stop_of(told, event)), default=known)
        if told.store_lost(leader, done.end, last):
            continue
        if waited_too_long(told, event, leader, max(done.end, known), []):
            yield event


def waited_too_long(told: Reading, event: str, leader: str, begin: int, busy: list[Span], stop: int = -1) -> bool:
    """Say whether an event idled for longer than the release bound, and what others can have cost."""
    stop = stop_of(told, event) if stop < 0 else stop
    if stop <= begin:
        return False
    begin_at, stop_at = told.at(begin), told.at(stop)
    # What was being handled when the last follower of this leader stopped to wait held up this one, too.
    works = served_below(told, leader, stop) if leader else []
    still = [*told.helpless, *busy, *(span for work in works for span in holds_up(told, work))]
    if who := finder(told, event, stop):
        still += list_of(told, who, stop)
    spared = takeovers(told, begin_at, stop_at) + retries(told, works, begin_at, stop_at)
    too_long = uncovered(begin_at, stop_at, still) > told.terms.release_bound + spared
    return too_long and not told.loss_allowed(event, stop)


def prompt_start(told: Reading) -> Iterator[str]:
    for event in told.events:
        if event in told.untold:
            continue
        for offer in told.offers_of(event):
            if not waits_for_nobody(told, event, offer.index):
                continue
            stop = stop_of(told, event)
            if not offer.parked and offer.closed is not None:
                stop = min(stop, offer.closed)
            busy = [span_of(told, w) for w in told.works if w.consumer == offer.consumer]
            if waited_too_long(told, event, told.leaders[event], offer.index, busy, stop):
                yield event


def waits_for_nobody(told: Reading, event: str, since: int) -> bool:
    leader, known = told.leaders[event], told.first_known(event)
    if not leader:
        return True
    done = None if leader in told.untold else completion(told, leader)
    if done is None or done.end is None or known is None or told.dead(leader):
        return False
    return done.end < known and not told.store_lost(leader, done.end, since)


def recovery(told: Reading) -> Iterator[str]:
    for event in told.events:
        for work in told.works_of(event):
            lost_at = when_lost(told, work)
            if lost_at is None or event in told.untold:
                continue
            if refused_for_ever(told, work, lost_at) if work.via == "delivered" else left_behind(told, work, lost_at):
                yield event


def when_lost(told: Reading, work: Work) -> int | None:
    if work.cut:
        return work.end_at
    lapses = told.lapses(work.consumer, *span_of(told, work))
    return max(work.at, lapses[0][0]) if lapses else None


def begun_again(told: Reading, work: Work) -> int:
    """The index at which an event was begun again, ended after all, or was given up; else that of the end."""
    dead = told.dead(work.event)
    stops = [w.start for w in told.works_of(work.event) if w.start > work.start]
    stops += [dead[0]] if dead and dead[0] > work.start else []
    stops += [work.end] if work.end is not None and not work.cut else []
    stops += [w.end for w in told.effects_of(work.event) if w is not work and (w.end or 0) > work.start and w.end]
    return min([*stops, told.last])


def left_behind(told: Reading, work: Work, lost_at: int) -> bool:
    terms, stop = told.terms, begun_again(told, work)
    stop_at = told.at(stop)
    if stop_at <= lost_at:
        return False
    if not work.cut:
        stop_at = min(stop_at, told.lapses(work.consumer, work.at, stop_at + 1)[0][1])
    bound = terms.lease + terms.sweep_interval + terms.release_bound
    taker = next((w.consumer for w in told.works_of(work.event) if w.start == stop), "")
    line = list_of(told, taker, stop) if taker else nobody_free(told)
    leader = told.leaders[work.event]
    below = served_below(told, leader, stop) if leader else []
    turns = union([span for w in below for span in holds_up(told, w)])
    spared = takeovers(told, lost_at + terms.lease + 1, stop_at) + retries(told, below, lost_at, stop_at)
    still = [*told.helpless, *line, *(span for span in turns if span[0] > lost_at)]
    return uncovered(lost_at, stop_at, still) > bound + spared and not told.loss_allowed(work.event, stop)


def refused_for_ever(told: Reading, work: Work, lost_at: int) -> bool:
    terms, stop = told.terms, begun_again(told, work)
    for offer in told.offers_of(work.event):
        closed = offer.closed
        if closed is None or not work.start < offer.index < stop or closed > stop:
            continue
        answer = told.entries[closed]
        if answer.kind != "refused" or answer.details.get("because") != "held":
            continue
        at = told.at(closed)
        bound = terms.lease + terms.sweep_interval + terms.release_bound
        spared = takeovers(told, lost_at + terms.lease + 1, at)
        if uncovered(lost_at, at, told.helpless) > bound + spared and not somebody_has(told, work, closed):
            return True
    return False


def somebody_has(told: Reading, lost_work: Work, index: int) -> bool:
    at = told.at(index)
    silent = any(a <= at < b or at == b == told.end_at for a, b in told.silences(lost_work.consumer))
    if not lost_work.cut and not silent:
        return True
    others = [w for w in told.works_of(lost_work.event) if w is not lost_work]
    offers = [o for o in told.offers_of(lost_work.event) if o is not lost_work.offer]
    return any(w.open_at(index) for w in others) or any(
        o.index < index and (o.closed is None or o.closed > index) for o in offers
    )


def lost_followers(told: Reading) -> Iterator[str]:
    if not any(True for _ in told.of("delivered")):
        return
    terms = told.terms
    for event, begin, stop in lost_waits(told):
        held_back = 0 if dead_and_told(told, told.leaders[event], told.at(begin)) else terms.lookback
        due_at, stop_at = told.at(begin) + held_back, told.at(stop)
        still = [*told.helpless, *nobody_free(told), *lists_in_hand(told, due_at, stop)]
        bound = terms.sweep_interval + terms.release_bound
        if stop_at - told.at(begin) <= held_back + bound:
            continue
        too_long = uncovered(due_at, stop_at, still) > bound + takeovers(told, due_at, stop_at)
        if too_long and not told.loss_allowed(event, stop):
            yield event


def dead_and_told(told: Reading, leader: str, at: int) -> bool:
    dead = told.dead(leader)
    said = dead and dead[1].details.get("told") is True
    return bool(dead and said and at - told.at(dead[0]) < told.terms.retention)


def kept_since(told: Reading, event: str) -> int:
    parked, known = told.parked(event), told.first_known(event)
    return parked if parked is not None else known if known is not None else told.last


def lost_waits(told: Reading) -> Iterator[tuple[str, int, int]]:
    """Each event that waits for a missing leader: since when, and until when it waited, or until its leader came."""
    for event in told.events:
        leader = told.leaders[event]
        circle = told.circle(event)
        all_came = bool(circle) and all(told.offers_of(one) for one in circle)
        if not leader or told.first_known(event) is None or {event, leader} & told.untold:
            continue
        if all_came and set(circle) & told.untold:
            continue
        if all_came:
            last = max(circle, key=lambda one: kept_since(told, one))
            begin = kept_since(told, last)
            if event == last and all(stop_of(told, one) > begin for one in circle):
                yield last, begin, min(stop_of(told, one) for one in circle)
            continue
        begin = kept_since(told, event)
        known, dead = told.first_known(leader), told.dead(leader)
        comes = told.last if known is None else known
        if dead and not told.effects_of(leader) and comes < told.last:
            begin = max(begin, dead[0])
            comes = min((o.index for o in told.offers_of(leader) if o.index > dead[0]), default=told.last)
        stop = stop_of(told, event)
        if comes >= begin and stop > begin:
            yield event, begin, min(stop, comes)


def sibling_order(told: Reading) -> Iterator[str]:
    for leader in told.events:
        done = None if leader in told.untold else completion(told, leader)
        if done is None or done.end is None:
            continue
        brood = told.followers(leader)
        for one in brood:
            if not waited(told, one, done.end):
                continue
            works, dead = told.works_of(one), told.dead(one)
            for other in brood:
                firsts = told.works_of(other)[:1]
                later = order(told, other) > order(told, one) and firsts and firsts[0].start > done.end
                if not later or (works and works[0].start < firsts[0].start):
                    continue
                if not (dead and not works) and not told.loss_allowed(one, firsts[0].start):
                    yield one


def waited(told: Reading, event: str, done: int) -> bool:
    parked, works, dead = told.parked(event), told.works_of(event), told.dead(event)
    return (
        event not in told.untold
        and parked is not None
        and parked < done
        and not (works and works[0].start < done)
        and not (dead and dead[0] < done)
    )


def order(told: Reading, event: str) -> tuple[int, str]:
    published = told.publication(event)
    if published is None:
        return -1, told.identity(event)
    occurred = published[1].details.get("occurred")
    return occurred if isinstance(occurred, int) else published[1].at, told.identity(event)


def clean_store(told: Reading) -> Iterator[str]:
    if told.phases and not told.quiet:
        return
    for _, census in told.of("census"):
        keys = census.details.get("keys") or {}
        for name, said in keys.items() if isinstance(keys, dict) else ():
            key = said if isinstance(said, dict) else {}
            ttl = key.get("ttl")
            longest = max(told.terms.longest_ttl, told.terms.lookback, told.terms.retention) * 11 // 10 // SECOND
            flawed = ttl in (None, -1) or key.get("role") in ("lock", "claim")
            flawed = flawed or (isinstance(ttl, (int, float)) and ttl > longest)
            if flawed and not any(fnmatchcase(name, pattern) for pattern in told.header.documented_keys):
                yield name


def no_stuck_worker(told: Reading) -> Iterator[str]:
    acknowledges = any(True for _ in told.of("acknowledged"))
    for event in told.events:
        jobs = [(w.consumer, w.start, w.end) for w in told.works_of(event)]
        known = acknowledges or not (told.works_of(event) or told.parked(event) is not None)
        jobs += [(o.consumer, o.index, o.closed) for o in told.offers_of(event) if known or o.closed is not None]
        if any(consumer and stood_still(told, event, *rest, consumer) for consumer, *rest in jobs):
            yield event
        if poison(told, event) or deadly(told, event):
            yield event
    for consumer in told.consumers:
        if swept_too_late(told, consumer):
            yield consumer


def stood_still(told: Reading, event: str, begin: int, end: int | None, consumer: str) -> bool:
    stop = told.last - 1 if end is None else end
    family = told.family(event)
    signs = [i for i, e in enumerate(told.entries) if e.consumer == consumer and e.event in family]
    steps = [begin, *(i for i in signs if begin < i <= stop), stop]
    silent = told.silences(consumer)
    return any(uncovered(told.at(a), told.at(b), silent) > told.terms.stuck_bound for a, b in pairwise(steps))


def poison(told: Reading, event: str) -> bool:
    rejections = [o.closed for o in told.offers_of(event) if o.how == "rejected" and o.closed is not None]
    over = told.effects_of(event) or told.dead(event) or event in told.untold
    if not rejections or over or told.loss_allowed(event, told.last):
        return False
    lasted = uncovered(told.at(rejections[0]), told.at(rejections[-1]), told.helpless)
    return lasted > told.terms.stuck_bound or told.quiet


def deadly(told: Reading, event: str) -> bool:
    kinds = {str(e.details.get("fault", "")) for _, e in told.of("fault")}
    if event in told.untold or kinds - {"handler-kills-process"}:
        return False
    row: list[Work] = []
    for death in told.works_of(event):
        if not death.cut or death.effect or death.end is None or told.entries[death.end].kind != "crashed":
            continue
        if row and death.at - row[-1].end_at > 2 * told.terms.lease:
            row = []
        if row and told.store_lost(event, row[0].start, death.start):
            row = []
        row.append(death)
        if len(row) > told.terms.max_attempts + 1:
            return True
    return False


def swept_too_late(told: Reading, consumer: str) -> bool:
    sweeps = [(e.at, e.details.get("found")) for _, e in told.of("swept") if e.consumer == consumer]
    if not any(found in (0, [], ()) for _, found in sweeps):
        return False
    still = [*told.silences(consumer), *told.down(consumer), *found_work(told, consumer)]
    times = [*(at for at, _ in sweeps), told.end_at]
    bound = told.terms.sweep_interval + told.terms.stuck_bound
    return any(uncovered(a, b, still) > bound for a, b in pairwise(times))


def payload_intact(told: Reading) -> Iterator[str]:
    for event in told.events:
        said = [e.details.get("fingerprint") for _, e in told.of("published") if e.event == event]
        prints = [str(one) for one in said if one]
        for work in told.works_of(event):
            if prints and work.fingerprint and work.fingerprint not in prints:
                yield event


RULES: dict[str, Rule] = {
    "causal-order": causal_order,
    "mutual-exclusion": mutual_exclusion,
    "handled-once": handled_once,
    "nothing-lost": nothing_lost,
    "given-up-with-reason": given_up,
    "prompt-release": prompt_release,
    "prompt-start": prompt_start,
    "recovery": recovery,
    "lost-followers-surface": lost_followers,
    "sibling-order": sibling_order,
    "clean-store": clean_store,
    "no-stuck-worker": no_stuck_worker,
    "payload-intact": payload_intact,
}
