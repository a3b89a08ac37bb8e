"""Write the reference pages of the clone in which this is run."""

from pathlib import Path

from simulation.reference import pages

for path, text in pages(Path()).items():
    path.write_text(text, encoding="utf-8")
    print(path)  # noqa: T201  # this is what was asked for
