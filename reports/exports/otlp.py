"""Histories as OpenTelemetry traces: one OTLP/JSON request, as collectors and trace viewers take it.

A service is a place: the run, the broker, each consumer. A trace is an event, from its publication (`PRODUCER`) over
its deliveries (`CONSUMER`) to its handlings; the handling of a follower links to the handling of its leader. The run
has a trace of its own, which holds the faults, the violations and, of a traced run, the requests to Redis.

Ids are hashes of the history's header and of the named things: the same history always gives the same bytes. A time is
the header's epoch and the microseconds since. A span without an end in the history ends with it, marked as unfinished.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from reports.exports.causes import BROKER, WORLD, Effects, Place, deliveries_of, exchanges
from reports.exports.text import compact, whole
from reports.exports.unexportable import Unexportable
from reports.page.marks import natural
from reports.text.sentences import sentence
from simulation.history.indexer import index_of
from simulation.history.records import NEVER

if TYPE_CHECKING:
    from simulation.history.entries import Entry, Header
    from simulation.history.history import History
    from simulation.history.records import Delivery, EventStory, Handling
    from simulation.invariants import Violation

INTERNAL, CLIENT, PRODUCER, CONSUMER = 1, 3, 4, 5
"""The kinds of spans, by the numbers that OTLP gives them."""

OK, ERROR = 1, 2
"""The codes of a span's status; a span that is neither says nothing."""

_1970 = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = 2**64 - 1
"""The last nanosecond that OTLP can name."""

Record = dict[str, Any]
Values = Mapping[str, object]


def write(history: History, violations: Sequence[Violation] = ()) -> Iterator[str]:
    """Yield the request in pieces. Raises Unexportable if the header's epoch is no instant that OTLP can name."""
    yield from Tracing(history, violations).pieces()


def epoch_of(header: Header, end: int) -> int:
    """Return the epoch of a history in nanoseconds since 1970. Raises Unexportable."""
    try:
        instant = datetime.fromisoformat(header.epoch)
    except (TypeError, ValueError):
        instant = None
    if instant is not None:
        aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
        epoch = (aware - _1970) // timedelta(microseconds=1) * 1000
        if epoch >= 0 and epoch + end * 1000 <= _LATEST:
            return epoch
    raise Unexportable(
        f"the header's field 'epoch' is {header.epoch!r}; "
        "give it an instant since 1970, such as 2023-11-14T22:13:20+00:00"
    )


