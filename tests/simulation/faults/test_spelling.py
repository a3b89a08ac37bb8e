"""How commands are spelled for the patterns of faults."""

from __future__ import annotations

from fnmatch import fnmatchcase

from ordering.scripts import script
from simulation.engines.native import NativeEngine
from simulation.world.injection.command_patterns import Spelling

SPELL = Spelling(NativeEngine.scripts())


def matches(pattern: str, *words: str) -> bool:
    return any(fnmatchcase(text, pattern) for text in SPELL([word.encode() for word in words]))


def test_a_script_goes_by_its_digest_and_by_its_name() -> None:
    sent = ("EVALSHA", script("begin").digest, "1", "causim:waitlist")
    assert matches("EVALSHA begin *", *sent)
    assert matches(f"EVALSHA {script('begin').digest} *", *sent)


def test_a_named_script_sent_in_full_is_not_met_by_the_words_of_its_source() -> None:
    text = script("fail").text
    assert "an event back" in text
    assert matches("EVAL* fail *", "EVAL", text, "1", "causim:waitlist")
    assert not matches("EVAL* an event back *", "EVAL", text, "1", "causim:waitlist")


def test_a_script_without_a_name_goes_by_its_source() -> None:
    assert matches("EVAL ?return *", "EVAL", "\nreturn 1", "0")
