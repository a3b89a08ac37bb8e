"""The thirteen rules, word for word as the reference says them, and as slow as that is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Any

from simulation.history.history import History
from tests.simulation.second_judge.reading import Offer, Reading, Span, Work, common, uncovered, union

SECOND = 1_000_000
UNDERWAY = SECOND
"""What is younger need not have reached a consumer yet."""

Rule = Callable[[Reading], Iterator[str]]


def second_judge(history: History) -> dict[str, set[str]]:
    """Return, for each invariant that is violated, the events (or consumers, or keys) that it is violated for."""
    reading = Reading(history)
    found = {name: set(rule(reading)) for name, rule in RULES.items()}
    return {name: broken for name, broken in found.items() if broken}


# -- what several rules ask


def owner(reading: Reading, work: Work) -> Work:
    """The handling that began the cascade: go up as long as it was released by the same consumer's earlier one."""
    while work.via == "released" and (leader := reading.leaders[work.event]):
        earlier = [w for w in reading.works_of(leader) if w.start < work.start and w.consumer == work.consumer]
        if not earlier:
            break
        work = earlier[-1]
    return work


def span_of(reading: Reading, work: Work) -> Span:
    return work.at, reading.end_at if work.end is None else work.end_at


def found_work(reading: Reading, consumer: str) -> list[Span]:
    """When a consumer was handling what it had found, and not what was delivered to it."""
    mine = [w for w in reading.works if w.consumer == consumer and owner(reading, w).via != "delivered"]
    return union([span_of(reading, w) for w in mine])


def list_of(reading: Reading, consumer: str, before: int) -> list[Span]:
    """When a consumer was handling what its sweep had found that was in hand at an index."""
    swept = [e.at for i, e in reading.of("swept") if e.consumer == consumer and i < before]
    since = swept[-1] if swept else 0
    return [(max(a, since), b) for a, b in found_work(reading, consumer) if b > since]


def no_consumer_free(reading: Reading) -> list[Span]:
    lanes = [[*reading.down(c), *reading.silences(c), *found_work(reading, c)] for c in reading.consumers]
    return common(lanes) if lanes else []


def lists_in_hand(reading: Reading, due_at: int, before: int) -> list[Span]:
    lists = [list_of(reading, consumer, before) for consumer in reading.consumers]
    return [span for spans in lists if spans and spans[0][0] >= due_at for span in spans]


def takeovers(reading: Reading, begin_at: int, stop_at: int) -> int:
    since = begin_at - reading.terms.lease
    gone = [e for _, e in reading.of("crashed", "stopped") if e.consumer and since <= e.at < stop_at]
    silent = {s for c in reading.consumers for s in reading.lapses(c, since, stop_at) if s[0] >= since}
    lasts = reading.terms.lease + reading.terms.sweep_interval
    lost = union([(at, at + lasts) for at in [*(e.at for e in gone), *(a for a, _ in silent)]])
    return sum(b - a for a, b in lost)


def served_below(reading: Reading, leader: str, before: int) -> list[Work]:
    """The handlings of all that a leader released, and that what was released released in turn, before an index."""
    found: list[Work] = []
    seen, below = {leader}, reading.followers(leader)
    while below:
        event = below.pop()
        works = reading.works_of(event)
        if event not in seen and works and works[0].start < before:
            seen.add(event)
            found += works
            below += reading.followers(event)
    return found


def holds_up(reading: Reading, work: Work) -> list[Span]:
    """When a handling holds up those behind it: while its holder can keep its lease."""
    begin, end = span_of(reading, work)
    silent = union([(max(a, begin), min(b, end)) for a, b in reading.lapses(work.consumer, begin, end)])
    edges = [begin, *(edge for span in silent for edge in span), end]
    return [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if a < b]


def retries(reading: Reading, works: list[Work], begin_at: int, stop_at: int) -> int:
    firsts: dict[str, int] = {}
    for work in works:
        if work.end is not None and work.outcome == "failed":
            firsts.setdefault(work.event, work.end_at)
    failing = [at for at in firsts.values() if begin_at <= at <= stop_at]
    return len(failing) * reading.terms.max_attempts * (reading.terms.retry_delay + reading.terms.sweep_interval)


def acknowledged_after(reading: Reading, event: str, consumer: str, index: int) -> list[int]:
    mine = [o for o in reading.offers_of(event) if o.consumer == consumer and o.how == "acknowledged"]
    return [o.closed for o in mine if o.closed is not None and o.closed > index]


def in_batch(reading: Reading, effect: Work, work: Work) -> bool:
    """Say whether a follower was unanswered with the holder since before its leader's effect: they are one batch."""
    return any(
        o.consumer == effect.consumer
        and o.index < (effect.end or 0)
        and not o.parked
        and (o.closed is None or o.closed > work.start)
        for o in reading.offers_of(work.event)
    )


def recorded_at(reading: Reading, effect: Work) -> int:
    """The index of the first sign that an effect was recorded; that of the end if there is none."""
    end, first = effect.end or 0, owner(reading, effect)
    signs = acknowledged_after(reading, effect.event, effect.consumer, end)
    if first.via == "rescued":
        signs += [i for i, e in reading.of("swept") if e.consumer == effect.consumer and i > end][:1]
    elif first is not effect:
        signs += acknowledged_after(reading, first.event, effect.consumer, end)
    for follower in reading.followers(effect.event):
        for work in reading.works_of(follower):
            released = work.via == "released" and work.consumer == effect.consumer and work.start > end
            if released and not in_batch(reading, effect, work):
                signs.append(work.start)
    return min(signs, default=reading.last)


def may_lapse(reading: Reading, consumer: str, begin: int, end: int) -> bool:
    """Say whether a lease that its holder renewed in time can have ended between two times."""
    spans = [(max(begin, a), min(end, b)) for a, b in reading.silences(consumer) if b > begin and a <= end]
    return reading.leapt(begin, end) or any(reading.half_a_lease_passes(a, b) for a, b in spans)


