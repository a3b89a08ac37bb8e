"""Commands whose reply a server draws, or orders by the seed of its hash tables: here the run's own stream decides.

A server draws its seeds when it starts, from its process number and the operating system, and fakeredis lists sets in
the order of Python's hashes: the same run would have two histories. So these commands are answered from the server's
replies that have an order of their own:

- SPOP, SRANDMEMBER, HRANDFIELD, ZRANDMEMBER, RANDOMKEY: the stream draws.
- KEYS, SUNION, SDIFF, SINTER, and SMEMBERS of a set that is a hash table: sorted by a keyed hash of the members. A
  server may choose any order, and another seed of the run chooses another one.
- SCAN, HSCAN, SSCAN, ZSCAN: pages in the order of that hash; a cursor is a place in it. An element that is there from
  the first page to the last is returned once, also if others come and go meanwhile.

The server executes each of them, too, if it only reads: its errors are the server's own. A transaction or a script that
holds one is refused, as nothing can be put in its place there.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from simulation.kernel.random_streams import Stream
from simulation.stores.protocol import Link
from simulation.stores.resp import frames

Words = Sequence[bytes]

DRAWN = frozenset({b"SPOP", b"SRANDMEMBER", b"HRANDFIELD", b"ZRANDMEMBER", b"RANDOMKEY"})
"""Commands that draw."""
ORDERED = frozenset({b"KEYS", b"SUNION", b"SDIFF", b"SINTER", b"SMEMBERS", b"SCAN", b"HSCAN", b"SSCAN", b"ZSCAN"})
"""Commands that list in an order that follows from a seed."""
ALL = DRAWN | ORDERED

_PAGE = 10
"""Number of elements of a page without COUNT."""
_AT_ONCE = 128
"""Collections of so many elements come in one page, as from a server that keeps them in a list."""
_EVERYTHING = b"1000000000"
_LIST = {b"HRANDFIELD": b"HKEYS", b"ZRANDMEMBER": b"ZRANGE", b"SRANDMEMBER": b"SMEMBERS"}


class RandomCommands:
    """Answers them, from one stream."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._key = stream.bytes(16)

    def reply(self, link: Link, words: Words, *, sets_have_an_order: bool) -> bytes:
        """Execute a command and return its reply.

        `sets_have_an_order`: whether the store lists a small set in the order in which its members came.
        """
        verb = words[0].upper()
        if verb == b"SPOP":
            return self._pop(link, words)
        reply = link.run([words if not verb.endswith(b"SCAN") else _from_the_start(words)])
        if reply.startswith((b"-", b"$-1", b"_", b"*-1")):
            return reply
        if verb in DRAWN:
            return self._draw(link, words, reply)
        if verb.endswith(b"SCAN"):
            return self._page(link, words)
        if verb == b"SMEMBERS" and sets_have_an_order and not _is_hash_table(link, words[1]):
            return reply
        return _listed(reply[:1], sorted(_items(reply), key=self._place))

    def _place(self, element: bytes) -> int:
        """Return the place of an element, above 0: a cursor of 0 is the start."""
        return 1 + int.from_bytes(blake2b(element, digest_size=6, key=self._key).digest(), "big")

    def _pop(self, link: Link, words: Words) -> bytes:
        count = int(words[2]) if len(words) == 3 and words[2].isdigit() else None
        members = link.run([[b"SMEMBERS", words[1]]]) if len(words) > 1 else b"-"
        if members.startswith(b"-") or len(words) > 3 or (len(words) == 3 and count is None):
            return link.run([words])  # an error, in the server's words
        chosen = self._sample(sorted(_items(members)), 1 if count is None else count)
        if not chosen:
            return link.run([words])  # of nothing
        link.run([[b"SREM", words[1], *map(_content, chosen)]])
        return chosen[0] if count is None else _listed(members[:1], chosen)

    def _draw(self, link: Link, words: Words, reply: bytes) -> bytes:
        verb = words[0].upper()
        if verb == b"RANDOMKEY":
            return self._stream.choose(sorted(_items(link.run([[b"KEYS", b"*"]]))))
        more = len(words) > 3
        ask: list[bytes] = [b"HGETALL" if verb == b"HRANDFIELD" and more else _LIST[verb], words[1]]
        if verb == b"ZRANDMEMBER":
            ask += [b"0", b"-1", *words[3:]]
        listing = link.run([ask])
        units = _items(listing)
        if not units:
            return reply
        if more and not units[0].startswith(b"*"):
            pairs = zip(units[::2], units[1::2], strict=True)
            head = b"*2\r\n" if listing.startswith(b"%") else b""
            units = [head + name + value for name, value in pairs]
        units.sort()
        if len(words) == 2:
            chosen = self._sample(units, 1)
            return chosen[0] if reply.startswith(b"$") else _listed(b"*", chosen)  # fakeredis gives a list of one
        count = int(words[2])
        drawn = self._sample(units, count) if count >= 0 else [self._stream.choose(units) for _ in range(-count)]
        size = len(frames(drawn[0])) if drawn else 1
        return b"*%d\r\n" % (size * len(drawn)) + b"".join(drawn)

    def _sample(self, units: list[bytes], count: int) -> list[bytes]:
        left = list(units)
        return [left.pop(self._stream.below(len(left))) for _ in range(min(count, len(left)))]

    def _page(self, link: Link, words: Words) -> bytes:
        """Return the next page of the elements of a key, or of all keys."""
        cursor, rest = _cursor_and_rest(words)
        start = list(words[: cursor + 1])
        start[cursor] = b"0"
        several = words[0].upper() in (b"HSCAN", b"ZSCAN") and b"NOVALUES" not in {word.upper() for word in rest}
        count = next((int(rest[i + 1]) for i, word in enumerate(rest) if word.upper() == b"COUNT"), _PAGE)
        everything = _units(link.run([[*start, b"COUNT", _EVERYTHING]]), several)
        wanted = set(_units(link.run([[*start, *rest, b"COUNT", _EVERYTHING]]), several))
        placed = sorted((self._place(unit[0]), unit) for unit in everything)
        page = [one for one in placed if one[0] >= int(words[cursor])]
        if cursor == 1 or len(everything) > _AT_ONCE:
            page, later = page[:count], page[count:]
        else:
            later = []
        parts = [part for _, unit in page if unit in wanted for part in unit]
        following = b"%d" % later[0][0] if later else b"0"
        return b"*2\r\n$%d\r\n%b\r\n" % (len(following), following) + _listed(b"*", parts)


