"""The reference of scenario files, from the types that parse them."""

from __future__ import annotations

from typing import get_args

from pydantic import BaseModel

from simulation.invariants import COVERAGE
from simulation.kernel import durations
from simulation.reference.tables import key_table, own_fields, prose, table
from simulation.scenario import budgets, distributions
from simulation.scenario.allow import AllowTable
from simulation.scenario.consumers import Consumers
from simulation.scenario.model import (
    Broker,
    ClientTable,
    Judge,
    NetworkTable,
    PolicyTable,
    Producer,
    Scenario,
    SwarmTable,
)
from simulation.scenario.topology import TopologyTable
from simulation.scenario.workloads import EventsWorkload, PlannedEvent, Workload

EXAMPLE = "scenarios/late-leader.toml"

_BUDGETS = """[expect]
native = "holds"
round_trips_per_event = "<= 3"
latency.p99 = "<= 2s"

[expect.prefect]
verdict = "prompt-release"
round_trips_per_event = "<= 40\""""

_SWARM = """[swarm.choose]
"consumers.count" = [1, 2, 5]
"broker.delay" = ["1ms", { exponential = "100ms" }]

[[swarm.faults]]
kind = "crash"
chance = 0.4
at = ["20ms", "1s"]
for = ["1s", "30s"]"""

_SECTIONS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("broker", Broker),
    ("producer", Producer),
    ("consumers", Consumers),
    ("network", NetworkTable),
    ("topology", TopologyTable),
    ("client", ClientTable),
    ("allow", AllowTable),
    ("policy", PolicyTable),
    ("judge", Judge),
)


def scenario_page(example: str) -> str:
    """Return the page; `example` is the text of a scenario file."""
    top = {
        name: field
        for name, field in own_fields(Scenario).items()
        if name not in {"workload", "faults", "folder", "swarm", *(section for section, _ in _SECTIONS)}
    }
    parts = [
        "# Scenario files",
        "A scenario is a TOML file. It says what is published, what the queue, the consumers and the network are like,"
        " what goes wrong, and what is asked of the history. Only `name` and `[workload]` are required. A key that is"
        " not known is an error, and the message names the file, the table, the key and what is accepted.",
        f"An example, [`{EXAMPLE}`](../../{EXAMPLE}):",
        f"```toml\n{example.rstrip()}\n```",
        "## In an editor",
        "[`scenario.schema.json`](scenario.schema.json) is the JSON schema of these files; `causim schema` prints it."
        " An editor with [taplo](https://taplo.tamasfe.dev), such as VS Code with Even Better TOML, completes keys and"
        " underlines mistakes if the first line of a file names it:",
        "```toml\n#:schema ./scenario.schema.json\n```",
        "What only the parser can know, such as which consumers there are, `causim validate FILE` says.",
        "## At the top of the file",
        key_table(top),
        *_workloads(),
        *(part for name, model in _SECTIONS for part in _section(name, model)),
        *_rest(),
    ]
    return "\n\n".join(parts) + "\n"


def _workloads() -> list[str]:
    kinds = get_args(get_args(Workload)[0])
    parts = [
        "## `[workload]`",
        "What is published, and when. `kind` says how the events are described; it may be left out if `events` lists"
        " them.",
        table(
            ("kind", "what it is"),
            [(f"`{_kind(model)}`", prose(model)) for model in kinds],
        ),
    ]
    for model in kinds:
        parts += [f'### `kind = "{_kind(model)}"`', prose(model), key_table(own_fields(model))]
        if model is EventsWorkload:
            parts += ["Each of the `events`:", key_table(own_fields(PlannedEvent))]
    return parts


def _kind(model: type[BaseModel]) -> str:
    return str(model.model_fields["kind"].default)


def _section(name: str, model: type[BaseModel]) -> list[str]:
    return [f"## `[{name}]`", prose(model), key_table(own_fields(model))]


def _rest() -> list[str]:
    forms = (distributions.__doc__ or "").strip().split("\n\n")
    return [
        "## `[[faults]]`",
        "What goes wrong: one table for each fault, with its `kind`. See [the faults](faults.md).",
        "## `[swarm]`",
        prose(SwarmTable) + " A run of many seeds then tries many scenarios; a violation shows what its seed has drawn,"
        " and the kept run replays without the swarm.",
        key_table(own_fields(SwarmTable)),
        f"```toml\n{_SWARM}\n```",
        "`scenarios/swarm.toml` draws nearly everything, `scenarios/swarm-topologies.toml` sentinels and clusters."
        " `causim validate` reads the scenario with each option in turn.",
        "## `[expect]`",
        'What is expected of each engine, by its name: `native = "holds"`, or the invariants that it is known to'
        ' violate: `prefect = ["prompt-release"]`. An engine with a version is quoted: `"prefect@0.2.8"`. `causim run`'
        " and `causim check` do not look at these verdicts: any violation ends them with 1. pytest does: a scenario"
        " passes if its seeds violate at least one of the named invariants and no other. The project's test suite"
        " checks every shipped scenario.",
        "A budget limits what runs may cost. `causim run` exits with 1 and pytest fails if one is not kept, even if all"
        " invariants hold. A budget stands in `[expect]` and is for any engine, or in an engine's own table, which has"
        " its verdict too:",
        f"```toml\n{_BUDGETS}\n```",
        table(("measure", "what it is"), [(f"`{name}`", meaning) for name, meaning in budgets.MEASURES.items()]),
        "## Durations",
        f"Text: {durations.ACCEPTED}. A number without a unit is an error, except 0.",
        "## Distributions",
        "A duration that is drawn each time it is used. What is drawn depends on the seed alone.",
        f"```text\n{forms[1]}\n```",
        "## Coverage words",
        "`judge.require_coverage` lists words from this table. A run in which one of them counted 0 is `unknown`.",
        table(("word", "counts"), [(f"`{word}`", meaning) for word, meaning in COVERAGE.items()]),
    ]