class Tracing:
    """The spans of one history, by the place that they belong to."""

    def __init__(self, history: History, violations: Sequence[Violation]) -> None:
        self._history = history
        self._violations = violations
        self._index = index_of(history)
        self._effects = Effects(self._index)
        self._epoch = epoch_of(history.header, self._index.end_at)
        self._run = blake2b(compact(asdict(history.header)).encode(), digest_size=32).digest()
        self._spans: dict[Place, list[Record]] = {WORLD: [], BROKER: []}
        self._publications: dict[str, Record] = {}
        self._latest: dict[tuple[str, str], Record] = {}
        self._deliveries: dict[int, Record] = {}
        self._gather()

    def pieces(self) -> Iterator[str]:
        """Yield the request in pieces, a line a span."""
        first, *others = sorted(self._spans, key=lambda place: (place != WORLD, place != BROKER, natural(place.name)))
        yield '{"resourceSpans":[\n'
        for place in (first, *others):
            yield "" if place is first else ",\n"
            yield from self._of_place(place)
        yield "\n]}\n"

    def _of_place(self, place: Place) -> Iterator[str]:
        header = self._history.header
        name = {WORLD: "run", BROKER: "broker"}.get(place, place.name) or "unnamed"
        about = {
            "service.name": name,
            "service.namespace": str(header.scenario),
            "causim.place": "run" if place == WORLD else place.kind,
            "causim.seed": header.seed,
            "causim.engine": str(header.engine),
            "causim.store": str(header.store),
        }
        scope = compact({"name": "causim", "version": str(header.version)})
        yield f'{{"resource":{compact({"attributes": _attributes(about)})},"scopeSpans":[{{"scope":{scope},"spans":[\n'
        in_time = sorted(self._spans[place], key=lambda span: int(span["startTimeUnixNano"]))
        for number, span in enumerate(in_time):
            yield (",\n" if number else "") + compact(span)
        yield "\n]}]}"

    # -- gathering -------------------------------------------------------------------------------------------

    def _gather(self) -> None:
        run = self._run_span()
        for event in self._index:
            self._publish(event)
        for delivery in self._index.deliveries():
            self._deliver(delivery)
        for event in self._index:
            for handling, cause in deliveries_of(event):
                self._handle(event, handling, cause)
        for exchange in exchanges(self._history):
            self._ask(run, exchange.command, exchange.reply)
        for index, entry in enumerate(self._history):
            self._note(run, index, entry)
        for violation in self._violations:
            values = {
                "causim.invariant": violation.invariant,
                "causim.events": list(violation.events),
                "causim.consumers": list(violation.consumers),
                "causim.because": violation.because,
            }
            run["events"].append(self._moment(violation.at, f"violation {violation.invariant}", values))
        run["events"].sort(key=lambda moment: int(moment["timeUnixNano"]))

    def _run_span(self) -> Record:
        values: dict[str, object] = {"causim.entries": len(self._history)}
        if self._history.truncated:
            values["causim.truncated"] = self._history.truncated
        name, trace, span = f"run of {self._history.header.scenario}", self._trace(), self._id("run")
        return self._span(WORLD, INTERNAL, name, values, trace=trace, span=span, start=0, end=self._index.end_at)

    def _publish(self, event: EventStory) -> None:
        if event.published == NEVER:
            return
        values = {**_message(event.name, "send"), "causim.follows": event.leader}
        self._publications[event.name] = self._span(
            BROKER,
            PRODUCER,
            f"publish {event.name}",
            values,
            trace=self._trace(event.name),
            span=self._id("publication", event.name),
            start=event.published_at,
            end=event.published_at,
        )

    def _deliver(self, delivery: Delivery) -> None:
        values: dict[str, object] = {
            **_message(delivery.event, "receive"),
            "causim.attempt": delivery.attempt,
            "causim.outcome": delivery.outcome,
            "causim.unfinished": delivery.closed == NEVER,
        }
        span = self._span(
            Place("consumer", delivery.consumer),
            CONSUMER,
            f"deliver {delivery.event}",
            values,
            trace=self._trace(delivery.event),
            span=self._id("delivery", delivery.index),
            start=delivery.at,
            end=None if delivery.closed == NEVER else delivery.closed_at,
            parent=self._publications.get(delivery.event),
        )
        if delivery.outcome == "rejected":
            span["status"] = {"code": ERROR, "message": whole(delivery.because)}
        self._deliveries[delivery.index] = span

    def _handle(self, event: EventStory, handling: Handling, delivery: Delivery | None) -> None:
        values: dict[str, object] = {
            **_message(handling.event, "process"),
            "causim.handling": handling.number,
            "causim.via": handling.via,
            "causim.outcome": handling.reported_outcome,
            "causim.write": handling.write,
            "causim.effect": handling.took_effect,
            "causim.unfinished": handling.end == NEVER,
        }
        span = self._span(
            Place("consumer", handling.consumer),
            INTERNAL,
            f"handle {handling.event}",
            values,
            trace=self._trace(handling.event),
            span=self._id("handling", handling.start),
            start=handling.start_at,
            end=None if handling.end == NEVER else handling.end_at,
            parent=self._deliveries[delivery.index] if delivery else self._publications.get(handling.event),
        )
        span["status"] = _status(handling)
        leader = self._leading(event, handling)
        if leader is not None:
            link = {"traceId": self._trace(leader.event), "spanId": self._id("handling", leader.start)}
            span["links"] = [{**link, "attributes": _attributes({"causim.link": "leader"})}]

    def _leading(self, event: EventStory, handling: Handling) -> Handling | None:
        """Return the handling of the leader that a follower's came after or, if there is none, should have."""
        leader = self._index.leader_of(event)
        return self._effects.before(handling) or (leader.main_handling if leader else None)

    def _ask(self, run: Record, command: int, reply: int | None) -> None:
        entry = self._history.entries[command]
        at = None if reply is None else self._history.entries[reply].at
        values: dict[str, object] = {
            "db.system.name": "redis",
            "db.query.text": sentence(entry),
            "causim.connection": entry.details.get("connection", ""),
            "causim.unfinished": reply is None,
        }
        self._span(
            Place("consumer", entry.consumer),
            CLIENT,
            "Redis",
            values,
            trace=self._trace(),
            span=self._id("request", command),
            start=entry.at,
            end=at,
            parent=run,
        )

    def _note(self, run: Record, index: int, entry: Entry) -> None:
        """Put an entry that is no span of its own on the span that it belongs to, or else on the run's."""
        match entry.kind:
            case "published" | "started" | "ended" | "acknowledged" | "rejected" | "command" | "reply":
                return
            case "delivered":
                self._latest[entry.consumer, entry.event] = self._deliveries[index]
                return
            case "duplicated" | "dropped" | "dead-lettered" | "parked" | "refused" | "lease-lost" if entry.event:
                delivered = self._latest.get((entry.consumer, entry.event))
                span = delivered or self._publications.get(entry.event) or run
            case _:
                span = run
        values = {"causim.says": sentence(entry), "causim.consumer": entry.consumer, "causim.entry": index}
        span.setdefault("events", []).append(self._moment(entry.at, entry.kind, values))

    # -- spans -----------------------------------------------------------------------------------------------

    def _span(
        self,
        place: Place,
        kind: int,
        name: str,
        values: Values,
        *,
        trace: str,
        span: str,
        start: int,
        end: int | None,
        parent: Record | None = None,
    ) -> Record:
        record: Record = {"traceId": trace, "spanId": span}
        if parent is not None:
            record["parentSpanId"] = parent["spanId"]
        record |= {
            "name": whole(name),
            "kind": kind,
            "startTimeUnixNano": self._time(start),
            "endTimeUnixNano": self._time(self._index.end_at if end is None else end),
            "attributes": _attributes(values),
        }
        if place == WORLD:
            record["events"] = []
        self._spans.setdefault(place, []).append(record)
        return record

    def _moment(self, at: int, name: str, values: Values) -> Record:
        return {"timeUnixNano": self._time(at), "name": whole(name), "attributes": _attributes(values)}

    def _time(self, at: int) -> str:
        return str(self._epoch + at * 1000)

    def _trace(self, *about: str) -> str:
        return self._hash(16, "trace", *about)

    def _id(self, *about: object) -> str:
        return self._hash(8, "span", *about)

    def _hash(self, size: int, *about: object) -> str:
        return blake2b(compact(about).encode(), digest_size=size, key=self._run).hexdigest()


def _message(event: str, operation: str) -> dict[str, object]:
    return {
        "messaging.system": "causim",
        "messaging.operation.type": operation,
        "messaging.message.id": event,
    }


def _status(handling: Handling) -> Record:
    match handling.reported_outcome:
        case "ok":
            return {"code": OK}
        case "open":
            return {}
        case "unknown":
            return {"code": ERROR, "message": "its consumer was gone first, or how it ended is not known"}
        case outcome:
            return {"code": ERROR, "message": whole(f"the handling {outcome}")}


def _attributes(values: Values) -> list[Record]:
    return [{"key": key, "value": _value(value)} for key, value in values.items() if value != ""]


def _value(value: object) -> Record:
    match value:
        case bool():
            return {"boolValue": value}
        case int() if -(2**63) <= value < 2**63:
            return {"intValue": str(value)}
        case list():
            return {"arrayValue": {"values": [_value(item) for item in value]}}
        case _:
            return {"stringValue": whole(str(value))}
