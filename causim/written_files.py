"""Files that are written: an error names the file, and a file that could not be written whole is not left behind.

The system names the file when it cannot be opened. When a disk is full, opening succeeds, and the write that fails
names none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Name a file in the errors of what writes it. Raises OSError with the file's name."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            # pyarrow has words of its own, which name a full disk twice
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give the name of a file to write, which takes its own name when the block ends well, else is removed.

    A link that stands under either name is replaced, and not followed: it may have come with a stranger's files.
    """
    partial = path.with_name(path.name + ".part")
    if partial.is_symlink():
        partial.unlink()
    try:
        with writing(path):
            yield partial
            partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_whole(path: Path, text: str, errors: str = "strict") -> None:
    """Write a text to a file as UTF-8, whole or not at all; `errors` is as for `str.encode`. Raises OSError."""
    with written_whole(path) as partial:
        partial.write_text(text, encoding="utf-8", errors=errors)
