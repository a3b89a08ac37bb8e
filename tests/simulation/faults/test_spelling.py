"""How commands are spelled for the patterns of faults."""

from __future__ import annotations

from fnmatch import fnmatchcase

from ordering.scripts import script
from simulation.engines.native import NativeEngine
from simulation.world.injection.command_patterns import Spelling

SPELL = Spelling(NativeEngine.scripts())


def matches(pattern: str, *words: str) -> bool:
    return any(fnmatchcase(text, pattern) for text in SPELL([word.encode() for word in words]))


def test_script_by_digest_or_name() -> None:
    """A script goes by its digest and by its name."""
    sent = ("EVALSHA", script("begin").digest, "1", "causim:waitlist")
    assert matches("EVALSHA begin *", *sent)
    assert matches(f"EVALSHA {script('begin').digest} *", *sent)


def test_named_script_sent_in_full() -> None:
    """A named script sent in full is not met by the words of its source."""
    text = script("fail").text
    assert "an event back" in text
    assert matches("EVAL* fail *", "EVAL", text, "1", "causim:waitlist")
    assert not matches("EVAL* an event back *", "EVAL", text, "1", "causim:waitlist")


def test_unnamed_script() -> None:
    """A script without a name goes by its source."""
    assert matches("EVAL ?return *", "EVAL", "\nreturn 1", "0")
