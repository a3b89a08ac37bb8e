"""A history read the naive way: every question is answered by walking over the entries again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from simulation.history.entries import Entry
from simulation.history.history import History

Span = tuple[int, int]


@dataclass(eq=False)
class Offer:
    """A delivery. `closed` is the index of its answer; None if it has none."""

    event: str
    consumer: str
    index: int
    at: int
    number: object
    parked: bool = False
    closed: int | None = None
    how: str = ""
    done: bool = False


@dataclass(eq=False)
class Work:
    """A handling. `end` is None if it never ended."""

    event: str
    consumer: str
    via: str
    start: int
    at: int
    number: object
    fence: object
    fingerprint: str
    offer: Offer | None = None
    end: int | None = None
    end_at: int = -1
    outcome: str = ""
    write: str = ""
    cut: bool = False

    @property
    def effect(self) -> bool:
        return self.write == "accepted" or (self.outcome == "ok" and self.write != "refused")

    def open_at(self, index: int) -> bool:
        return self.start <= index and (self.end is None or self.end > index)


class Reading:
    """All that the rules ask about a history."""

    def __init__(self, history: History) -> None:
        self.header = history.header
        self.terms = history.header.terms
        self.truncated = bool(history.truncated)
        self.entries: list[Entry] = list(history)
        self.last = len(self.entries)
        self.end_at = self.entries[-1].at if self.entries else 0
        self.offers: list[Offer] = []
        self.works: list[Work] = []
        self.incomplete: set[str] = set()
        self.window = False
        self._walk()

    def at(self, index: int) -> int:
        return self.entries[index].at if index < self.last else self.end_at

    def of(self, *kinds: str) -> Iterator[tuple[int, Entry]]:
        return ((i, entry) for i, entry in enumerate(self.entries) if entry.kind in kinds)

    # -- the clock of Redis

    @cached_property
    def jumps(self) -> list[tuple[int, int]]:
        """When the clock of Redis jumped ahead, and how far: set ahead by a fault, or set right after one."""
        found, wrong = [], {}
        for entry in self.entries:
            if entry.details.get("fault") != "server-clock" or entry.kind not in ("fault", "healed"):
                continue
            number, offset = repr(entry.details.get("number")), entry.details.get("offset")
            if entry.kind == "fault" and isinstance(offset, int):
                wrong[number] = offset
                found.append((entry.at, offset))
            elif entry.kind == "healed":
                found.append((entry.at, -wrong.pop(number, 0)))
        return [(at, ahead) for at, ahead in found if ahead > 0]

    def passed(self, begin: int, end: int) -> int:
        """How much time has passed between two times by the clock of Redis, at most; no jump back takes any away."""
        return end - begin + sum(ahead for at, ahead in self.jumps if begin <= at <= end)

    def half_a_lease_passes(self, begin: int, end: int) -> bool:
        """Say whether half a lease passed by the clock of Redis while its holder could do nothing."""
        return end >= begin and 2 * self.passed(begin, end) >= self.terms.lease

    def leapt(self, begin: int, end: int) -> bool:
        """Say whether the clock of Redis took half a lease in one jump: no holder can renew within a jump."""
        return any(begin <= at <= end and 2 * ahead >= self.terms.lease for at, ahead in self.jumps)

    # -- deliveries and handlings

    def _walk(self) -> None:
        for i, entry in enumerate(self.entries):
            details = entry.details
            match entry.kind:
                case "delivered":
                    offers = [one for one in self.offers if one.event == entry.event]
                    attempt = details.get("attempt")
                    if isinstance(attempt, int) and attempt > 1 and not offers:
                        self.window = True
                    number = repr(details.get("delivery", i))
                    self.offers.append(Offer(entry.event, entry.consumer, i, entry.at, number))
                case "acknowledged" | "rejected":
                    offer = self._offer(entry)
                    if offer is None:
                        self.window = True
                    else:
                        offer.closed, offer.how, offer.done = i, entry.kind, True
                case "refused":
                    offer = self._offer(entry)
                    if offer and offer.closed is None:
                        offer.closed, offer.how = i, "refused"
                case "parked":
                    if offer := self._offer(entry):
                        offer.parked = True
                case "dead-lettered":
                    for offer in self.offers:
                        mine = entry.consumer in ("", offer.consumer)
                        if offer.event == entry.event and mine and offer.closed is None:
                            offer.closed, offer.how = i, "dead-lettered"
                case "started":
                    self._begin(i, entry)
                case "ended":
                    self._finish(i, entry)
                case "crashed" | "stopped":
                    self._gone(i, entry)

    def _offer(self, entry: Entry) -> Offer | None:
        mine = [
            one for one in self.offers if one.event == entry.event and one.consumer == entry.consumer and not one.done
        ]
        if "delivery" in entry.details:
            mine = [one for one in mine if one.number == repr(entry.details["delivery"])]
            return mine[-1] if mine else None
        unanswered = [one for one in mine if one.closed is None]
        return (unanswered or mine or [None])[-1]

    def _begin(self, i: int, entry: Entry) -> None:
        details = entry.details
        via = str(details.get("via", "delivered"))
        self.works.append(
            Work(
                entry.event,
                entry.consumer,
                via,
                i,
                entry.at,
                repr(details.get("handling")),
                details.get("fence"),
                str(details.get("fingerprint") or ""),
                self._offer(entry) if via == "delivered" else None,
            )
        )

    def _finish(self, i: int, entry: Entry) -> None:
        number = repr(entry.details.get("handling"))
        same = [w for w in self.works if (w.event, w.consumer, w.number) == (entry.event, entry.consumer, number)]
        work = same[-1] if same else None
        if work is None or (work.end is not None and not work.cut) or (work.cut and work.write):
            self.window = True
            if entry.event in self.events_before(i):
                self.incomplete.add(entry.event)
            return
        work.write = str(entry.details.get("write") or "")
        if work.cut:
            return
        work.end, work.end_at, work.outcome = i, entry.at, str(entry.details.get("outcome") or "")
        if not work.outcome and not work.write:
            self.incomplete.add(entry.event)

    def _gone(self, i: int, entry: Entry) -> None:
        for offer in self.offers:
            if offer.consumer == entry.consumer and not offer.done:
                if offer.closed is None:
                    offer.closed, offer.how = i, entry.kind
                offer.done = True
        for work in self.works:
            if work.consumer == entry.consumer and work.end is None:
                work.end, work.end_at, work.outcome, work.cut = i, entry.at, "unknown", True

    def offers_of(self, event: str) -> list[Offer]:
        return [one for one in self.offers if one.event == event]

    def works_of(self, event: str) -> list[Work]:
        return [one for one in self.works if one.event == event]

    def effects_of(self, event: str) -> list[Work]:
        return sorted((one for one in self.works_of(event) if one.effect), key=lambda one: one.end or 0)

    # -- events

    def events_before(self, index: int) -> set[str]:
        kinds = ("published", "delivered", "parked", "started", "dead-lettered")
        known = {e.event for e in self.entries[:index] if e.kind in kinds}
        seen = {e.event for e in self.entries[:index] if e.kind == "refused" and e.details.get("because") == "seen"}
        return known | seen

    @cached_property
    def events(self) -> list[str]:
        known = self.events_before(self.last)
        leaders = {leader for event in known if (leader := self.leader(event))}
        return sorted(known | leaders)

    def publication(self, event: str) -> tuple[int, Entry] | None:
        return next(((i, e) for i, e in self.of("published") if e.event == event), None)

    def identity(self, event: str) -> str:
        published = self.publication(event)
        return str(published[1].details.get("id") or event) if published else event

    def leader(self, event: str) -> str:
        published = self.publication(event)
        follows = self.named(str(published[1].details.get("follows") or "")) if published else ""
        return "" if follows == event else follows

    def named(self, follows: str) -> str:
        """The name of the event that an entry names, which may do so by its id."""
        known = self.events_before(self.last)
        if follows and follows not in known:
            follows = next((one for one in sorted(known) if self.identity(one) == follows), follows)
        return follows

    @cached_property
    def leaders(self) -> dict[str, str]:
        return {event: self.leader(event) for event in self.events}

    def followers(self, event: str) -> list[str]:
        return [one for one in self.events if self.leaders[one] == event]

    def circle(self, event: str) -> list[str]:
        """The events that follow each other in a circle with this one, itself included; none if there is no circle."""
        path = [event]
        while (leader := self.leaders.get(path[-1], "")) and leader not in path:
            path.append(leader)
        return path if leader == event else []

    def family(self, event: str) -> set[str]:
        found = {event}
        while True:
            more = {one for one in self.events if self.leaders[one] in found} | {self.leaders[one] for one in found}
            if more - {""} <= found:
                return found
            found |= more - {""}

    def parked(self, event: str) -> int | None:
        return next((i for i, e in self.of("parked") if e.event == event), None)

    def dead(self, event: str) -> tuple[int, Entry] | None:
        return next(((i, e) for i, e in self.of("dead-lettered") if e.event == event), None)

    def first_known(self, event: str) -> int | None:
        kinds = ("delivered", "parked", "started")
        return next((i for i, e in self.of(*kinds) if e.event == event), None)

    def unheard(self, event: str) -> bool:
        return self.publication(event) is None and self.first_known(event) is None and self.dead(event) is None

    # -- consumers

    @cached_property
    def consumers(self) -> list[str]:
        return sorted({e.consumer for e in self.entries if e.consumer})

    def down(self, consumer: str) -> list[Span]:
        spans: list[Span] = []
        mentions = [e for e in self.entries if e.consumer == consumer]
        since = 0 if mentions[0].kind == "joined" else None
        for entry in mentions:
            if entry.kind == "joined" and since is not None:
                spans.append((since, entry.at))
                since = None
            elif entry.kind in ("crashed", "stopped") and since is None:
                since = entry.at
        return spans if since is None else [*spans, (since, self.end_at)]

    def paused(self, consumer: str) -> list[Span]:
        spans: list[Span] = []
        since = None
        for entry in self.entries:
            if entry.consumer != consumer:
                continue
            lasted = entry.details.get("duration")
            if entry.kind == "blocked" and isinstance(lasted, int):
                spans.append((entry.at, entry.at + lasted))
            if entry.kind == "paused" and since is None:
                since = entry.at
            elif entry.kind in ("resumed", "crashed", "stopped") and since is not None:
                spans.append((since, entry.at))
                since = None
        return spans if since is None else [*spans, (since, self.end_at)]

    def cut_off(self, consumer: str) -> list[Span]:
        """When a consumer, or all if none is named, was cut off from Redis."""
        spans: list[Span] = []
        cuts, since = 0, None
        for entry in self.entries:
            mine = entry.consumer == consumer
            if entry.kind == "unreachable" and mine:
                cuts += 1
                since = entry.at if since is None else since
            healed = entry.kind == "phase" and entry.details.get("phase") == "healing"
            if entry.kind == "reachable" and mine:
                cuts -= 1
            if healed or (entry.kind == "reachable" and mine and cuts <= 0):
                cuts = 0
                if since is not None:
                    spans.append((since, entry.at))
                since = None
        return spans if since is None else [*spans, (since, self.end_at)]

    def slot_moves(self) -> list[Span]:
        """When a slot of a cluster moved, and Redis refused what an engine asks about it."""
        spans: list[Span] = []
        moves, since = 0, 0
        for entry in self.entries:
            if entry.kind == "slot-moving":
                since = since if moves else entry.at
                moves += 1
            elif entry.kind == "slot-moved" and moves:
                moves -= 1
                spans += [] if moves else [(since, entry.at)]
        return [*spans, (since, self.end_at)] if moves else spans

    def refused(self, consumer: str) -> list[Span]:
        """When a server that was demoted refused what a consumer wrote: from the first refusal to the last."""
        if self.header.reconnects:
            return []
        spans: dict[str, list[int]] = {}
        for _, entry in self.of("fault"):
            if entry.details.get("fault") == "server-demoted" and entry.consumer == consumer and consumer:
                spans.setdefault(repr(entry.details.get("number")), []).append(entry.at)
        return union([(min(times), max(times)) for times in spans.values()])

    def silences(self, consumer: str) -> list[Span]:
        own = []
        if consumer in self.consumers:
            own = [*self.paused(consumer), *self.cut_off(consumer), *self.refused(consumer)]
        return union([*own, *self.cut_off(""), *self.slot_moves()])

    def silent_at_end(self, consumer: str) -> bool:
        """Say whether a pause or a cut was never taken back: how long it was to last is unknown."""
        names = ("", consumer) if consumer in self.consumers else ("",)
        return any(self._cut_at_end(name) for name in names) or (consumer != "" and self._paused_at_end(consumer))

    def _paused_at_end(self, consumer: str) -> bool:
        kinds = ("paused", "resumed", "crashed", "stopped")
        reading = [e.kind for e in self.entries if e.consumer == consumer and e.kind in kinds]
        return bool(reading) and reading[-1] == "paused"

    def _cut_at_end(self, consumer: str) -> bool:
        cuts, cut = 0, False
        for entry in self.entries:
            if entry.kind == "unreachable" and entry.consumer == consumer:
                cuts, cut = cuts + 1, True
            elif entry.kind == "reachable" and entry.consumer == consumer:
                cuts -= 1
                cut = cut and cuts > 0
                cuts = max(cuts, 0)
            elif entry.kind == "phase" and entry.details.get("phase") == "healing":
                cuts, cut = 0, False
        return cut

    def lapses(self, consumer: str, begin: int, end: int) -> list[Span]:
        """The silences that touch a time and can have outlasted a lease, of which half was left when they began."""
        unended = self.silent_at_end(consumer)
        return [
            (since, until)
            for since, until in self.silences(consumer)
            if until > begin and since < end
            if 2 * (until - since) >= self.terms.lease or (unended and until == self.end_at)
        ]

    @cached_property
    def helpless(self) -> list[Span]:
        """When no consumer was alive, unpaused and in reach of Redis."""
        lanes = [[*self.down(c), *self.paused(c), *self.cut_off(c), *self.refused(c)] for c in self.consumers]
        return union([*(common(lanes) if lanes else []), *self.cut_off(""), *self.slot_moves()])

    # -- losses

    def losses(self, *, allowed: bool) -> Iterator[tuple[int, set[str] | None]]:
        """The losses of data: their indices, and the events that they can have been about; None is any."""
        last_fault = ""
        for i, entry in enumerate(self.entries):
            details = entry.details
            if entry.kind == "fault":
                last_fault = str(details.get("fault", ""))
            if entry.kind not in ("store-lost", "dropped", "fault"):
                continue
            if entry.kind != "store-lost" and not (allowed and entry.event):
                continue
            fault = str(details.get("fault") or ("drop" if entry.kind == "dropped" else last_fault))
            if allowed and fault not in self.header.allowed_loss:
                continue
            yield i, self._about(details.get("keys")) if entry.kind == "store-lost" else {entry.event}

    def _about(self, keys: object) -> set[str] | None:
        if not isinstance(keys, (list, tuple, dict)) or not keys:
            return None
        found: set[str] = set()
        for key in keys:
            about = {event for event in self.events if words_hold(str(key), event, self.identity(event))}
            if not about:
                return None
            found |= about
        return found

    def store_lost(self, event: str, after: int, before: int) -> bool:
        return any(after < i < before and (about is None or event in about) for i, about in self.losses(allowed=False))

    def warned(self, event: str, after: int) -> bool:
        return any(i > after and e.event == event for i, e in self.of("warned"))

    def loss_allowed(self, event: str, before: int, *, reported: bool = False) -> bool:
        known = self.first_known(event)
        names = {event, self.leaders.get(event, "")} - {""}
        for i, about in self.losses(allowed=True):
            again = any(offer.parked and i < offer.index < before for offer in self.offers_of(event))
            if i < before and (about is None or names & about) and known is not None and known < i and not again:
                return not reported or self.warned(event, i)
        return False

    # -- the run

    @cached_property
    def phases(self) -> list[tuple[int, str]]:
        return [(i, str(e.details.get("phase", ""))) for i, e in self.of("phase")]

    @property
    def quiet(self) -> bool:
        return bool(self.phases) and self.phases[-1][1] == "quiet"

    @property
    def complete(self) -> bool:
        return self.quiet or not (self.phases or self.truncated)


def words_hold(key: str, *names: str) -> bool:
    """Say whether one of the words in a key is one of the names."""
    word, words = "", []
    for letter in key + " ":
        if letter.isascii() and (letter.isalnum() or letter in "_.-"):
            word += letter
        else:
            words.append(word)
            word = ""
    return any(name in words for name in names)


def union(spans: list[Span]) -> list[Span]:
    """The time that some span covers, as spans of which no two touch."""
    edges = sorted({edge for span in spans for edge in span})
    pieces = [(a, b) for a, b in pairwise(edges) if any(begin <= a and b <= end for begin, end in spans)]
    joined: list[Span] = []
    for begin, end in pieces:
        if joined and joined[-1][1] == begin:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((begin, end))
    return joined


def common(lanes: list[list[Span]]) -> list[Span]:
    """The time that a span of every lane covers."""
    edges = sorted({edge for lane in lanes for span in lane for edge in span})
    pieces = [
        (a, b) for a, b in pairwise(edges) if all(any(begin <= a and b <= end for begin, end in lane) for lane in lanes)
    ]
    return union(pieces)


def uncovered(begin: int, end: int, spans: list[Span]) -> int:
    """How much of the time from `begin` to `end` no span covers."""
    if end <= begin:
        return 0
    inside = [(max(begin, a), min(end, b)) for a, b in spans if a < end and b > begin]
    return end - begin - sum(b - a for a, b in union(inside))