def unrecorded(reading: Reading, effect: Work, before: int) -> bool:
    """Say whether the holder died or was cut off between an effect and its recording."""
    end = effect.end or 0
    refusals = [i for i, e in reading.of("refused") if e.event == effect.event and e.details.get("because") == "seen"]
    if any(end < i < before for i in refusals):
        return False
    if effect.outcome == "unknown":
        return True
    if effect.consumer not in reading.consumers:
        return False
    signed = recorded_at(reading, effect)
    until = min(before, signed)
    until_at = min(effect.end_at + reading.terms.lease, reading.at(until))
    crashes = [i for i, e in reading.of("crashed") if e.consumer == effect.consumer]
    if any(end < i < until and reading.at(i) <= until_at for i in crashes):
        return True
    cuts = [*reading.cut_off(effect.consumer), *reading.cut_off("")]
    last_at = until_at - (until == signed and signed < reading.last)  # the sign, and then silence, is recorded
    if any(a <= last_at and b > effect.end_at for a, b in cuts):
        return True
    if reading.leapt(effect.end_at, last_at):
        return True
    silences = [(a, b) for a, b in reading.silences(effect.consumer) if a <= last_at and b > effect.end_at]
    if reading.silent_at_end(effect.consumer) and any(b == reading.end_at for _, b in silences):
        return True
    return any(reading.half_a_lease_passes(a, min(b, reading.at(before))) for a, b in silences)


def completion(reading: Reading, event: str) -> Work | None:
    """The effect that completed an event: the first that can have been recorded, else the last."""
    effects = reading.effects_of(event)
    for i, effect in enumerate(effects[:-1]):
        if not unrecorded(reading, effect, effects[i + 1].start):
            return effect
    return effects[-1] if effects else None


def stop_of(reading: Reading, event: str) -> int:
    """The index at which an event was handled first or given up; that of the end if it still waits."""
    stops = [w.start for w in reading.works_of(event)[:1]]
    dead = reading.dead(event)
    return min([*stops, *([dead[0]] if dead else []), reading.last])


def finder(reading: Reading, event: str, stop: int) -> str:
    works = reading.works_of(event)
    found = works and works[0].start == stop and owner(reading, works[0]).via != "delivered"
    return works[0].consumer if found else ""


# -- the rules


def causal_order(reading: Reading) -> Iterator[str]:
    for event in reading.events:
        leader = reading.leaders[event]
        if not leader or leader in reading.incomplete or (reading.window and reading.unheard(leader)):
            continue
        ends = [w.end for w in reading.effects_of(leader) if w.end is not None]
        for effect in reading.effects_of(event):
            if effect.start < min(ends, default=reading.last) and not lost(reading, event, leader, effect):
                yield event


def lost(reading: Reading, event: str, leader: str, effect: Work) -> bool:
    dead = reading.dead(leader)
    if dead and (dead[0] < effect.start or reported_later(reading, leader, effect, *dead)):
        return True
    offers = reading.offers_of(event)
    published = reading.publication(event)
    earliest = offers[0].at if offers else published[1].at if published else 0
    until_at = over_at(reading, earliest, reading.terms.lookback)
    if effect.at < until_at:
        return False
    if any(
        does_not_hold(reading, event, one, effect, until_at) for one in copied_leaders(reading, event, effect.start)
    ):
        return True
    others = [one for one in reading.circle(event) if one != event]
    if others and all(effect.start < w.start for one in others for w in reading.effects_of(one)):
        return True
    return not came(reading, event, leader, effect, until_at)


def does_not_hold(reading: Reading, event: str, leader: str, effect: Work, until_at: int) -> bool:
    """Say whether a follower need not wait any more for the event that a copy of it follows."""
    dead = reading.dead(leader)
    done = any(w.end is not None and w.end <= effect.start for w in reading.effects_of(leader))
    return (
        leader in ("", event)
        or done
        or (dead is not None and dead[0] < effect.start)
        or not came(reading, event, leader, effect, until_at)
    )


def over_at(reading: Reading, begin: int, duration: int) -> int:
    """The first time at which a duration is over by the clock of Redis."""
    leaps = [at for at, _ in reading.jumps if at >= begin]
    between = [begin + duration - (reading.passed(begin, at) - (at - begin)) for at in leaps]
    times = [begin + duration, *leaps, *between]
    return min(at for at in times if at >= begin and reading.passed(begin, at) >= duration)


def reported_later(reading: Reading, leader: str, effect: Work, index: int, letter: Any) -> bool:
    late = reading.at(index) - effect.at > reading.terms.lease + reading.terms.sweep_interval
    if late or letter.details.get("by") == "broker":
        return False
    return all(w.start < effect.start and not w.open_at(effect.start) for w in reading.works_of(leader))


def came(reading: Reading, event: str, leader: str, effect: Work, until_at: int) -> bool:
    offers = reading.offers_of(event)
    known = reading.first_known(event)
    first = offers[0].index if offers else -1 if known is None else known
    handed = [o for o in reading.offers_of(leader) if noticed_at(reading, o) < until_at and o.index < effect.start]
    handed = [o for o in handed if not unknown_to_the_engine(reading, o, effect)]
    for offer in handed:
        unanswered = offer.closed is None or offer.closed > effect.start
        if unanswered and jumped_over(reading, event, offer.at, effect, until_at):
            continue
        again = offer is handed[-1] and offer.how == "rejected"
        forgotten = reading.store_lost(leader, offer.index, effect.start)
        if not unanswered and offer.how != "acknowledged" and trimmed(reading, leader, offer, effect):
            continue
        if not unanswered and offer.how != "acknowledged" and outdated(reading, event, offer, effect, until_at):
            continue
        if offer.index < first and not unanswered and not again:
            continue
        if offer.index > first and not known_to_any(reading, leader, offer, effect):
            continue
        if unanswered or not forgotten:
            return True
    for work in reading.works_of(leader):
        if jumped_over(reading, event, work.at, effect, until_at):
            continue
        if work.open_at(effect.start) and (work.at < until_at or effect.at - work.at > UNDERWAY):
            return True
    kept = [o for o in reading.offers_of(leader) if o.parked and o.closed is not None and o.closed < effect.start]
    since = [(o.index, noticed_at(reading, o)) for o in kept]
    parked = reading.parked(leader)
    if not since and parked is not None and parked < effect.start:
        since = [(parked, reading.at(parked))]
    return any(at < until_at and not reading.store_lost(leader, i, effect.start) for i, at in since)


