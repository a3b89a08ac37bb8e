"""The words of pages, messages, comments, scenarios, templates and notebooks: plain ones, and those of the glossary.

Code is read by its tokens, so that comments, docstrings and messages are checked and names are not. Of a template, the
text is read, and not the markup.
"""

from __future__ import annotations

import io
import json
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INSTEAD = {
    "whoever, whomever": "name the consumer, the caller or the process",
    "somebody, someone, anybody, anyone": "another consumer, a reader, the caller",
    "nobody, no one": "no consumer, no code",
    "everybody, everyone": "all consumers",
    "himself, herself": "itself",
    "anew": "again",
    "in vain": "without success; of a waiting event: overdue",
    "luck": "chance, or a random stream",
    "becomes of, became of, befell": "the outcome, the state",
    "to whom, of whom, by whom, for whom": "name the consumer",
    "those who, one who, he who": "name the role",
    "is told, are told, was told, were told, be told, told of, tells of, tell of": "is reported, recorded, called with",
    "told apart, tell apart": "distinguished",
    "chronicle, sieve, scribe, meddler, cohort, lament": "the names of the index, the prefilter and their like",
}
"""Words that the pages must not have, and what to write."""

WORD = re.compile(rf"(?<![\w-])({'|'.join(', '.join(INSTEAD).split(', '))})(?![\w-])", re.IGNORECASE)
PAGES = sorted(
    path for pattern in ("*.md", "docs/**/*.md", "benchmarks/*.md", "notebooks/*.ipynb") for path in ROOT.glob(pattern)
)
TABLES = sorted(
    path for folder in ("scenarios", "simulation", "docs", "benchmarks") for path in (ROOT / folder).rglob("*.toml")
)
CODE = sorted(
    path for package in ("causim", "ordering", "reports", "simulation") for path in (ROOT / package).rglob("*.py")
)
TESTS = sorted(
    path
    for folder in ("tests", "benchmarks", ".ci")
    for path in (ROOT / folder).rglob("*.py")
    if path != Path(__file__)  # it names the words
)
SCRIPTS = sorted((ROOT / "ordering/lua").rglob("*.lua"))
TEMPLATES = sorted(path for kind in ("*.html", "*.js") for path in (ROOT / "reports/page/templates").glob(kind))
MARKUP = re.compile(r"<[^>]*>|{%.*?%}|{{.*?}}", re.DOTALL)


def prose_of_code(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the comments and the strings of a module, with their lines."""
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING) or token.type in STRING_PARTS:
            yield token.start[0], token.string


STRING_PARTS = {number for number, name in tokenize.tok_name.items() if name == "FSTRING_MIDDLE"}
"""The text of an f-string, from Python 3.12 on."""


def prose_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield what a file says, with the line of each piece."""
    match path.suffix:
        case ".py":
            yield from prose_of_code(path)
        case ".ipynb":
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
            yield from ((number, "".join(cell["source"])) for number, cell in enumerate(cells))
        case ".lua":
            lines = enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
            yield from ((number, line.partition("--")[2]) for number, line in lines)
        case ".html":
            text = path.read_text(encoding="utf-8")
            yield 1, MARKUP.sub(lambda found: "\n" * found[0].count("\n"), text)
        case _:
            yield 1, path.read_text(encoding="utf-8")


def found(path: Path) -> list[str]:
    """Return the words that a file must not have, with their lines."""
    return [
        f"{path.relative_to(ROOT)}:{first + text[: match.start()].count(chr(10))}: {match[0]}"
        for first, text in prose_of(path)
        for match in WORD.finditer(text)
    ]


@pytest.mark.parametrize(
    "files",
    [PAGES, TABLES, CODE, TESTS, SCRIPTS, TEMPLATES],
    ids=["pages", "scenarios", "code", "tests", "lua", "templates"],
)
def test_plain_words(files: list[Path]) -> None:
    assert len(files) > 8
    assert [word for path in files for word in found(path)] == [], INSTEAD


NAMES = re.compile(
    r"told|tells|struck|nobody|somebody|anybody|everybody|whoever|vain|anew|doomed|untold|chronicle|sieve|scribe|meddler|"
    r"cohort|lament|patience"
)
"""Words that no name in code has."""


def parts_of(path: Path) -> Iterator[tuple[str, str]]:
    """Yield each name of a module with each of its words."""
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type == tokenize.NAME:
            words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", token.string)
            yield from ((f"{path.relative_to(ROOT)}:{token.start[0]}: {token.string}", word.lower()) for word in words)


@pytest.mark.parametrize("files", [CODE, TESTS], ids=["code", "tests"])
def test_plain_names(files: list[Path]) -> None:
    assert [name for path in files for name, word in parts_of(path) if NAMES.fullmatch(word)] == []


def test_words_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.docs.test_words.ROOT", tmp_path)
    (tmp_path / "a.py").write_text('nobody = 1  # whoever asks\nraise ValueError(f"somebody has {nobody + 1}")\n')
    (tmp_path / "b.toml").write_text('# first\ndescription = "It waits in vain."\nname = "begun-anew"\n')
    assert found(tmp_path / "a.py")[:2] == ["a.py:1: whoever", "a.py:2: somebody"]
    assert found(tmp_path / "b.toml") == ["b.toml:2: in vain"]
    (tmp_path / "c.html").write_text('<p class="nobody">{% for anyone in all %}\n<b>begun anew</b>{% endfor %}</p>')
    assert found(tmp_path / "c.html") == ["c.html:2: anew"]
