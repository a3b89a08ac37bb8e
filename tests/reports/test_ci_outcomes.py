from xml.etree import ElementTree as ET

import pytest

from reports.ci.junit import junit, write_junit
from reports.ci.markdown import MAX_OUTCOMES, MAX_STORY_LINES, append_summary, summary
from reports.ci.outcome import Outcome

HOLDS = Outcome("in-order", "native", 1, "holds", seconds=0.25, seeds=200)
VIOLATED = Outcome(
    "late-leader",
    "prefect",
    4,
    "violated",
    because="because b waited",
    replay="causim run late-leader.toml --seed 4",
    seconds=1.5,
    invariant="prompt-release",
    story=("0.0115 s c1 b was parked",),
)
UNKNOWN = Outcome("idle", "native", 1, "unknown", because="nothing was parked")
NASTY = 'a|b <script>alert(1)</script> ]]> `x` "q" \x00\x1b[31m \ud800 [l](http://e.vil) ```\n# h'


def test_junit_counts_failures_and_errors():
    root = ET.fromstring(junit([HOLDS, VIOLATED, UNKNOWN]))
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("3", "1", "1")
    suites = {s.get("name"): s for s in root}
    assert suites["causim native"].get("tests") == "2"
    assert float(root.get("time")) == pytest.approx(1.75)


def test_failure_has_story_and_replay():
    """A violation is a failure with its story and its replay."""
    case = ET.fromstring(junit([VIOLATED])).find(".//testcase")
    failure = case.find("failure")
    assert (case.get("name"), failure.get("type")) == ("late-leader [seed 4]", "prompt-release")
    assert failure.get("message") == "because b waited"
    assert "b was parked" in failure.text
    assert "replay: causim run late-leader.toml --seed 4" in failure.text


def test_an_unknown_verdict_never_passes():
    case = ET.fromstring(junit([UNKNOWN])).find(".//testcase")
    assert case.find("error").get("message") == "nothing was parked"
    assert case.find("skipped") is None


def test_junit_survives_what_xml_cannot_hold(tmp_path):
    write_junit(
        tmp_path / "j.xml", [Outcome(NASTY, NASTY, 1, "violated", NASTY, NASTY, invariant=NASTY, story=(NASTY,))]
    )
    message = ET.parse(tmp_path / "j.xml").find(".//failure").get("message")
    assert message.startswith("a|b <script>alert(1)</script> ]]>")
    assert "\x1b" not in message
    assert list(tmp_path.iterdir()) == [tmp_path / "j.xml"]


def test_summary_puts_failures_first():
    """The summary puts first what does not hold."""
    text = summary([HOLDS, UNKNOWN, VIOLATED])
    assert text.startswith("## causim: 1 violated, 1 unknown, 1 holds\n")
    assert text.index("late-leader") < text.index("idle") < text.index("in-order")
    assert "because b waited" in text
    assert "```text\ncausim run late-leader.toml --seed 4\n```" in text


def test_the_summary_lets_no_name_become_markup():
    text = summary([Outcome(NASTY, NASTY, 1, "violated", NASTY, NASTY, invariant=NASTY)])
    table, code = text.split("````text")[0], text.split("````text")[1]
    assert "<script" not in table
    assert "[l](" not in table
    assert "](http" not in table
    row = next(line for line in table.splitlines() if "a\\|b" in line)
    assert row.replace("\\|", "").count("|") == 6
    assert "<script>" in code


def test_the_summary_cuts_nothing_silently():
    many = [Outcome(f"s{n}", "native", n, "violated", "because") for n in range(MAX_OUTCOMES + 3)]
    text = summary(many)
    assert "3 more do not hold" in text
    assert all(f"| s{n} " in text for n in range(MAX_OUTCOMES + 3))
    long = Outcome("s", "native", 1, "violated", story=tuple(f"line {n}" for n in range(MAX_STORY_LINES + 5)))
    assert "… 5 more lines" in summary([long])


def test_summaries_are_appended(tmp_path):
    (tmp_path / "s.md").write_text("before\n")
    append_summary(tmp_path / "s.md", [HOLDS])
    append_summary(tmp_path / "s.md", [])
    text = (tmp_path / "s.md").read_text()
    assert text.startswith("before\n## causim: 1 holds")
    assert "nothing was run" in text
