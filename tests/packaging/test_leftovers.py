"""Whatever ends a process, nothing of its servers is left: no process, no file, no shared memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ONE = """
import sys
from simulation.stores.redis_server import ServerStore
store = ServerStore()
print(store._directory, store._process.pid, store._watcher.group, flush=True)
"""
ENDS = {
    "exception": "raise RuntimeError",
    "exit": "sys.exit(0)",
    "closed": "store.close()",
    "abrupt": "import os; os._exit(0)",
}
WAITS = "sys.stdin.read()"
TIMEOUT_S = 30.0
"""Seconds after which a test fails instead of waiting for ever."""


def gone(*processes: int) -> bool:
    """Whether these processes have ended: a zombie counts as ended."""
    for process in processes:
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            return False
    return True


def begin(folder: Path, program: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "TMPDIR": str(folder)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([sys.executable, "-c", program], env=environment, text=True, **pipes)


def wait_for(condition: object) -> None:
    assert callable(condition)
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, "something is left behind"
        time.sleep(0.01)


def shared(token: str) -> Iterator[Path]:
    return Path("/dev/shm").glob(f"*{token}*")


def nothing_is_left(output: str) -> None:
    directory, server, watcher = output.split()
    wait_for(lambda: gone(int(server), int(watcher)))
    assert not Path(directory).exists()
    assert not list(shared(Path(directory).name))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    process = begin(tmp_path, ONE + WAITS)
    output = process.stdout.readline()
    process.send_signal(number)
    process.communicate()
    nothing_is_left(output)


@pytest.mark.parametrize("end", ENDS)
def test_an_end_of_its_own(tmp_path: Path, end: str) -> None:
    process = begin(tmp_path, ONE + ENDS[end])
    output, _ = process.communicate(timeout=TIMEOUT_S)
    nothing_is_left(output)


def test_twenty_kills_while_a_server_runs(tmp_path: Path) -> None:
    for _ in range(20):
        process = begin(tmp_path, "\n".join(["import threading", ONE, WAITS]))
        output = process.stdout.readline()
        process.kill()
        process.communicate()
        nothing_is_left(output)
    assert not list(tmp_path.iterdir())


def processes_that_mention(word: str) -> list[int]:
    """Return the processes whose command line or environment has this word."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            described = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        except OSError:
            continue
        if word.encode() in described and not gone(int(folder.name)):
            found.append(int(folder.name))
    return found


def nothing_mentions(folder: Path) -> None:
    wait_for(lambda: not processes_that_mention(str(folder)))
    assert not [path for path in folder.iterdir() if path.name.startswith("causim-")]


def test_a_killed_command_and_its_workers(tmp_path: Path) -> None:
    words = ["run", "scenarios/duplicates.toml", "--seeds", "100000", "--jobs", "2", "--no-results"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen([sys.executable, "-m", "causim", *words], env=environment, stdout=subprocess.DEVNULL)
    wait_for(lambda: len(list(tmp_path.glob("causim-*/redis"))) >= 3)  # its own server, and one of each worker
    process.kill()
    process.wait()
    nothing_mentions(tmp_path)


def test_workers_of_xdist_that_end(tmp_path: Path) -> None:
    test = tmp_path / "test_it.py"
    test.write_text("def test_it(causim_store):\n    assert causim_store.store.name == 'server'\n")
    (tmp_path / "test_more.py").write_text(test.read_text())
    words = ["-q", "-n", "2", "--rootdir", tmp_path, "-c", os.devnull, "-p", "no:cacheprovider", tmp_path]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-m", "pytest", *words], env=environment, check=True, capture_output=True)
    nothing_mentions(tmp_path)
