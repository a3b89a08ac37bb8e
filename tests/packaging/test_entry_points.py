"""What starts by itself imports nothing that the user did not ask for."""

from __future__ import annotations

import subprocess
import sys


def modules_after(program: str) -> set[str]:
    code = f"import sys; {program}; print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    return {name.partition(".")[0] for name in output.stdout.decode().split()}


def test_the_package_imports_nothing() -> None:
    nothing = modules_after("pass")
    assert modules_after("import causim") == nothing | {"causim"}


def test_the_pytest_plugin_imports_pytest_alone() -> None:
    pytest = modules_after("import pytest, importlib.util")
    assert modules_after("import pytest, importlib.util, causim.pytest_plugin") == pytest | {"causim"}
