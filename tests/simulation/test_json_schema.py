"""The JSON schema of scenario files: it takes what is shipped, and refuses what the parser refuses."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from causim import shipped
from simulation.cli import main
from simulation.scenario.errors import BadScenario
from simulation.scenario.json_schema import json_schema
from simulation.scenario.load import loads

SCENARIOS = sorted({*Path("scenarios").rglob("*.toml"), *shipped.MUTANTS.glob("*.toml")})
FAULTS = sorted(Path("docs/reference/faults").glob("*.toml"))
CHAINS = 'name = "x"\n[workload]\nkind = "chains"\n'

WRONG = [
    "",
    'name = "x"',
    'name = "x"\n[workload]\nkind = "chain"',
    'name = "x"\n[workload]\nfile = "trace.jsonl"',
    'name = "x"\n[workload]\nevents = [{ nme = "a" }]',
    'name = "x y"\n[workload]\nkind = "chains"',
    CHAINS + "lenght = 3",
    CHAINS + "[brokr]",
    CHAINS + "[broker]\ndrop = 1.3",
    CHAINS + "[broker]\nredeliver_after = 5",
    CHAINS + '[broker]\nredeliver_after = "5"',
    CHAINS + '[broker]\nredeliver_after = "1h 30m"',
    CHAINS + '[broker]\ndelay = { normal = "5ms" }',
    CHAINS + '[broker]\ndelay = { uniform = ["5ms"] }',
    CHAINS + '[broker]\ndelay = { lognormal = { median = "5ms", sigma = 11 } }',
    CHAINS + "[consumers]\ncount = 0",
    CHAINS + '[judge]\ninvariants = ["casual-order"]',
    CHAINS + '[judge]\nrequire_coverage = ["packed"]',
    CHAINS + '[[faults]]\nat = "1s"',
    CHAINS + '[[faults]]\nkind = "crush"\nat = "1s"',
    CHAINS + '[[faults]]\nkind = "pause"\nat = "1s"',
    'folder = "/"\n' + CHAINS,
]
RIGHT = [
    CHAINS,
    'name = "x"\n[workload]\nevents = [{ name = "a" }]',
    CHAINS + '[broker]\nredeliver_after = " 1h30m"\ndelay = 0',
    CHAINS + '[broker]\ndelay = { lognormal = { median = "5 ms", sigma = 0.8 } }',
    CHAINS + '[consumers.engines]\nc2 = { prefect = "prefect@0.2.8" }',
    CHAINS + '[expect]\nnative = ["causal-order"]\nlatency.p99 = "<= 2s"',
    CHAINS + '[[faults]]\nkind = "pause"\nat = "1s"\nfor = "2s"',
]


@pytest.fixture(scope="module")
def validator() -> Draft7Validator:
    schema = json_schema()
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema)


def mistakes(validator: Draft7Validator, text: str) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(tomllib.loads(text))]


@pytest.mark.parametrize("file", [*SCENARIOS, *FAULTS], ids=lambda file: file.stem)
def test_a_shipped_scenario_validates(file: Path, validator: Draft7Validator) -> None:
    assert mistakes(validator, file.read_text()) == []


@pytest.mark.parametrize("text", RIGHT)
def test_what_the_parser_takes_validates(text: str, validator: Draft7Validator) -> None:
    loads(text)
    assert mistakes(validator, text) == []


@pytest.mark.parametrize("text", WRONG)
def test_refused_by_both(text: str, validator: Draft7Validator) -> None:
    """What the parser refuses does not validate."""
    with pytest.raises(BadScenario):
        loads(text)
    assert mistakes(validator, text)


def test_old_names(validator: Draft7Validator) -> None:
    """A key under its old name validates and is marked."""
    with pytest.warns(FutureWarning, match="is called 'max_depth' now"):
        loads(CHAINS + "[policy]\ndepth = 3")
    assert mistakes(validator, CHAINS + "[policy]\ndepth = 3") == []
    assert json_schema()["definitions"]["PolicyTable"]["properties"]["depth"]["deprecated"] is True


def test_defaults() -> None:
    """Defaults are written as a file writes them."""
    tables: dict[str, Any] = json_schema()["definitions"]
    assert tables["Broker"]["properties"]["redeliver_after"]["default"] == "5s"
    assert tables["Broker"]["properties"]["delay"]["default"] == "1ms"


def test_command(capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints what is in the documentation."""
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(Path("docs/reference/scenario.schema.json").read_text())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (CHAINS + "lenght = 3", "('lenght' was unexpected)"),
        (CHAINS + '[[faults]]\nkind = "pause"\nat = "1s"', "'for' is a required property"),
    ],
)
def test_the_mistake_in_a_kind_is_named(text: str, said: str, validator: Draft7Validator) -> None:
    assert any(said in each for each in mistakes(validator, text))
