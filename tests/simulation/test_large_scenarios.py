"""Scenarios of a stranger that would take minutes to refuse, or fill the memory; and sentences of a readable length."""

from __future__ import annotations

import pytest

from simulation.scenario.errors import BadScenario
from simulation.scenario.load import loads

SCENARIO = 'name = "s"\n[workload]\nevents = [{ name = "a" }]\n'
MANY = 1_000_000
TEN_THOUSAND = "[consumers]\ncount = 10_000\n"


@pytest.mark.parametrize(
    ("text", "because"),
    [
        (SCENARIO + '[judge]\nhorizon = "' + "9" * MANY + '"\n', "is not a duration such as"),
        (SCENARIO + '[broker]\ndelay = "' + "9" * MANY + '"\n', "is not a duration such as"),
        ("seed = 0x" + "f" * 10_000 + "\n" + SCENARIO, "'seed' is a number of thousands of digits"),
        (SCENARIO + '[swarm.choose]\n"seed" = [1, 0b' + "1" * 40_000 + "]\n", "'swarm.choose.seed[2]' is a number of"),
        ("k" * (MANY // 10) + " = [" + "1," * (MANY // 50) + "]\n" + SCENARIO, "there is no such key"),
        (f"{SCENARIO}{TEN_THOUSAND}[consumers.engines]\n" + "".join(f'c{n} = ""\n' for n in range(MANY // 50)), "'c0'"),
        (SCENARIO + "".join(f"k{number} = 1\n" for number in range(1_000)), "and 980 more mistakes"),
        ("seed = [" + "1," * (MANY // 4) + "]\n" + SCENARIO, "'seed' has 250,000 entries"),
        (SCENARIO.replace('"a"', f'"{"a" * MANY}"'), "must be at most 120 characters long"),
        (SCENARIO + "[consumers]\ncount = 1_000\nconcurrency = 101\n", "are 101,000 tasks; at most 100,000"),
        ('name = "s"\n[workload]\nkind = "chains"\ncount = 10_000_001\n', "at most 10,000,000; each event takes about"),
    ],
    ids=["duration", "delay", "hex", "bits", "places", "engines", "keys", "list", "name", "tasks", "events"],
)
def test_large_scenario(text: str, because: str) -> None:
    """It is refused at once, and in a few lines."""
    with pytest.raises(BadScenario) as refused:
        loads(text)
    assert because in str(refused.value)
    assert len(str(refused.value)) < 10_000


def test_description_of_a_million_lines() -> None:
    """Each is looked at once."""
    assert loads(f'description = """{chr(10) * MANY}"""\n{SCENARIO}').name == "s"
    with pytest.raises(BadScenario, match="a line that a CI would obey"):
        loads(f'description = """a\n{" " * MANY}::error::b"""\n{SCENARIO}')


def test_many_expectations() -> None:
    """What is expected of one engine is read once, and not again for each other."""
    scenario = loads(SCENARIO + "[expect]\n" + "".join(f'e{number} = "holds"\n' for number in range(MANY // 50)))
    assert len(scenario.expected) == MANY // 50


def test_many_patterns_of_consumers() -> None:
    """As many are compared with the names as a second allows; one that is given often is compared once."""
    fault = '[[faults]]\nkind = "handler-raises"\nconsumer = "{}"\n'
    assert loads(SCENARIO + TEN_THOUSAND + fault.format("*9") * 1_000)
    with pytest.raises(BadScenario, match="101 patterns of the names of 10,000 consumers are too many"):
        loads(SCENARIO + TEN_THOUSAND + "".join(fault.format(f"*{number}") for number in range(101)))


def test_events_that_fill_the_memory() -> None:
    """Those that are too large for Redis are counted by their size."""
    fault = '[[faults]]\nkind = "too-large"\nsize = 16_777_216\n'
    chains = 'name = "s"\n[workload]\nkind = "chains"\ncount = 33\nlength = 1\n'
    with pytest.raises(BadScenario, match="may have 528 MiB in all; at most 512 MiB"):
        loads(chains + fault)
    assert loads(chains + fault + 'event = "one"\n')
    assert loads(chains + fault + "nth = 1\n")
    with pytest.raises(BadScenario, match=r"\[faults\[33\]\].* 528 MiB"):
        loads(chains + (fault + 'event = "one"\n') * 33)


def test_a_bad_entry_leaves_no_empty_list() -> None:
    """A list whose entries are wrong is not called empty."""
    with pytest.raises(BadScenario) as refused:
        loads('name = "s"\n[workload]\nevents = [{ name = "a b" }]\n')
    assert "must be without blanks and '/' (given: 'a b')" in str(refused.value)
    assert "at least" not in str(refused.value)
    with pytest.raises(BadScenario, match="must have at least 1"):
        loads('name = "s"\n[workload]\nevents = []\n')
