"""What a run leaves for people to see: frames, pictures, the page, and what a build server reads.

Read first `lives.py`, which turns a history into the lives of its events. `frames.py` makes tables of them,
`series.py` makes series over time of the tables, `figures.py` draws those as pictures.

A report shows what a history says and what the judge made of it; it neither runs nor judges anything. Importing this
package costs nothing: pandas and matplotlib come with the modules that use them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reports.run import RunLike


def write_report(folder: Path, run: RunLike) -> list[Path]:
    """Write the table and the pictures of a run into a folder, and return the files. Raises OSError."""
    from reports.figures import followers_figure, latency_figure
    from reports.frames import events_frame

    frame = events_frame(run.history)
    files = [folder / name for name in ("events.parquet", "latency.png", "followers.png")]
    frame.to_parquet(files[0])
    latency_figure(frame).savefig(files[1])
    followers_figure(frame).savefig(files[2])
    return files
