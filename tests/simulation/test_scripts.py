from __future__ import annotations

from hashlib import sha1

from simulation.scenario.load import loads
from simulation.stores.script_cache import UNKNOWN, Scripts
from simulation.world.laboratory import Laboratory

BODY = b"return 1"
DIGEST = sha1(BODY, usedforsecurity=False).hexdigest().encode()
RUN = loads('name = "x"\nworkload.events = [{ name = "a" }]\nnetwork.latency = "1ms"\n')


def test_a_script_must_be_sent_before_it_is_named() -> None:
    scripts = Scripts()
    named = [b"EVALSHA", DIGEST, b"0"]
    assert scripts.admit([named]) == [[b"EVALSHA", UNKNOWN, b"0"]]
    assert scripts.admit([[b"EVAL", BODY, b"0"], named]) == [[b"EVAL", BODY, b"0"], named]
    assert scripts.admit([[b"evalsha", DIGEST.upper(), b"0"]]) == [[b"evalsha", DIGEST.upper(), b"0"]]


def test_loaded_and_forgotten() -> None:
    """Scripts are loaded forgotten and asked for."""
    scripts = Scripts()
    ask, load, flush = [b"SCRIPT", b"EXISTS", DIGEST], [b"SCRIPT", b"LOAD", BODY], [b"SCRIPT", b"FLUSH"]
    assert scripts.admit([ask, load, ask, flush, ask]) == [
        [b"SCRIPT", b"EXISTS", UNKNOWN],
        load,
        ask,
        flush,
        [b"SCRIPT", b"EXISTS", UNKNOWN],
    ]
    assert scripts.admit([[b"GET", DIGEST]]) == [[b"GET", DIGEST]]


def test_sent_again_each_run(laboratory: Laboratory) -> None:
    """Each run on a store sends its scripts again."""
    runs = [laboratory.run(RUN, trace=True) for _ in range(2)]
    refused = [
        [e.details["reply"] for e in run.history.of("reply") if "NOSCRIPT" in e.details["reply"]] for run in runs
    ]
    assert len(refused[0]) == len(refused[1]) > 0
    assert runs[0].history.entries == runs[1].history.entries
