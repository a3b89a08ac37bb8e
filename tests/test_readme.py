"""The README's Python examples run as they stand."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from simulation.cli import main

EXAMPLES = re.findall(r"```python\n(.*?)```", Path("README.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.splitlines()[0])
def test_an_example_runs(example: str) -> None:
    names: dict[str, Any] = {}
    exec(compile(example, "README.md", "exec"), names)
    for test in [value for name, value in names.items() if name.startswith("test_")]:
        test()


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 3


README = Path("README.md").read_text(encoding="utf-8")
COMMANDS = {
    "prefect-etl ·": ["run", "scenarios/prefect-etl.toml", "--no-results"],
    "late-leader ·": ["run", "late-leader", "--engine", "prefect", "--seeds", "300", "--jobs", "2"],
}


@pytest.mark.parametrize("begin", COMMANDS)
def test_commands_print_the_readme(begin: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What a command prints is what the README says."""
    if "prefect" in COMMANDS[begin] and find_spec("prefect_redis") is None:
        pytest.skip("needs the prefect extra")
    block = README[README.index(f"\n{begin}") + 1 :].split("\n```")[0].splitlines()
    main([*COMMANDS[begin], *([] if "--no-results" in COMMANDS[begin] else ["--no-results"])])
    printed = capsys.readouterr().out.splitlines()
    numbers = [line for line in block[1:] if not line.startswith("  results")]  # the first line names the server
    assert len(numbers) >= 2
    for line in numbers:
        known = line.removesuffix("…").rstrip(" ·+")
        assert any(each.startswith(known) for each in printed), f"README.md says: {line}"
