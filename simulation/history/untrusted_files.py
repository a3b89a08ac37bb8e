"""Opens files that are not trusted: only what has an end is read, and no more of it than memory holds.

A pipe, a socket or a device under a file's name may never end, or never begin. The streams that this process was given
are read nevertheless, such as `/dev/stdin` and what a shell makes of `<(command)`: who names them means them.
"""

from __future__ import annotations

import errno
import stat
from pathlib import Path
from shlex import quote

_OWN_STREAMS = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")

MAX_RECORD = 32 << 20
"""Bytes of a file that is parsed as a whole, such as a verdict: a list takes 24 times as much as its three letters."""


def is_stream(path: Path) -> bool:
    """Say whether a path is a stream that can be read only once. Raises OSError for what may never end."""
    mode = path.stat().st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return False
    if str(path.absolute()).startswith(_OWN_STREAMS):
        return True
    reason = "Is a pipe, a socket or a device, and not a file; copy what it holds into a file"
    raise OSError(errno.EINVAL, reason, str(path))


def read_text(path: Path, most: int = MAX_RECORD) -> str:
    """Return the text of a file in UTF-8 of at most `most` bytes; every line break in it is one character.

    Raises OSError, also if it is longer or not a file, and UnicodeDecodeError.
    """
    is_stream(path)
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"Is longer than {most >> 20} MiB", str(path))
    return data.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")


def converted(error: UnicodeDecodeError, name: str) -> str:
    """Return the command that makes UTF-8 of a file: it unpacks it, or converts what the text is likely to be in."""
    source, packed = quote(name), error.object.startswith(b"\x1f\x8b")
    if packed:
        return f"it is packed with gzip; unpack it: gzip -dc {source} > {quote(f'unpacked-{name}')}"
    kind = "UTF-16" if error.object[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin1"
    return f"if it is in {kind}, convert it: iconv -f {kind} -t UTF-8 {source} > {quote(f'utf8-{name}')}"
