import json
import re

import pytest
from exported_histories import led, unfinished
from toy_history import MS, toy, toy_run

from reports.exports import Unexportable, otlp
from simulation.history.entries import Header
from simulation.history.history import History

EPOCH = 1_700_000_000 * 10**9
INTERNAL, CLIENT, PRODUCER, CONSUMER = 1, 3, 4, 5
SPAN = {
    "traceId",
    "spanId",
    "parentSpanId",
    "name",
    "kind",
    "startTimeUnixNano",
    "endTimeUnixNano",
    "attributes",
    "events",
    "links",
    "status",
}


def request(history, violations=()):
    text = "".join(otlp.write(history, violations))
    return json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


def spans(document):
    return [span for resource in document["resourceSpans"] for span in resource["scopeSpans"][0]["spans"]]


def values(attributes):
    return {a["key"]: plain(a["value"]) for a in attributes}


def plain(value):
    ((kind, content),) = value.items()
    match kind:
        case "stringValue" | "boolValue":
            assert isinstance(content, str if kind == "stringValue" else bool)
            return content
        case "intValue":
            assert re.fullmatch("-?[0-9]+", content)
            return int(content)
        case "arrayValue":
            return [plain(item) for item in content["values"]]
    pytest.fail(f"{kind} is no kind of value")


def check_ids(record):
    assert re.fullmatch("[0-9a-f]{32}", record["traceId"])
    assert re.fullmatch("[0-9a-f]{16}", record["spanId"])
    assert set(record["traceId"]) != {"0"}
    assert set(record["spanId"]) != {"0"}


def check_times(span):
    times = [span["startTimeUnixNano"], span["endTimeUnixNano"], *(e["timeUnixNano"] for e in span.get("events", ()))]
    assert all(isinstance(time, str) and re.fullmatch("[0-9]+", time) for time in times)
    assert EPOCH <= int(times[0]) <= int(times[1])


def test_spans_are_as_the_specification_has_them(anything):
    document = request(anything)
    assert document.keys() == {"resourceSpans"}
    for resource in document["resourceSpans"]:
        assert resource.keys() == {"resource", "scopeSpans"}
        assert values(resource["resource"]["attributes"])["service.name"]
        (scope,) = resource["scopeSpans"]
        assert scope.keys() == {"scope", "spans"}
    for span in spans(document):
        assert span.keys() <= SPAN
        assert span["kind"] in (INTERNAL, CLIENT, PRODUCER, CONSUMER)
        assert span["name"]
        check_ids(span)
        check_times(span)
        assert span.get("status", {}).get("code", 0) in (0, 1, 2)
        for part in (span, *span.get("events", ()), *span.get("links", ())):
            values(part["attributes"])


def test_ids_are_unique(anything):
    """Ids are unique and what they refer to is there."""
    found = spans(request(anything))
    known = {(span["traceId"], span["spanId"]) for span in found}
    assert len({span["spanId"] for span in found}) == len(found)
    for span in found:
        assert "parentSpanId" not in span or (span["traceId"], span["parentSpanId"]) in known
        for link in span.get("links", ()):
            check_ids(link)
            assert (link["traceId"], link["spanId"]) in known


def test_one_span_each(anything):
    """Each handling and each delivery is one span."""
    operations = [values(span["attributes"]).get("messaging.operation.type") for span in spans(request(anything))]
    assert operations.count("process") == len(list(anything.of("started")))
    assert operations.count("receive") == len(list(anything.of("delivered")))
    assert operations.count("send") == len({entry.event for entry in anything.of("published")})


def test_what_is_no_span_is_an_event_of_one_span(anything):
    noted = [values(e["attributes"]) for span in spans(request(anything)) for e in span.get("events", ())]
    shown = ("published", "delivered", "started", "ended", "acknowledged", "rejected", "command", "reply")
    expected = [index for index, entry in enumerate(anything) if entry.kind not in shown]
    assert sorted(attributes["causim.entry"] for attributes in noted) == expected


def test_same_bytes():
    """The same history gives the same bytes and another run other ids."""
    one, again, other = toy(30, 3), toy(30, 3), toy(30, 3)
    other.header = Header("toy", 2, "native", "server")
    assert "".join(otlp.write(one)) == "".join(otlp.write(again))
    ids = [{span["spanId"] for span in spans(request(history))} for history in (one, other)]
    assert not ids[0] & ids[1]


