"""What is sent to Redis: each script with the shared steps that it takes, and no others."""

from __future__ import annotations

import re

import pytest

from ordering.scripts import assemble, script, source

VERBS = (
    "advance",
    "begin",
    "begin_many",
    "claim",
    "complete",
    "complete_many",
    "fail",
    "mark",
    "park",
    "renew",
    "renew_many",
    "sweep",
    "unpark",
    "wait",
)
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


def test_a_script_carries_what_it_takes_and_what_that_takes() -> None:
    assert made_of("return two()") == ["one", "two"]
    assert made_of("return three() + one()") == ["one", "three"]
    assert made_of("return twofold") == []


@pytest.mark.parametrize("verb", VERBS)
def test_no_script_takes_what_it_does_not_carry(verb: str) -> None:
    text = script(verb).text
    carried = set(re.findall(r"local function (\w+)", text))
    for step in re.findall(r"^local function (\w+)", source("shared"), re.MULTILINE):
        assert step in carried or not re.search(rf"\b{step}\(", text), step