def _cursor_and_rest(words: Words) -> tuple[int, Words]:
    """Return the place of the cursor, and the options behind it."""
    place = 1 if words[0].upper() == b"SCAN" else 2
    return place, words[place + 1 :]


def _from_the_start(words: Words) -> Words:
    """Return a command that scans with the cursor 0, if its cursor is one: the server has other cursors."""
    place, rest = _cursor_and_rest(words)
    return [*words[:place], b"0", *rest] if len(words) > place and words[place].isdigit() else words


def _units(page: bytes, several: bool) -> list[tuple[bytes, ...]]:
    """Return the elements of a whole scan, each with its value or score if the command returns pairs."""
    _, elements = frames(page.partition(b"\r\n")[2])
    items = _items(elements)
    return list(zip(items[::2], items[1::2], strict=True)) if several else [(item,) for item in items]


def _items(reply: bytes) -> list[bytes]:
    """Return the items of a list, a set or a map."""
    return frames(reply.partition(b"\r\n")[2])


def _listed(kind: bytes, items: Sequence[bytes]) -> bytes:
    return b"%b%d\r\n" % (kind, len(items)) + b"".join(items)


def _content(bulk: bytes) -> bytes:
    """Return the content of a bulk string."""
    return bulk.partition(b"\r\n")[2][:-2]


def _is_hash_table(link: Link, key: bytes) -> bool:
    return b"hashtable" in link.run([[b"OBJECT", b"ENCODING", key]])