def test_trace_links_to_leaders():
    """A trace leads from publication to handling and links to the leaders."""
    found = {(span["name"], span["kind"]): span for span in spans(request(led()))}
    publish, deliver = found["publish a", PRODUCER], found["deliver a", CONSUMER]
    handle, follower = found["handle a", INTERNAL], found["handle b", INTERNAL]
    assert deliver["parentSpanId"] == publish["spanId"]
    assert handle["parentSpanId"] == deliver["spanId"]
    assert follower["parentSpanId"] == found["publish b", PRODUCER]["spanId"]
    assert publish["traceId"] == deliver["traceId"] == handle["traceId"] != follower["traceId"]
    assert [(link["traceId"], link["spanId"]) for link in follower["links"]] == [(handle["traceId"], handle["spanId"])]
    assert "links" not in handle
    assert handle["startTimeUnixNano"] == str(EPOCH + 21 * MS * 1000)
    assert handle["endTimeUnixNano"] == str(EPOCH + 30 * MS * 1000)
    assert handle["status"] == {"code": 1}
    assert [event["name"] for event in found["deliver b", CONSUMER]["events"]] == ["parked"]


def test_early_follower_links_to_its_leader():
    """A follower that did not wait links to the handling it should have waited for."""
    h = History(Header())
    h.append(0, "published", "b", follows="a")
    h.append(1, "started", "b", "c1", handling=1, via="delivered")
    h.append(2, "ended", "b", "c1", handling=1, outcome="ok")
    h.append(3, "started", "a", "c1", handling=2, via="delivered")
    found = {span["name"]: span for span in spans(request(h))}
    assert [link["spanId"] for link in found["handle b"]["links"]] == [found["handle a"]["spanId"]]


def test_failed_crashed_and_open():
    """Failures, crashes and open ends are distinguished."""
    found = [span for span in spans(request(unfinished())) if span["name"].startswith("handle")]
    described = [(s["name"], s["status"].get("code"), values(s["attributes"])["causim.unfinished"]) for s in found]
    assert described == [("handle a", 2, False), ("handle b", 2, False), ("handle a", None, True)]
    assert found[2]["endTimeUnixNano"] == str(EPOCH + 8000)


def test_requests_to_redis_are_spans_of_the_run(real_runs):
    history = real_runs["late-leader"].history
    found = [span for span in spans(request(history)) if span["kind"] == CLIENT]
    assert len(found) == len(list(history.of("command")))
    assert len({span["parentSpanId"] for span in found}) == 1


def test_violations_are_events_of_the_run():
    run = toy_run(80, 3, forget=0.2, seed=3)
    (root,) = [s for s in spans(request(run.history, run.judgement.violations)) if s["name"] == "run of toy"]
    said = [
        values(e["attributes"])["causim.because"] for e in root["events"] if e["name"] == "violation prompt-release"
    ]
    assert sorted(said) == sorted(v.because for v in run.judgement.violations)
    times = [int(event["timeUnixNano"]) for event in root["events"]]
    assert times == sorted(times)


@pytest.mark.parametrize("epoch", ["yesterday", "", 5, None, "1969-12-31T23:59:59+00:00", "9999-01-01"])
def test_bad_epoch(epoch):
    """An epoch that is no instant is refused by name."""
    with pytest.raises(Unexportable, match=r"'epoch'.*since 1970"):
        list(otlp.write(History(Header(epoch=epoch))))


def test_an_epoch_without_a_zone_is_utc():
    for epoch in ("2023-11-14T22:13:20", "2023-11-14T23:13:20+01:00"):
        (root,) = spans(request(History(Header(epoch=epoch))))
        assert root["startTimeUnixNano"] == str(EPOCH)


def test_handling_belongs_to_its_delivery():
    """A handling belongs to the delivery before it."""
    h = History(Header())
    for attempt in (1, 2):
        h.append(10 * attempt, "delivered", "a", "c1", attempt=attempt)
        h.append(10 * attempt + 1, "started", "a", "c1", handling=attempt, via="delivered")
        h.append(10 * attempt + 2, "ended", "a", "c1", handling=attempt, outcome="failed")
    delivered, handled, again, handled_again = spans(request(h))[1:]
    assert values(again["attributes"])["causim.attempt"] == 2
    assert handled["parentSpanId"] == delivered["spanId"]
    assert handled_again["parentSpanId"] == again["spanId"]
    assert [span["status"]["code"] for span in (handled, handled_again)] == [2, 2]
