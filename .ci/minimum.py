"""Print constraints for pip that hold each direct dependency at the least version that pyproject.toml declares."""

import re
import tomllib
from pathlib import Path

_EXTRAS = ("simulation", "server", "hypothesis", "dask")
_DECLARED = re.compile(r"(?P<name>[\w.-]+)(\[[\w,]+\])?>=(?P<least>[\d.]+)")


def main() -> None:
    """Print one line for each dependency of the engine and of the extras that the tests need."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [word for extra in _EXTRAS for word in project["optional-dependencies"][extra]]
    found = (_DECLARED.match(word) for word in [*project["dependencies"], *extras])
    for line in sorted({f"{least['name']}=={least['least']}" for least in found if least}):
        print(line)  # noqa: T201  # its purpose


if __name__ == "__main__":
    main()