def unknown_to_the_engine(reading: Reading, offer: Offer, effect: Work) -> bool:
    """Say whether a consumer rejected an event that it could not read, or while it was cut off from Redis."""
    if offer.how != "rejected" or offer.closed is None or offer.closed > effect.start:
        return False
    silences = reading.silences(offer.consumer)
    away = any(a <= offer.at and reading.at(offer.closed) <= b for a, b in silences)
    return away or not_read(reading, offer)


def not_read(reading: Reading, offer: Offer) -> bool:
    if offer.how != "rejected" or offer.closed is None:
        return False
    between = range(offer.index + 1, offer.closed)
    return any(i in between and reading.entries[i].consumer == offer.consumer for i in unread(reading, offer.event))


def trimmed(reading: Reading, leader: str, offer: Offer, effect: Work) -> bool:
    return any(offer.index < i < effect.start for i in trims(reading, leader))


def trims(reading: Reading, event: str) -> list[int]:
    forgotten = [i for i, e in reading.of("dropped", "fault") if e.event == event and e.details.get("fault") == "trim"]
    return forgotten if "trim" in reading.header.allowed_loss else []


def outdated(reading: Reading, event: str, offer: Offer, effect: Work, until_at: int) -> bool:
    if offer.closed is None:
        return False
    heard_at = reading.at(offer.closed)
    if offer.how == "crashed":
        heard_at = max(offer.at, heard_at - reading.terms.lease)
    return freed(reading, event, heard_at, effect, until_at)


def jumped_over(reading: Reading, event: str, since_at: int, effect: Work, until_at: int) -> bool:
    return any(
        since_at <= at <= effect.at and freed(reading, event, max(since_at, at - reading.terms.lease), effect, until_at)
        for at, _ in reading.jumps
    )


def freed(reading: Reading, event: str, heard_at: int, effect: Work, until_at: int) -> bool:
    """Say whether a jump of the clock of Redis let a follower go, of whose leader Redis heard last at a time."""
    terms = reading.terms
    promised = max(terms.lookback, terms.redelivery)
    expected = max(promised, 2 * terms.lease)
    earliest = max(over_at(reading, heard_at, promised), until_at)
    over = over_at(reading, heard_at, expected)
    jumped = heard_at + expected - over
    if effect.at < earliest or jumped <= 0:
        return False
    first = next(w for w in reading.works_of(event) if w.at >= earliest)
    if first.at < heard_at + expected:
        return True
    due_at = max(over, earliest)
    still = [*reading.helpless, *no_consumer_free(reading), *lists_in_hand(reading, due_at, first.start)]
    bound = terms.sweep_interval + terms.release_bound + takeovers(reading, due_at, first.at)
    return 2 * jumped >= terms.lease and uncovered(due_at, first.at, still) <= bound


def noticed_at(reading: Reading, offer: Offer) -> int:
    return max([offer.at, *(b for a, b in reading.silences(offer.consumer) if a <= offer.at < b)])


def known_to_any(reading: Reading, leader: str, offer: Offer, effect: Work) -> bool:
    if effect.at - noticed_at(reading, offer) > UNDERWAY:
        return True
    signs = [offer.closed, reading.parked(leader), *(w.start for w in reading.works_of(leader))]
    return any(offer.index < sign < effect.start for sign in signs if sign is not None)


def mutual_exclusion(reading: Reading) -> Iterator[str]:
    for event in reading.events:
        works = reading.works_of(event)
        for later in works:
            for earlier in works:
                overlap = earlier.start < later.start and earlier.open_at(later.start)
                if overlap and not fenced_off(reading, event, earlier, later):
                    yield event


def fence(work: Work) -> float:
    token = work.fence
    if isinstance(token, str) and token.isdecimal():
        return int(token)
    return token if isinstance(token, (int, float)) else 0


def fenced_off(reading: Reading, event: str, earlier: Work, later: Work) -> bool:
    first, second = (later, earlier) if fence(later) < fence(earlier) else (earlier, later)
    held = lease_taken_after(reading, event, first)
    either = min(held, lease_taken_after(reading, event, second))
    for i, about in reading.losses(allowed=True):
        if either < i < later.start and (about is None or event in about):
            return True
    since = reading.at(held)
    return not first.effect and may_lapse(reading, first.consumer, since, second.at)


def lease_taken_after(reading: Reading, event: str, first: Work) -> int:
    """The last index before which the holder of a handling cannot have taken its lease."""
    if first.offer:
        return first.offer.index
    began = owner(reading, first)
    before = [first.start, *(o.index for o in reading.offers_of(event)[:1])]
    if began.via == "delivered":
        return max(min(before), began.offer.index if began.offer else began.start)
    swept = [i for i, e in reading.of("swept") if e.consumer == first.consumer and i < began.start]
    return max([min(before), *swept])


def handled_once(reading: Reading) -> Iterator[str]:
    for event in reading.events:
        effects = reading.effects_of(event)
        for i, first in enumerate(effects[:-1]):
            if not may_repeat(reading, event, first, effects[i + 1]):
                yield event
        dead = reading.dead(event)
        if dead and any(not may_be_both(reading, event, effect, *dead) for effect in effects):
            yield event


def lease_since(reading: Reading, event: str, work: Work) -> int:
    mine = [o.index for o in reading.offers_of(event) if o.consumer == work.consumer and o.index < work.start]
    return max(mine, default=work.start)


def may_repeat(reading: Reading, event: str, first: Work, second: Work) -> bool:
    if reading.passed(first.end_at, second.at) >= reading.terms.retention and second.at >= first.end_at:
        return True
    if reading.store_lost(event, lease_since(reading, event, first), second.start):
        return True
    if second.start < (first.end or 0):
        return False
    if unrecorded(reading, first, second.start):
        return True
    return taken_over(reading, event, first)


