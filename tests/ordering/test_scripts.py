"""What is sent to Redis: each script with the shared steps that it takes, and no others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ordering.scripts import SHARED_PARTS, assemble, names, script, source

SHARED = """
local prefix = KEYS[1]
local function one() return 1 end

local function two() return one() + 1 end

local function three() return 3 end
"""


def made_of(own: str) -> list[str]:
    text = assemble("test", SHARED, f"-- args: x\n-- returns: y\n{own}").text
    assert text.startswith("\nlocal prefix")
    return re.findall(r"local function (\w+)", text)


def test_script_carries_what_it_uses() -> None:
    """A script carries what it takes and what that takes."""
    assert made_of("return two()") == ["one", "two"]
    assert made_of("return three() + one()") == ["one", "three"]
    assert made_of("return twofold") == []


RARE = """
local function one() return 1 end
-- What two() is for.
local kept = 2
local function two() return one() + kept end
local function other()  -- rarely
  return two()
end
local function three() return two() end
"""


def test_rare_step_has_rare_parts() -> None:
    """A rare step has in it what only rare steps take."""
    nested = "local function other()  -- rarely\nlocal function one() return 1 end\nlocal function two()"
    text = assemble("test", RARE, "-- args: x\n-- returns: y\nreturn other()").text
    assert nested in text
    assert text.count("local function one") == 1
    assert text.index("local kept = 2") < text.index("local function other"), "a value is there for every step"
    text = assemble("test", RARE, "-- args: x\n-- returns: y\nreturn other() + three()").text
    assert re.findall(r"local function (\w+)", text) == ["one", "two", "other", "three"]


def test_mentioned_step_is_not_carried() -> None:
    """A step that is only written about is not taken."""
    assert made_of('return "one" -- or two') == []


@pytest.mark.parametrize("verb", names())
def test_no_script_takes_what_it_does_not_carry(verb: str) -> None:
    text = script(verb).text
    carried = set(re.findall(r"local function (\w+)", text))
    for step in re.findall(r"^local function (\w+)", source("shared"), re.MULTILINE):
        assert step in carried or not re.search(rf"\b{step}\(", text), step


def test_every_shared_part_is_named() -> None:
    """No file of shared steps is left out of the scripts."""
    assert sorted(SHARED_PARTS) == sorted(file.stem for file in Path("ordering/lua/shared").iterdir())
    assert all(not line.startswith("-- ") for line in source("shared").splitlines()[:1])
