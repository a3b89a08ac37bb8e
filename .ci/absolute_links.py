"""Make the links and pictures of README.md absolute, for a release: an index of packages has no other files.

The address comes from `Source` in `[project.urls]` of pyproject.toml, and from nowhere else; the tag from the version.
"""

import re
import sys
import tomllib
from pathlib import Path

_LINK = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?P<target>(?!https?://|#)[^)\s]+)\)")
_VERSION = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)


def absolute(text: str, source: str, tag: str) -> str:
    """Return Markdown whose relative links lead to files of a tag: pictures to their bytes, others to their page."""

    def there(link: re.Match[str]) -> str:
        kind = "raw" if link["picture"] else "blob"
        return f"{link['picture']}[{link['text']}]({source.rstrip('/')}/{kind}/{tag}/{link['target']})"

    return _LINK.sub(there, text)


def main(root: Path) -> int:
    """Rewrite the README of a project in place; return 1 if the project says no address."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    source = project.get("urls", {}).get("Source")
    if not source:
        sys.stderr.write("pyproject.toml has no [project.urls] with a Source: README.md stays as it is\n")
        return 1
    [version] = _VERSION.findall((root / "causim" / "__init__.py").read_text(encoding="utf-8"))
    readme = root / "README.md"
    readme.write_text(absolute(readme.read_text(encoding="utf-8"), source, f"v{version}"), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