def taken_over(reading: Reading, event: str, first: Work) -> bool:
    """Say whether a lease had run out during an effect, and another consumer had it."""
    end = first.end or 0
    over = [a + -(-reading.terms.lease // 2) for a, _ in reading.lapses(first.consumer, first.at, first.end_at)]
    over += [at for at, by in reading.jumps if first.at <= at <= first.end_at and 2 * by >= reading.terms.lease]
    if not over or let_others_go(reading, event, first):
        return False
    next_ones = [w for w in reading.works_of(event) if w.consumer != first.consumer and w.start > end]
    if any(w.at - first.end_at <= UNDERWAY for w in next_ones):
        return True
    for offer in reading.offers_of(event):
        theirs = offer.consumer != first.consumer and first.start < offer.index < end
        if theirs and offer.how == "crashed" and reading.at(offer.closed or 0) >= min(over):
            return True
    return first.via != "delivered" and died_after_lease(reading, event, first, min(over))


def let_others_go(reading: Reading, event: str, effect: Work) -> bool:
    """Say whether the holder began with a follower that nothing but this effect can have released."""
    end, dead = effect.end or 0, reading.dead(event)
    others = [w.end or 0 for w in reading.effects_of(event)] + ([dead[0]] if dead else [])
    begun = [
        w.start
        for follower in reading.followers(event)
        for w in reading.works_of(follower)
        if w.via == "released" and w.consumer == effect.consumer and w.start > end and not in_batch(reading, effect, w)
    ]
    return any(not any(end < other < start for other in others) for start in begun)


def died_after_lease(reading: Reading, event: str, first: Work, over: int) -> bool:
    """Say whether another consumer, whose sweep may have had the event, died after the lease of a handling."""
    died = [(i, e) for i, e in reading.of("crashed") if e.consumer != first.consumer]
    return any(
        first.start < i < (first.end or 0) and e.at >= over and found_again(reading, event, i, e.at) for i, e in died
    )


def found_again(reading: Reading, event: str, index: int, at: int) -> bool:
    """Say whether an event was begun again, or given up, when what died with its holder is found again."""
    dead, terms = reading.dead(event), reading.terms
    later = [w for w in reading.works_of(event) if w.start > index][:1]
    stops = [w.start for w in later] + ([dead[0]] if dead and dead[0] > index else [])
    if not stops:
        return False
    stop = min(stops)
    still = [*reading.helpless, *no_consumer_free(reading)]
    if later and later[0].start == stop:
        still += list_of(reading, later[0].consumer, stop)
    bound = terms.lease + terms.sweep_interval + terms.release_bound
    bound += takeovers(reading, at + terms.lease + 1, reading.at(stop))
    return uncovered(at, reading.at(stop), still) <= bound


def may_be_both(reading: Reading, event: str, effect: Work, dead: int, letter: object) -> bool:
    by = str(letter.details.get("by") or "engine")  # type: ignore[attr-defined]
    known = next((i for i in range(reading.last) if event in reading.events_before(i + 1)), reading.last)
    copies = any(e.event == event and i > known for i, e in reading.of("duplicated"))
    if by == "broker" and (copies or any(w.open_at(dead) for w in reading.works_of(event))):
        return True
    if by == "broker" and any(taken_unheard(reading, o, dead) for o in reading.offers_of(event) if o.index < dead):
        return True
    reported = letter.details.get("told") is True  # type: ignore[attr-defined]
    if by == "broker" and not reported and gone_with_it(reading, event, dead):
        return True
    answered = [o for o in reading.offers_of(event) if o.closed is not None and o.closed < dead]
    last = max((o.closed or 0 for o in answered), default=0)
    some = [o for o in answered if o.how == "rejected" and (effect.start > dead or o.closed == last)]
    if by == "broker" and not reported and any(without_an_answer(reading, o) for o in some):
        return True
    end = effect.end or 0
    open_then = [o for o in reading.offers_of(event) if o.index < dead and (o.closed is None or o.closed >= dead)]
    asking = any(o.consumer == effect.consumer and o.index < end for o in open_then)
    asking = asking and not (reported and effect.at > reading.at(dead) + reading.terms.lease)
    if by == "broker" and asking and reading.at(dead) <= reading.at(end) + reading.terms.lease:
        return True
    since, until = min(end, dead), max(end, dead)
    if reading.passed(reading.at(since), reading.at(until)) >= reading.terms.retention:
        return True
    if reading.store_lost(event, min(lease_since(reading, event, effect), dead), until):
        return True
    later = [o for o in reading.offers_of(event) if end < o.index < dead]
    if by == "broker" and later and all(not_read(reading, o) for o in later):
        return True
    if by != "broker" and effect.open_at(dead) and may_lapse(reading, effect.consumer, effect.at, reading.at(dead)):
        return True
    return end < dead and unrecorded(reading, effect, dead)


def without_an_answer(reading: Reading, offer: Offer) -> bool:
    """Whether the consumer that rejected an event was cancelled, or may not have heard what Redis has done."""
    faults = ("reply-lost", "reset", "latency", "close-idle-connections")
    cut_short = [i for i, e in reading.of("fault") if e.consumer == offer.consumer and e.details.get("fault") in faults]
    closed = offer.closed or 0
    return why(reading, closed) == "CancelledError" or any(offer.index < i < closed for i in cut_short)


def why(reading: Reading, index: int) -> object:
    return reading.entries[index].details.get("because")


def taken_unheard(reading: Reading, offer: Offer, dead: int) -> bool:
    had_until = reading.at(dead if offer.closed is None else min(offer.closed, dead))
    return any(a <= had_until and offer.at <= b for a, b in reading.silences(offer.consumer))


def gone_with_it(reading: Reading, event: str, dead: int) -> bool:
    """Whether a consumer went away with the event, and no consumer could read it that it was offered to after that."""
    offers = [o for o in reading.offers_of(event) if o.index < dead]
    gone = [o.closed for o in offers if o.closed and o.closed < dead and o.how in ("crashed", "stopped")]
    return bool(gone) and all(not_read(reading, o) for o in offers if o.index > max(gone))


def nothing_lost(reading: Reading) -> Iterator[str]:
    if not reading.complete:
        return
    for event in reading.events:
        settled = reading.first_known(event) is None or reading.effects_of(event) or reading.dead(event)
        excused = reading.loss_allowed(event, reading.last, reported=reading.header.loud)
        if settled or event in reading.incomplete or excused:
            continue
        if reading.phases or let_go(reading, event):
            yield event


def let_go(reading: Reading, event: str) -> bool:
    offers, works = reading.offers_of(event), reading.works_of(event)
    seen = any(e.event == event and e.details.get("because") == "seen" for _, e in reading.of("refused"))
    acknowledged = bool(offers) and offers[-1].how == "acknowledged"
    kept = reading.parked(event) is not None or any(w.via != "delivered" or w.end is None for w in works)
    return acknowledged and not kept and not seen


def leaders_above(reading: Reading, event: str) -> set[str]:
    """Return an event, its leader, the leader of that, and so on."""
    found = set[str]()
    while event and event not in found:
        found.add(event)
        event = reading.leader(event)
    return found


def given_up(reading: Reading) -> Iterator[str]:
    for event in reading.events:
        dead = reading.dead(event)
        if (
            not dead
            or event in reading.incomplete
            or dead[1].details.get("because") in ("unreadable", "unknown-schema")
        ):
            continue
        tries = [w for w in reading.works_of(event) if w.start < dead[0] and without_success(reading, w, dead[0])]
        needed = reading.terms.max_attempts
        if (dead[1].details.get("by") or "engine") == "broker":
            rejected = any(o.how == "rejected" and not unreadable(reading, o) for o in reading.offers_of(event))
            faults = [(e.event, e.details.get("fault")) for _, e in reading.of("fault")]
            above = leaders_above(reading, event)
            blameless = reading.window or any(
                kind not in ("too-large", "not-an-event") or name in above for name, kind in faults
            )
            needed = 1 if rejected and not blameless else 0
        else:  # a consumer that died or fell silent may have been granted the event, and had not begun with it
            known = reading.first_known(event)
            lost = {w.consumer: w.end or 0 for w in tries if w.effect and not w.open_at(dead[0])}
            gone = [(i, reading.at(i), e.consumer) for i, e in reading.of("crashed")]
            if known is not None:
                gone += silent_since(reading, reading.at(known), reading.at(dead[0]))
            vanished = [
                (i, at)
                for i, at, consumer in sorted(gone)
                if known is not None and known < i < dead[0] and i < lost.get(consumer, reading.last)
            ]
            spans = [(w.start, reading.last if w.end is None else w.end) for w in reading.works_of(event)]
            free = [at for i, at in vanished if not any(start < i <= end for start, end in spans)]
            since = max(reading.at(known or 0), turn_comes(reading, event, known or 0, dead[0]))
            needed -= grants(reading, since, free)
            others = [w.start for w in reading.works_of(event)] + [i for i, _ in reading.of("crashed")]
            last = max((i for i in others if i < dead[0]), default=0)
            needed -= len([i for i in unread(reading, event) if i < last and not at_an_offer(reading, event, i)])
        if len(tries) < needed and not reading.store_lost(event, -1, dead[0]):
            yield event


def silent_since(reading: Reading, known_at: int, dead_at: int) -> Iterator[tuple[int, int, str]]:
    """Where and when each consumer fell silent, between two times, for so long that its lease may have ended."""
    for consumer in reading.consumers:
        for since, until in reading.silences(consumer):
            begin, end = max(since, known_at), min(until, dead_at)
            if since <= dead_at and until > known_at and reading.half_a_lease_passes(begin, end):
                yield max(i for i in range(len(reading.entries)) if reading.at(i) <= begin), begin, consumer


def turn_comes(reading: Reading, event: str, known: int, dead: int) -> int:
    """The time before which a follower cannot have been granted to a consumer, as it had to wait for its leader."""
    leader = reading.leaders[event]
    if not leader or leader in reading.incomplete or reading.store_lost(event, -1, dead):
        return 0
    done = [w.end_at for w in reading.effects_of(leader)]
    gone = reading.dead(leader)
    reported_after = reading.terms.lease + reading.terms.sweep_interval
    given_up = [reading.at(gone[0]) - reported_after] if gone else []
    return min([*done, *given_up, over_at(reading, reading.at(known), reading.terms.lookback)])


def at_an_offer(reading: Reading, event: str, at: int) -> bool:
    """Whether a consumer rejected an offer of the event during which it could not read it."""
    consumer = reading.entries[at].consumer
    rejected = [o for o in reading.offers_of(event) if o.how == "rejected" and o.closed is not None]
    return any(o.consumer == consumer and o.index < at < (o.closed or 0) for o in rejected)


def grants(reading: Reading, since: int, ends: list[int]) -> int:
    """How many of these deaths and silences can have been of a holder, if each had its lease a lease after the last."""
    count = 0
    for at in ends:
        if reading.passed(since, at) >= count * reading.terms.lease and at >= since:
            count += 1
    return count


def without_success(reading: Reading, work: Work, dead: int) -> bool:
    """Say whether a handling failed or vanished before an event was given up, or its holder's lease may have ended."""
    silent = work.open_at(dead) and may_lapse(reading, work.consumer, work.at, reading.at(dead))
    unknown = work.end is not None and work.end < dead and unrecorded(reading, work, dead)
    return silent or not work.effect or unknown


def unreadable(reading: Reading, offer: Offer) -> bool:
    why = "" if offer.closed is None else str(reading.entries[offer.closed].details.get("because", ""))
    return why.lower() in ("unreadable", "unknown-schema")


def prompt_release(reading: Reading) -> Iterator[str]:
    for event in reading.events:
        leader = reading.leaders[event]
        known = reading.first_known(event)
        if not leader or known is None or {event, leader} & reading.incomplete:
            continue
        done = completion(reading, leader)
        if done is None or done.end is None:
            continue
        dead = reading.dead(leader)
        unknown = dead and (unrecorded(reading, done, dead[0]) or taken_over(reading, leader, done))
        if dead and done.end < dead[0] and unknown:
            continue
        if is_gone(reading, leader) and is_unknown_leader(reading, leader, done, reading.last):
            continue
        last = max((o.index for o in reading.offers_of(event) if o.index < stop_of(reading, event)), default=known)
        since = done.start if is_unknown_leader(reading, leader, done, stop_of(reading, event)) else done.end
        if reading.store_lost(leader, since, last) or forgotten_by_now(reading, done, reading.at(known)):
            continue
        if waited_too_long(reading, event, leader, max(done.end, known), []):
            yield event


def is_unknown_leader(reading: Reading, leader: str, done: Work, before: int) -> bool:
    """Say whether an effect was not recorded, and no consumer said later, by an acknowledgement, that it was done."""
    offers = [o for o in reading.offers_of(leader) if o.index > (done.end or 0)]
    last = offers[-1] if offers else None
    if last and last.how == "acknowledged" and not last.parked and last.closed is not None and last.closed < before:
        return any(w.start > last.index for w in reading.works_of(leader)) and unrecorded(reading, done, before)
    return unrecorded(reading, done, before)


def is_gone(reading: Reading, event: str) -> bool:
    """Say whether neither the queue nor the engine has an event any more that was delivered."""
    last = max((o.index for o in reading.offers_of(event)), default=-1)
    return reading.parked(event) is None and any(i > last for i in trims(reading, event))


def waited_too_long(reading: Reading, event: str, leader: str, begin: int, busy: list[Span], stop: int = -1) -> bool:
    """Say whether an event idled for longer than the release bound, and what others can have cost."""
    stop = stop_of(reading, event) if stop < 0 else stop
    if stop <= begin:
        return False
    begin_at, stop_at = reading.at(begin), reading.at(stop)
    # What was being handled when the last follower of this leader stopped to wait held up this one, too.
    works = served_below(reading, leader, stop) if leader else []
    still = [*reading.helpless, *busy, *(span for work in works for span in holds_up(reading, work))]
    if who := finder(reading, event, stop):
        still += list_of(reading, who, stop)
    excused = takeovers(reading, begin_at, stop_at) + retries(reading, works, begin_at, stop_at)
    if misled(reading, event, begin, stop):
        excused += reading.terms.lookback + reading.terms.sweep_interval
    too_long = uncovered(begin_at, stop_at, still) > reading.terms.release_bound + excused
    return too_long and not reading.loss_allowed(event, stop)


def misled(reading: Reading, event: str, begin: int, stop: int) -> bool:
    """Say whether all that an engine knows of an event may be a copy that follows one of which it does not know."""
    for leader in copied_leaders(reading, event, stop):
        done = reading.effects_of(leader)[:1]
        known = done and (done[0].end or 0) <= begin and not reading.store_lost(leader, done[0].end or 0, stop)
        if leader in ("", event) or not known:
            return True
    return False


def copied_leaders(reading: Reading, event: str, stop: int) -> list[str]:
    """What the copies of an event follow that were published, and the event delivered after that, before an index."""
    known, first = reading.first_known(event), reading.publication(event)
    if known is None or first is None or not reading.store_lost(event, known, stop):
        return []
    follows = str(first[1].details.get("follows") or "")
    found = []
    for i, e in reading.of("published"):
        other = str(e.details.get("follows") or "")
        delivered = any(i < o.index < stop for o in reading.offers_of(event)) or (not reading.offers and i < stop)
        if e.event == event and other != follows and delivered:
            found.append(reading.named(other))
    return found


def forgotten_by_now(reading: Reading, done: Work, at: int) -> bool:
    """Say whether the mark of a handled event was over, which the policy has kept for a while."""
    return at >= over_at(reading, done.end_at, max(reading.terms.retention, reading.terms.memory))


def prompt_start(reading: Reading) -> Iterator[str]:
    for event in reading.events:
        if event in reading.incomplete:
            continue
        for offer in reading.offers_of(event):
            if not waits_for_none(reading, event, offer.index):
                continue
            stop = stop_of(reading, event)
            if not offer.parked and offer.closed is not None:
                stop = min(stop, offer.closed)
            busy = [span_of(reading, w) for w in reading.works if w.consumer == offer.consumer]
            if waited_too_long(reading, event, reading.leaders[event], offer.index, busy, stop):
                yield event


def waits_for_none(reading: Reading, event: str, since: int) -> bool:
    leader, known = reading.leaders[event], reading.first_known(event)
    if not leader:
        return True
    done = None if leader in reading.incomplete else completion(reading, leader)
    if done is None or done.end is None or known is None or reading.dead(leader):
        return False
    parked = reading.parked(event)
    if parked and since < parked:
        idle = uncovered(reading.at(since), reading.at(parked), reading.helpless)
        since = parked if idle <= reading.terms.release_bound else since
    if unrecorded(reading, done, stop_of(reading, event)):
        return False
    if forgotten_by_now(reading, done, reading.at(since)):
        return False
    return done.end < known and not reading.store_lost(leader, done.end, since)


def recovery(reading: Reading) -> Iterator[str]:
    for event in reading.events:
        for work in reading.works_of(event):
            lost_at = when_lost(reading, work)
            if lost_at is None or event in reading.incomplete:
                continue
            if (
                refused_for_ever(reading, work, lost_at)
                if work.via == "delivered"
                else left_behind(reading, work, lost_at)
            ):
                yield event


def must_be_retried(reading: Reading, work: Work) -> bool:
    """Say whether a handler failed with an event that the engine had handed out, and the queue no longer has."""
    if work.via == "delivered" or work.cut or work.effect or work.outcome != "failed" or work.end is None:
        return False
    before = [o for o in reading.offers_of(work.event) if o.index < work.end]
    done = [w for w in reading.effects_of(work.event) if (w.end or 0) < work.end]
    done += [w for w in reading.works_of(work.event) if w.open_at(work.end)]
    return not done and all(o.how == "acknowledged" and (o.closed or 0) < work.end for o in before)


def when_lost(reading: Reading, work: Work) -> int | None:
    if work.cut or must_be_retried(reading, work):
        return work.end_at
    lapses = reading.lapses(work.consumer, *span_of(reading, work))
    return max(work.at, lapses[0][0]) if lapses else None


def begun_again(reading: Reading, work: Work) -> int:
    """The index at which an event was begun again, ended after all, or was given up; else that of the end."""
    dead = reading.dead(work.event)
    stops = [w.start for w in reading.works_of(work.event) if w.start > work.start]
    stops += [dead[0]] if dead and dead[0] > work.start else []
    again = must_be_retried(reading, work)
    stops += [work.end] if work.end is not None and not work.cut and not again else []
    stops += [i for i in unread(reading, work.event) if i > (work.end or 0)] if again else []
    stops += [w.end for w in reading.effects_of(work.event) if w is not work and (w.end or 0) > work.start and w.end]
    before = [w for w in reading.effects_of(work.event) if (w.end or 0) < work.start]
    signs = [(w, recorded_at(reading, w)) for w in before]
    stops += [
        i
        for w, i in signs
        if i > work.start and not any(a < reading.at(i) < b for a, b in reading.silences(w.consumer))
    ]
    return min([*stops, reading.last])


def left_behind(reading: Reading, work: Work, lost_at: int) -> bool:
    terms, stop = reading.terms, begun_again(reading, work)
    stop_at = reading.at(stop)
    if stop_at <= lost_at:
        return False
    again = must_be_retried(reading, work)
    if not work.cut and not again:
        stop_at = min(stop_at, reading.lapses(work.consumer, work.at, stop_at + 1)[0][1])
    bound = terms.lease + terms.sweep_interval + terms.release_bound + (terms.retry_delay if again else 0)
    taker = next((w.consumer for w in reading.works_of(work.event) if w.start == stop), "")
    line = list_of(reading, taker, stop) if taker else no_consumer_free(reading)
    line += no_consumer_free(reading) if again else []
    leader = reading.leaders[work.event]
    below = served_below(reading, leader, stop) if leader else []
    turns = union([span for w in below for span in holds_up(reading, w)])
    excused = takeovers(reading, lost_at + terms.lease + 1, stop_at) + retries(reading, below, lost_at, stop_at)
    still = [*reading.helpless, *line, *(span for span in turns if span[0] > lost_at)]
    if leader and leader_forgotten(reading, work, leader, stop):
        return False
    return uncovered(lost_at, stop_at, still) > bound + excused and not reading.loss_allowed(work.event, stop)


def leader_forgotten(reading: Reading, work: Work, leader: str, stop: int) -> bool:
    done, terms = completion(reading, leader), reading.terms
    if done is None or done.end is None:
        return False
    again = [offer for offer in reading.offers_of(work.event) if offer.parked and work.start < offer.index < stop]
    again = [offer for offer in again if reading.store_lost(leader, done.end, offer.index)]
    bound = terms.lookback + terms.sweep_interval + terms.release_bound
    return any(reading.at(stop) - offer.at <= bound for offer in again)


def refused_for_ever(reading: Reading, work: Work, lost_at: int) -> bool:
    terms, stop = reading.terms, begun_again(reading, work)
    for offer in reading.offers_of(work.event):
        closed = offer.closed
        if closed is None or not work.start < offer.index < stop or closed > stop:
            continue
        answer = reading.entries[closed]
        if answer.kind != "refused" or answer.details.get("because") != "held":
            continue
        at = reading.at(closed)
        bound = terms.lease + terms.sweep_interval + terms.release_bound
        excused = takeovers(reading, lost_at + terms.lease + 1, at)
        if uncovered(lost_at, at, reading.helpless) > bound + excused and not another_has(reading, work, closed):
            return True
    return False


def another_has(reading: Reading, lost_work: Work, index: int) -> bool:
    at = reading.at(index)
    silent = any(a <= at < b or at == b == reading.end_at for a, b in reading.silences(lost_work.consumer))
    if not lost_work.cut and not silent:
        return True
    others = [w for w in reading.works_of(lost_work.event) if w is not lost_work]
    offers = [o for o in reading.offers_of(lost_work.event) if o is not lost_work.offer]
    return any(w.open_at(index) for w in others) or any(
        o.index < index and (o.closed is None or o.closed > index) for o in offers
    )


def lost_followers(reading: Reading) -> Iterator[str]:
    if not any(True for _ in reading.of("delivered")):
        return
    terms = reading.terms
    for event, begin, stop in lost_waits(reading):
        held_back, dead = terms.lookback, reading.dead(reading.leaders[event])
        if dead and dead_and_reported(reading, reading.leaders[event], reading.at(begin)):
            held_back = min(held_back, max(0, dead[1].at - reading.at(begin)))
        due_at, stop_at = reading.at(begin) + held_back, reading.at(stop)
        still = [*reading.helpless, *no_consumer_free(reading), *lists_in_hand(reading, due_at, stop)]
        bound = terms.sweep_interval + terms.release_bound
        if stop_at - reading.at(begin) <= held_back + bound:
            continue
        too_long = uncovered(due_at, stop_at, still) > bound + takeovers(reading, due_at, stop_at)
        if too_long and not reading.loss_allowed(event, stop):
            yield event


def dead_and_reported(reading: Reading, leader: str, at: int) -> bool:
    dead = reading.dead(leader)
    said = dead and dead[1].details.get("told") is True
    return bool(dead and said and at - reading.at(dead[0]) < reading.terms.retention)


def kept_since(reading: Reading, event: str) -> int:
    parked, known = reading.parked(event), reading.first_known(event)
    return parked if parked is not None else known if known is not None else reading.last


def lost_waits(reading: Reading) -> Iterator[tuple[str, int, int]]:
    """Each event that waits for a missing leader: since when, and until when it waited, or until its leader came."""
    for event in reading.events:
        leader = reading.leaders[event]
        circle = reading.circle(event)
        all_came = bool(circle) and all(reading.offers_of(one) for one in circle)
        if not leader or reading.first_known(event) is None or {event, leader} & reading.incomplete:
            continue
        if all_came and set(circle) & reading.incomplete:
            continue
        if all_came:
            last = max(circle, key=lambda one: kept_since(reading, one))
            begin = kept_since(reading, last)
            if event == last and all(stop_of(reading, one) > begin for one in circle):
                yield last, begin, min(stop_of(reading, one) for one in circle)
            continue
        begin = kept_since(reading, event)
        known, dead = reading.first_known(leader), reading.dead(leader)
        comes = reading.last if known is None else known
        if dead and not reading.effects_of(leader) and comes < reading.last:
            begin = max(begin, dead[0])
            comes = min((o.index for o in reading.offers_of(leader) if o.index > dead[0]), default=reading.last)
        stop = stop_of(reading, event)
        if comes >= begin and stop > begin:
            yield event, begin, min(stop, comes)


def sibling_order(reading: Reading) -> Iterator[str]:
    for leader in reading.events:
        done = None if leader in reading.incomplete else completion(reading, leader)
        if done is None or done.end is None:
            continue
        brood = reading.followers(leader)
        for one in brood:
            if not waited(reading, one, done.end):
                continue
            works, dead = reading.works_of(one), reading.dead(one)
            for other in brood:
                firsts = reading.works_of(other)[:1]
                later = order(reading, other) > order(reading, one) and firsts and firsts[0].start > done.end
                if not later or (works and works[0].start < firsts[0].start):
                    continue
                if any(done.end < i < firsts[0].start for i in unread(reading, one)):
                    continue
                if copied_leaders(reading, one, firsts[0].start):
                    continue
                if not (dead and not works) and not reading.loss_allowed(one, firsts[0].start):
                    yield one


def unread(reading: Reading, event: str) -> list[int]:
    faults = (i for i, e in reading.of("fault") if e.event == event)
    return [i for i in faults if reading.entries[i].details.get("fault") == "unreadable-for-some"]


def waited(reading: Reading, event: str, done: int) -> bool:
    parked, works, dead = reading.parked(event), reading.works_of(event), reading.dead(event)
    return (
        event not in reading.incomplete
        and parked is not None
        and parked < done
        and not (works and works[0].start < done)
        and not (dead and dead[0] < done)
    )


def order(reading: Reading, event: str) -> tuple[int, str]:
    published = reading.publication(event)
    if published is None:
        return -1, reading.identity(event)
    occurred = published[1].details.get("occurred")
    return occurred if isinstance(occurred, int) else published[1].at, reading.identity(event)


def clean_store(reading: Reading) -> Iterator[str]:
    if reading.phases and not reading.quiet:
        return
    for _, census in reading.of("census"):
        keys = census.details.get("keys") or {}
        for name, said in keys.items() if isinstance(keys, dict) else ():
            key = said if isinstance(said, dict) else {}
            ttl = key.get("ttl")
            longest = (
                max(reading.terms.longest_ttl, reading.terms.lookback, reading.terms.retention) * 11 // 10 // SECOND
            )
            flawed = ttl in (None, -1) or key.get("role") in ("lock", "claim")
            flawed = flawed or (isinstance(ttl, (int, float)) and ttl > longest)
            if flawed and not any(fnmatchcase(name, pattern) for pattern in reading.header.documented_keys):
                yield name


def no_stuck_worker(reading: Reading) -> Iterator[str]:
    acknowledges = any(True for _ in reading.of("acknowledged"))
    for event in reading.events:
        jobs = [(w.consumer, w.start, w.end) for w in reading.works_of(event)]
        known = acknowledges or not (reading.works_of(event) or reading.parked(event) is not None)
        jobs += [(o.consumer, o.index, o.closed) for o in reading.offers_of(event) if known or o.closed is not None]
        if any(consumer and stood_still(reading, event, *rest, consumer) for consumer, *rest in jobs):
            yield event
        if poison(reading, event) or deadly(reading, event):
            yield event
    for consumer in reading.consumers:
        if swept_too_late(reading, consumer) or never_returned(reading, consumer):
            yield consumer


def stood_still(reading: Reading, event: str, begin: int, end: int | None, consumer: str) -> bool:
    stop = reading.last - 1 if end is None else end
    family = reading.family(event)
    signs = [i for i, e in enumerate(reading.entries) if e.consumer == consumer and e.event in family]
    steps = [begin, *(i for i in signs if begin < i <= stop), stop]
    silent = reading.silences(consumer)
    return any(uncovered(reading.at(a), reading.at(b), silent) > reading.terms.stuck_bound for a, b in pairwise(steps))


def poison(reading: Reading, event: str) -> bool:
    rejections = [o.closed for o in reading.offers_of(event) if o.how == "rejected" and o.closed is not None]
    over = reading.effects_of(event) or reading.dead(event) or event in reading.incomplete
    if not rejections or over or reading.loss_allowed(event, reading.last):
        return False
    lasted = uncovered(reading.at(rejections[0]), reading.at(rejections[-1]), reading.helpless)
    return lasted > reading.terms.stuck_bound or reading.quiet


def deadly(reading: Reading, event: str) -> bool:
    kinds = {str(e.details.get("fault", "")) for _, e in reading.of("fault")}
    if event in reading.incomplete or kinds - {"handler-kills-process"}:
        return False
    row: list[Work] = []
    for death in reading.works_of(event):
        if not death.cut or death.effect or death.end is None or reading.entries[death.end].kind != "crashed":
            continue
        if row and death.at - row[-1].end_at > 2 * reading.terms.lease:
            row = []
        if row and reading.store_lost(event, row[0].start, death.start):
            row = []
        row.append(death)
        if len(row) > reading.terms.max_attempts + 1:
            return True
    return False


def never_returned(reading: Reading, consumer: str) -> bool:
    acknowledges = any(True for _ in reading.of("acknowledged"))
    unfinished = [e for _, e in reading.of("unfinished") if e.consumer == consumer]
    calls = [e for e in unfinished if not (e.event and acknowledges)]
    begun = [(e.details.get("since"), e.at) for e in calls]
    return any(
        isinstance(since, int)
        and not isinstance(since, bool)
        and 0 <= since <= at
        and uncovered(since, at, reading.silences(consumer)) > reading.terms.stuck_bound
        for since, at in begun
    )


def swept_too_late(reading: Reading, consumer: str) -> bool:
    sweeps = [(e.at, e.details.get("found")) for _, e in reading.of("swept") if e.consumer == consumer]
    if not any(found in (0, [], ()) for _, found in sweeps):
        return False
    still = [*reading.silences(consumer), *reading.down(consumer), *found_work(reading, consumer)]
    times = [*(at for at, _ in sweeps), reading.end_at]
    bound = reading.terms.sweep_interval + reading.terms.stuck_bound
    return any(uncovered(a, b, still) > bound for a, b in pairwise(times))


def payload_intact(reading: Reading) -> Iterator[str]:
    for event in reading.events:
        said = [e.details.get("fingerprint") for _, e in reading.of("published") if e.event == event]
        prints = [str(one) for one in said if one]
        for work in reading.works_of(event):
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
