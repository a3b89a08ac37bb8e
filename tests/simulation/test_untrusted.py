"""Untrusted files: what is refused, and what the sentence says."""

import bz2
import gzip
import json
import lzma
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from causim.written_files import write_whole
from simulation.cli import BadUsage, main
from simulation.cli.kept import Kept
from simulation.cli.trust import check_trust
from simulation.scenario import log_rows
from simulation.scenario.faults import FAULTS
from simulation.scenario.load import load, loads
from simulation.scenario.workload import read_trace, trace_epoch, trace_publications
from simulation.search.explore.strategies import Strategy
from simulation.search.failure_database import Failures

GOOD = (
    '{"at":0,"kind":"started","event":"a","consumer":"c","handling":1}\n'
    '{"at":2,"kind":"ended","event":"a","consumer":"c","handling":1,"outcome":"ok"}\n'
)
SCENARIO = 'name = "s"\n[workload]\nevents = [{ name = "a" }]\n'
JUMP = '[[faults]]\nkind = "server-clock"\nat = "1ms"\n'


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(words) == 4
    said = capsys.readouterr()
    assert not any(control in said.out + said.err for control in "\x1b\x07\0")
    return said.err


@pytest.mark.parametrize(
    ("line", "because"),
    [
        ('{"at":9223372036854775808,"kind":"published","event":"a"}', ":1: 'at' must be a count of microseconds up to"),
        ('{"at":0,"kind":"published","occurred":' + "9" * 5000 + "}", ":1: holds a number of thousands of digits"),
        ('{"causim-history":1,"documented_keys":[1]}', ":1: 'documented_keys' must be a list of texts, not [1]"),
        ('{"causim-history":1,"exercise":[["x"]]}', ":1: 'exercise' must be a list of texts"),
        ('{"causim-history":1,"invariants":"causal-order"}', ":1: 'invariants' must be a list of texts"),
        ('{"causim-history":1,"invariants":["nonsense"]}', "names an invariant 'nonsense'; known are causal-order"),
        ('{"at":0,"kind":"published","event":"\\u001b[2J"}', ":1: 'event' holds a control character ('\\x1b')"),
        ('{"at":0,"kind":"published","event":"\\ud800"}', ":1: holds half of a character"),
        ('{"at":0,"kind":"' + "x" * 200 + '"}', ":1: 'kind' is 'xxx"),
        ("[" * 100_000, ":1: "),
        ("[]", ":1: each line must be a JSON object"),
    ],
    ids=range(11),
)
def test_a_bad_history_is_refused_with_its_line(
    line: str, because: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text(line + "\n" + GOOD)
    said = refused(["check", str(file)], capsys)
    assert str(file) in said
    assert because in said


def test_a_history_in_utf_16_is_named_as_such(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "wide.jsonl"
    file.write_text(GOOD, encoding="utf-16")
    assert "looks like UTF-16, and not like UTF-8; convert it: iconv" in refused(["check", str(file)], capsys)


LONG = 100_000_000
"""Bytes of a line that is too long."""


@pytest.mark.parametrize(
    ("words", "name", "begin", "filling"),
    [
        (["check"], "long.jsonl", GOOD + '{"at":3,"kind":"census","keys":"', b"x"),
        (["check"], "long.jsonl", GOOD + '{"at":3,"kind":"census","keys":[', b"[],"),
        (["import"], "long.jsonl", '{"id":"a","occurred":1,"payload":[', b"[],"),
        (["import"], "long.csv", "id,follows,occurred\n", b","),
        (["import"], "long.csv", "", b"x"),
    ],
    ids=["text", "nested", "log", "table", "titles"],
)
def test_line_of_a_hundred_megabytes(
    words: list[str], name: str, begin: str, filling: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line of a hundred megabytes is refused in bounded memory."""
    file = tmp_path / name
    file.write_bytes(begin.encode() + filling * (LONG // len(filling)) + b"\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    said = refused([*words, str(file)], capsys)
    assert f"{file}:{begin.count(chr(10)) + 1}: is longer than 32 MiB" in said
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20  # KiB


@pytest.mark.parametrize("form", ["plain", "gzip", "mark"])
def test_a_history_may_be_packed_or_marked(form: str, tmp_path: Path) -> None:
    data = GOOD.encode()
    made = {"plain": data, "gzip": gzip.compress(data), "mark": b"\xef\xbb\xbf" + data}[form]
    file = tmp_path / "history.jsonl"
    file.write_bytes(made)
    assert main(["check", str(file)]) == 0


def test_half_of_a_packed_history_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "half.jsonl.gz"
    file.write_bytes(gzip.compress(GOOD.encode() * 1000)[:60])
    assert "is not a whole gzip file" in refused(["check", str(file)], capsys)


@pytest.mark.parametrize("content", [b"\0", b"\n", GOOD.encode()])
def test_packed_bomb(content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A small file that unpacks to a hundred times its size is refused before all of it is unpacked."""
    file = tmp_path / "bomb.jsonl.gz"
    packed = gzip.compress(content * ((1 << 22) // len(content)))
    with file.open("wb") as out:
        out.writelines([packed] * 1_000)  # four gigabytes
    said = refused(["check", str(file)], capsys)
    assert str(file) in said
    assert "100 times its size; unpack it: gunzip bomb.jsonl.gz" in said


def test_packed_text_that_repeats(tmp_path: Path) -> None:
    """What is small when it is unpacked may have been packed in any ratio."""
    file = tmp_path / "small.jsonl.gz"
    file.write_bytes(gzip.compress(GOOD.encode() + b"\n" * (1 << 16)))
    assert main(["check", str(file)]) == 0


REPEATED = pyarrow.array(["x" * (1 << 20)] * 600)


@pytest.mark.parametrize(
    ("column", "because"),
    [
        (REPEATED.dictionary_encode(), "unpacks to more than 512 MiB"),
        (pyarrow.ListArray.from_arrays(pyarrow.array(range(601), pyarrow.int32()), REPEATED), "more than 512 MiB"),
        (pyarrow.StructArray.from_arrays([REPEATED.dictionary_encode()], names=["a"]), "more than 512 MiB"),
    ],
    ids=["dictionary", "list", "struct"],
)
def test_parquet_bomb(column: pyarrow.Array, because: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A Parquet file says once what many rows have: it is refused for what it unpacks to."""
    file = tmp_path / "bomb.parquet"
    table = pyarrow.table({"id": [str(i) for i in range(600)], "follows": column, "occurred": [1] * 600})
    pyarrow.parquet.write_table(table, file, compression="zstd")
    assert file.stat().st_size < 1 << 20
    assert because in refused(["import", str(file), "--out", str(tmp_path / "out")], capsys)


def test_parquet_column_of_two_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A Parquet file names its columns in two places, and they may differ."""
    file = tmp_path / "log.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"id": ["a"], "follows": ["b"], "occurred": [1]}), file)
    data = file.read_bytes()
    place = data.rindex(b"follows")
    file.write_bytes(data[:place] + b"fol5ows" + data[place + 7 :])
    assert "is not a Parquet file that can be read" in refused(["import", str(file)], capsys)


def test_wide_parquet_column(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A column that is unpacked as a whole is refused before it is unpacked."""
    monkeypatch.setattr(log_rows, "MAX_CHUNK_BYTES", 1 << 20)
    file = tmp_path / "wide.parquet"
    columns = {"id": ["a"], "follows": ["y" * (2 << 20)], "occurred": [1]}
    pyarrow.parquet.write_table(pyarrow.table(columns), file, compression="zstd")
    said = refused(["import", str(file), "--out", str(tmp_path / "out")], capsys)
    assert "column 'follows' has more than 1 MiB or 10,000,000 values in a row group" in said


def refuses_a_socket(words: list[str], name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder / name
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(file))  # the length of its path has a limit
        said = refused([*words, str(file)], capsys)
    assert str(file) in said
    assert "a pipe, a socket or a device, and not a file" in said


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["check"], "history.jsonl"),
        (["run", "--no-results"], "scenario.toml"),
        (["replay"], "replay.toml"),
        (["import", "--out", "out"], "log.csv"),
        (["import", "--out", "out"], "log.parquet"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else value,
)
def test_no_file(words: list[str], name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is no file, and may never end, is refused before it is opened."""
    refuses_a_socket(words, name, tmp_path, capsys)


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "device"])
def test_verdict_that_never_ends(make: Callable[[Path], None], tmp_path: Path) -> None:
    """A verdict, or a database of failures, that cannot be read to its end is as one that is not there."""
    folder = tmp_path / "20260101T000000-1"
    folder.mkdir()
    make(folder / "verdict.json")
    assert not Kept(folder).record()
    assert Failures(loads(SCENARIO), "native", Strategy(), folder / "verdict.json").failed() == []


@pytest.mark.parametrize("name", ["why.json", "why.json.part"])
def test_links_are_not_followed(name: str, tmp_path: Path) -> None:
    """A link in a stranger's results folder is replaced; what it leads to stays as it is."""
    victim, folder = tmp_path / "victim", tmp_path / "kept"
    victim.write_text("precious")
    folder.mkdir()
    (folder / name).symlink_to(victim)
    write_whole(folder / "why.json", "written")
    assert victim.read_text() == "precious"
    assert (folder / "why.json").read_text() == "written"
    assert not any(path.is_symlink() for path in folder.iterdir())


def test_streams_of_this_process(tmp_path: Path) -> None:
    """A shell's `<(zcat history.jsonl.gz)` is read, packed or not."""
    for data in (GOOD.encode(), gzip.compress(GOOD.encode())):
        reading, writing = os.pipe()
        os.write(writing, data)
        os.close(writing)
        assert main(["check", f"/dev/fd/{reading}"]) == 0
        os.close(reading)


def test_utf_16_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A log that a spreadsheet wrote in UTF-16 is refused with the command that converts it."""
    file = tmp_path / "log.csv"
    file.write_text("id,follows,occurred\n", encoding="utf-16")
    assert "iconv -f UTF-16 -t UTF-8 log.csv" in refused(["import", str(file)], capsys)
    file = tmp_path / "scenario.toml"
    file.write_text(SCENARIO, encoding="utf-16")
    assert "iconv -f UTF-16 -t UTF-8 scenario.toml" in refused(["run", str(file)], capsys)


def test_other_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A packed file is unpacked and not converted, NUL is no UTF-16, and a command for a shell quotes a file's name."""
    for words, name in ((["import"], "$(a) b.csv"), (["run"], "$(a) b.toml")):
        file = tmp_path / name
        file.write_bytes(gzip.compress(SCENARIO.encode()))
        said = refused([*words, str(file)], capsys)
        assert f"gzip -dc '{name}' > 'unpacked-{name}'" in said
        assert "iconv" not in said
    file = tmp_path / "$(a).jsonl"
    file.write_text(GOOD.replace("started", "star\0ted"))
    assert f"{file}:1: " in refused(["check", str(file)], capsys)
    file.write_text(GOOD, encoding="utf-16")
    assert "iconv -f UTF-16 -t UTF-8 '$(a).jsonl'" in refused(["check", str(file)], capsys)


def test_long_words_are_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line of an error is readable, whatever the file holds."""
    file = tmp_path / "log.csv"
    file.write_text(",".join(f"column-{number}" for number in range(5_000)) + "\n")
    said = refused(["import", str(file)], capsys)
    assert str(file) in said
    assert len(said) < 11_000


COUNTS_CALLS = """
import cProfile, sys
from simulation.history.history import History
from simulation.invariants import judge
for file in sys.argv[1:]:
    profile = cProfile.Profile()
    profile.runcall(judge, History.open(file))
    print(sum(entry.callcount for entry in profile.getstats()))
"""


def story_of(kind: str, count: int) -> str:
    """Return a history in which one thing happens very often."""
    lines = {
        "overlap": '{{"at":{0},"kind":"started","event":"a","consumer":"c{0}","handling":{0}}}',
        "effects": '{{"at":{0},"kind":"started","event":"a","consumer":"c{1}","handling":{0}}}\n'
        '{{"at":{0},"kind":"ended","event":"a","consumer":"c{1}","handling":{0},"outcome":"ok"}}',
        "deaths": '{{"at":{3}0000000,"kind":"started","event":"a","consumer":"c","handling":{0},"via":"rescued"}}\n'
        '{{"at":{3}0000001,"kind":"crashed","consumer":"c"}}',
        "cycle": '{{"at":{0},"kind":"published","event":"{0}","follows":"{2}"}}\n'
        '{{"at":{0},"kind":"delivered","event":"{0}","consumer":"c"}}',
        "waits": '{{"at":{3}0000000,"kind":"published","event":"{0}"}}\n'
        '{{"at":{3}0000000,"kind":"delivered","event":"{0}","consumer":"c"}}\n'
        '{{"at":{3}0000000,"kind":"parked","event":"{0}","consumer":"c"}}\n'
        '{{"at":{3}0000000,"kind":"crashed","consumer":"d"}}\n'
        '{{"at":{3}9000000,"kind":"joined","consumer":"d"}}',
    }
    return "\n".join(lines[kind].format(i, i % 5, (i + 1) % count, i + 1) for i in range(count)) + "\n"


@pytest.mark.parametrize("kind", ["overlap", "effects", "deaths", "cycle", "waits"])
def test_one_thing_very_often(kind: str, tmp_path: Path) -> None:
    """The judge looks a few times at what happens, and not once for each other time at which it happened."""
    files = [tmp_path / f"{count}.jsonl" for count in (500, 1000)]
    for file in files:
        file.write_text(story_of(kind, int(file.stem)))
    # A process of its own: what other tests traced has no say.
    made = subprocess.run([sys.executable, "-c", COUNTS_CALLS, *files], capture_output=True, check=True)
    few, many = map(int, made.stdout.split())
    assert 0 < many < 3 * few


def test_a_results_folder_can_be_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no history.jsonl in it" in refused(["check", str(tmp_path)], capsys)
    (tmp_path / "history.jsonl.gz").write_bytes(gzip.compress(GOOD.encode()))
    assert main(["check", str(tmp_path)]) == 0


def test_terminal_escapes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is printed of a history is shown and not sent."""
    file = tmp_path / "keys.jsonl"
    file.write_text(GOOD + '{"at":3,"kind":"census","keys":{"\\u001b[2Jevil":{"ttl":null}}}\n')
    assert main(["check", str(file)]) == 1
    said = capsys.readouterr().out
    assert "\\x1b[2Jevil" in said
    assert "\x1b" not in said


# -- scenarios


@pytest.mark.parametrize("engine", ["nan", "mutant:nan"])
@pytest.mark.parametrize("words", [["run", "--no-results"], ["crashes"], ["replay"]], ids=lambda words: words[0])
def test_unknown_engine_names_the_file(
    words: list[str], engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An engine that a file names and that does not exist is refused with the file and the key."""
    file = tmp_path / "scenario.toml"
    file.write_text(f'engine = "{engine}"\n{SCENARIO}')
    assert f"{file}: key 'engine': " in refused([words[0], str(file), *words[1:]], capsys)


@pytest.mark.parametrize(
    ("change", "because"),
    [
        (("", "\n[consumers]\ncount = 9223372036854775808\n"), "'count'"),
        (("", "\n[consumers]\ncount = 10001\n"), "at most 10,000; each consumer takes about 30 KiB"),
        (('name = "s"', 'name = ".."'), "cannot be a name"),
        (('name = "s"', 'name = "-rf"'), "cannot be a name"),
        (('name = "s"', 'name = "::add-mask::s"'), "cannot be a name"),
        (('name = "s"', 'name = "##vso[task.complete]"'), "cannot be a name"),
        (('name = "s"', 'name = "\\u001b[2J"'), "'name' holds a control character"),
        (("events = [{ name", "x = " + "[" * 5000), "TOML"),
        (('events = [{ name = "a" }]', 'kind = "trees"\ndepth = 60'), "are too many"),
        (("", '\n[broker]\ndelay = "' + "9" * 400 + 's"\n'), "a thousand years"),
        (("", "\n" + "a." * 1_000_000 + "a = 1\n"), "a key of a hundred parts"),
        (("", "\n" + "#\n" * (3 << 20)), "is longer than 4 Mi characters"),
        (("", '\n[[faults]]\nkind = "crash"\nat = "0s"\nevery = "1us"\ntimes = 1000000000000\n'), "at most 100,000"),
        (("", '\n[[faults]]\nkind = "clock"\nat = "0s"\ndrift = inf\n'), "'drift': must be at most 1,000"),
        (("", '\n[judge]\nhorizon = "40000d"\n'), "longer than a hundred years"),
        (('name = "a"', 'name = "a", at = "400d"'), "table [workload.events[1]], key 'at': 9600h is after"),
        (("", 2 * f"\n{JUMP}\noffset = '10000d'"), "table [faults[2]], key 'offset': the jumps of the server's clock"),
        (("", f"\n{JUMP}\ntimes = 100\nevery = '1s'\noffset = '-1000d'"), "add up to 2400000h; at most 438000h"),
    ],
    ids=range(18),
)
def test_a_bad_scenario_is_refused_with_its_key(
    change: tuple[str, str], because: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(SCENARIO.replace(*change, 1) if change[0] else SCENARIO + change[1])
    said = refused(["run", str(file), "--no-results"], capsys)
    assert str(file) in said
    assert because in said or because == "TOML"


SHORT = '\n[policy]\nredelivery = "1us"\n'
CLUSTER = '\n[topology]\nkind = "cluster"\n'
RENAMED = '\n[expect]\nnative-ish = "holds"\n'


@pytest.mark.parametrize(
    ("table", "words", "because"),
    [
        (SHORT, ["run", "--no-results"], "policy.redelivery must be at least a millisecond"),
        (SHORT, ["replay"], "table [policy]"),
        (SHORT, ["crashes"], "table [policy]"),
        (SHORT, ["shrink"], "table [policy]"),
        (SHORT, ["sweep", "--vary", "broker.drop=0"], "table [policy]"),
        (CLUSTER, ["run", "--no-results", "--strategy", "pct"], "table [topology]"),
        (RENAMED, ["run", "--no-results"], "expect.native-ish"),
        ('\n[swarm.choose]\n"consumers.count" = [2026-01-01]\n', ["run", "--no-results"], "table [swarm.choose]"),
        (f'\n[swarm.choose]\n"consumers.count" = [{"1, " * 3000}1]\n', ["crashes"], "3,001 options are too many"),
    ],
)
def test_what_an_engine_cannot_do(
    table: str, words: list[str], because: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistake that only a run shows is refused with the name of the file."""
    file = tmp_path / "bad.toml"
    file.write_text(SCENARIO + table)
    out = ["--out", str(tmp_path / "out")] if words[0] in ("run", "sweep", "crashes") else []
    said = refused([words[0], str(file), *words[1:], *out], capsys)
    assert f"causim: error: {file}: " in said
    assert because in said


def test_name_of_an_import_is_no_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is imported stays in the folder that was named."""
    log = tmp_path / "log.csv"
    log.write_text("id,follows,occurred\na,,2026-01-01T00:00:00Z\n")
    words = ["import", str(log), "--out", str(tmp_path / "a" / "out"), "--name"]
    for name in ("../evil", str(tmp_path / "evil"), "..", "a\x1bb"):
        assert "and no path" in refused([*words, name], capsys)
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.parametrize(
    "line", ['description = "a\\n::error::b"', 'expect = { "a\\n::error::b" = "holds" }', 'engine = "a\\n##vso[x]"']
)
def test_no_line_orders_a_ci(line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a scenario says cannot begin a line that a CI obeys."""
    file = tmp_path / "bad.toml"
    file.write_text(f"{line}\n{SCENARIO}")
    for words in (["run", "--no-results"], ["validate"], ["replay"]):
        assert main([words[0], str(file), *words[1:]]) == 4
        said = capsys.readouterr()
        assert not any(each.lstrip().startswith(("::", "##")) for each in (said.out + said.err).splitlines())


def test_seed_of_a_replay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A seed that no run can have is refused."""
    file = tmp_path / "replay.toml"
    table = f'[replay]\nformat = 1\nversion = "{version("causim")}"\nscouted = {10**29}\n[replay.choices]\n1 = 1\n'
    file.write_text(SCENARIO + table)
    assert "key 'scouted'" in refused(["replay", str(file)], capsys)
    file.write_text(SCENARIO + table.replace(f"{10**29}", "1").replace("1 = 1", "9" * 5_000 + " = 1"))
    assert "[replay.choices], key '999" in refused(["replay", str(file)], capsys)


def test_imports_need_trust(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scenario imports no code unless it is trusted."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "evil_engine_of_a_test.py").write_text("raise SystemExit('imported')\n")
    file = tmp_path / "evil.toml"
    file.write_text('engine = "evil_engine_of_a_test:E"\n' + SCENARIO)
    assert "would import code, 'evil_engine_of_a_test:E'" in refused(["run", str(file), "--no-results"], capsys)
    file.write_text(SCENARIO + '\n[consumers]\nengines = { c1 = "evil_engine_of_a_test:E" }\n')
    assert "consumers.engines.c1" in refused(["run", str(file), "--engine", "native", "--no-results"], capsys)
    with pytest.raises(SystemExit, match="imported"):
        main(["run", str(file), "--no-results", "--trust"])


NAMING = sorted(kind for kind, fault in FAULTS.items() if "engine" in fault.model_fields)
"""The faults that name an engine."""


@pytest.mark.parametrize("table", ["faults", "swarm.faults"])
@pytest.mark.parametrize("kind", NAMING)
def test_imports_of_faults_need_trust(
    kind: str, table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault that names an engine imports no code unless the engine was named."""
    monkeypatch.syspath_prepend(str(tmp_path))
    module = f"evil_engine_of_{kind}_{table.replace('.', '_')}"
    (tmp_path / f"{module}.py").write_text("raise SystemExit('imported')\n")
    file = tmp_path / "evil.toml"
    file.write_text(f'{SCENARIO}\n[[{table}]]\nkind = "{kind}"\nat = "1ms"\nengine = "{module}:E"\n')
    for words in (["run", "--no-results"], ["replay"], ["shrink"], ["why"], ["crashes"]):
        said = refused([words[0], str(file), "--engine", "native", *words[1:]], capsys)
        assert f"key 'faults[1].engine' would import code, '{module}:E'" in said
    with pytest.raises(SystemExit, match="imported"):
        main(["run", str(file), "--engine", f"{module}:E", "--no-results"])


def test_a_fault_names_an_engine() -> None:
    assert "upgrade" in NAMING


def test_releases_need_trust(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A scenario fetches no release of Prefect unless it is trusted, or Prefect was named."""
    file = tmp_path / "release.toml"
    file.write_text('engine = "prefect@0.0.0"\n' + SCENARIO)
    assert "would import code, 'prefect@0.0.0'" in refused(["run", str(file), "--no-results"], capsys)
    file.write_text(SCENARIO + '\n[consumers]\nengines = { c1 = "prefect@0.0.0" }\n')
    check_trust(load(file), file, ["prefect"])
    with pytest.raises(BadUsage, match=r"consumers\.engines\.c1"):
        check_trust(load(file), file, ["native", "prefectly"])


@pytest.mark.parametrize(
    ("begin", "because"),
    [
        (lzma.compress(GOOD.encode()), "is packed with xz"),
        (bz2.compress(GOOD.encode()), "is packed with bzip2"),
        (GOOD.encode("utf-32"), "looks like UTF-32"),
    ],
    ids=["xz", "bzip2", "wide"],
)
def test_packed_otherwise(begin: bytes, because: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A history that is packed in a way that is not read says so."""
    file = tmp_path / "packed.jsonl"
    file.write_bytes(begin)
    assert because in refused(["check", str(file)], capsys)


def test_trace_outside_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A trace stays below the folder of its scenario."""
    (tmp_path / "inner").mkdir()
    (tmp_path / "events.jsonl").write_text('{"id": "a", "occurred": "2026-01-01T00:00:00Z"}\n')
    file = tmp_path / "inner" / "s.toml"
    file.write_text('name = "s"\n[workload]\nkind = "trace"\nfile = "../events.jsonl"\n')
    assert "leads out of the scenario's folder" in refused(["run", str(file), "--no-results"], capsys)


IDENTITY = '"id":"a4095d6b-80ca-4bad-bce3-cf93897c3913"'
WHEN = '"occurred":"2026-01-01T00:00:00Z"'


@pytest.mark.parametrize(
    ("line", "because"),
    [
        (f'{{{IDENTITY},{WHEN},"event":"\\ud800"}}', "holds half of a character"),
        (f'{{{IDENTITY},{WHEN},"name":"\\u001b[2J"}}', "'name' holds a control character"),
        (f'{{{IDENTITY},"occurred":"0001-01-01T00:00:00Z"}}', "a clock is run from 1970 to 2500 only"),
        (f'{{{IDENTITY},"occurred":"9999-12-31T00:00:00"}}', "a clock is run from 1970 to 2500 only"),
        (f'{{{IDENTITY},{WHEN},"payload":' + "[" * 100_000, "is nested too deep"),
        ("[]", "not an event with 'id', 'occurred' and 'follows'"),
        ("x" * LONG, "is longer than 32 MiB"),
    ],
    ids=range(7),
)
def test_a_bad_trace_is_refused_with_its_line(
    line: str, because: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace, file = tmp_path / "events.jsonl", tmp_path / "s.toml"
    trace.write_text("\n" + line + "\n")
    file.write_text('name = "s"\n[workload]\nkind = "trace"\nfile = "events.jsonl"\n')
    said = refused(["run", str(file), "--no-results"], capsys)
    assert f"{trace}:2: " in said
    assert because in said


def test_times_of_a_trace_without_a_zone_are_utc(tmp_path: Path) -> None:
    other = IDENTITY.replace("a4", "b4")
    (tmp_path / "events.jsonl").write_text(f'{{{IDENTITY},{WHEN}}}\n{{{other},"occurred":"2026-01-01T00:00:02"}}\n')
    events = read_trace(tmp_path / "events.jsonl")
    assert [one.at for one in trace_publications(events, trace_epoch(events), 1.0)] == [0, 2_000_000]


def test_trace_too_long(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A trace that is longer than a run is refused."""
    later = f'{{{IDENTITY.replace("a4", "b4")},"occurred":"2026-01-03T00:00:00Z"}}'
    (tmp_path / "events.jsonl").write_text(f"{{{IDENTITY},{WHEN}}}\n{later}\n")
    file = tmp_path / "s.toml"
    text = 'name = "s"\n[workload]\nkind = "trace"\nfile = "events.jsonl"\n'
    for speed in ("1.0", "1e-300"):
        file.write_text(f"{text}speed = {speed}\n")
        assert "raise that, or workload.speed" in refused(["run", str(file), "--no-results"], capsys)
    file.write_text(text + "speed = 100000.0\n")
    assert main(["run", str(file), "--no-results"]) == 5  # no engine can read those events


def test_clock_of_a_server_at_its_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run that comes to a year that no server can show ends with a sentence."""
    event = json.loads(Path("scenarios/data/prefect-etl-events.jsonl").read_text().splitlines()[0])
    event |= {"occurred": "2499-12-31T00:00:00Z", "follows": "00000000-0000-4000-8000-00000000000b"}
    (tmp_path / "late.jsonl").write_text(json.dumps(event) + "\n")
    file = tmp_path / "late.toml"
    file.write_text(
        'name = "late"\nworkload = { kind = "trace", file = "late.jsonl" }\nconsumers = { sweep_interval = "9000d" }\n'
        'judge = { horizon = "36500d" }\npolicy = { lookback = "30000d", retention = "30000d" }\n'
    )
    assert "counts nanoseconds from 1970 to 2554" in refused(["run", str(file), "--no-results"], capsys)
