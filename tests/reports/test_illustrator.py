"""The process that draws pictures: they are the same as without it, and are there even if it dies."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from toy_history import toy_run

from reports import write_report
from reports.figures.render_process import Illustrator, begin


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    begun = begin()
    assert begun is not None
    yield begun
    Illustrator(begun).close()


@pytest.fixture
def elsewhere(process) -> Illustrator:
    return Illustrator(process)


def written(folder, run, illustrator=None):
    folder.mkdir()
    write_report(folder, run, illustrator=illustrator)
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_reports_are_the_same_without_it(tmp_path, elsewhere):
    """Reports are the same with and without it one after the other."""
    for place, run in enumerate([toy_run(3), toy_run(200, forget=0.1)]):
        theirs = written(tmp_path / f"elsewhere-{place}", run, elsewhere)
        assert theirs == written(tmp_path / f"here-{place}", run)
        assert theirs["latency.png"].startswith(b"\x89PNG")
        assert theirs["report.html"].count(b".png</a>") == 2


def test_the_pictures_are_drawn_elsewhere(tmp_path, elsewhere, monkeypatch):
    monkeypatch.setattr("reports.figures.render_process.draw", lambda *_: pytest.fail("drawn here"))
    assert {"latency.png", "followers.png"} <= written(tmp_path / "run", toy_run(3), elsewhere).keys()


def test_dead_process(tmp_path, process):
    """If the process has died the pictures are drawn here."""
    process.kill()
    process.wait()
    illustrator = Illustrator(process)
    expected = written(tmp_path / "without", toy_run(3))
    assert written(tmp_path / "first", toy_run(3), illustrator) == expected
    assert written(tmp_path / "second", toy_run(3), illustrator) == expected


def test_a_picture_that_cannot_be_drawn_says_why(tmp_path, process):
    illustrator = Illustrator(process)
    with pytest.raises(FileNotFoundError, match=r"latency\.png"), illustrator.drawing(warned(), tmp_path / "nowhere"):
        pass


def warned():
    from reports.tables.rows import event_rows

    return event_rows(toy_run(3).history)


def test_failure_meanwhile(tmp_path, process, elsewhere):
    """What fails meanwhile is reported, and nothing is waited for."""
    with pytest.raises(OSError, match="no space"), elsewhere.drawing(warned(), tmp_path):
        raise OSError("no space")
    assert process.returncode is not None
    assert written(tmp_path / "run", toy_run(3), elsewhere) == written(tmp_path / "without", toy_run(3))


def test_ends_with_its_parent(process):
    process.stdin.close()
    assert process.wait() == 0


def test_modules_are_found(tmp_path):
    """Modules are found where this process finds them and not where it was started."""
    (tmp_path / "reports.py").write_text("raise SystemExit('not these reports')")
    code = (
        "from reports.figures.render_process import begin\n"
        "process = begin(); process.stdin.close(); raise SystemExit(process.wait())"
    )
    path = f"import sys; sys.path[:] = {sys.path!r}\n"
    subprocess.run([sys.executable, "-c", path + code], cwd=tmp_path, check=True)
