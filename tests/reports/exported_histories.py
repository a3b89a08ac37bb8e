"""Histories that an export must cope with: small ones with known answers, hostile ones, and cut ones."""

import random

from toy_history import MS, toy

from simulation.history.entries import Header
from simulation.history.history import History

NASTY = [
    "=1+1",
    "</script><b>",
    'say "hi", twice',
    "line\nbreak\r\nand\ttab",
    "nul\x00bell\x07",
    "\u2028\u2029\x85",
    "\ud800 alone",
    "日本 \U0001f600",
    "{} (?<host>x)",
    " ",
    "%41\\u0041\\",
    "NA",
    "007",
    "broker",
    "Redis",
    "world",
    "%62roker",
]


def led():
    """Leader a and follower b; b comes first to c1, is parked, and is released on c2."""
    h = History(Header("led", 4, "native"))
    h.append(1 * MS, "published", "a", id="id-a", follows="")
    h.append(2 * MS, "published", "b", id="id-b", follows="a")
    h.append(5 * MS, "delivered", "b", "c1", attempt=1, delivery=1)
    h.append(6 * MS, "parked", "b", "c1", delivery=1)
    h.append(7 * MS, "acknowledged", "b", "c1", delivery=1)
    h.append(20 * MS, "delivered", "a", "c2", attempt=1, delivery=2)
    h.append(21 * MS, "started", "a", "c2", handling="c2/1", via="delivered")
    h.append(30 * MS, "ended", "a", "c2", handling="c2/1", outcome="ok", write="accepted")
    h.append(32 * MS, "started", "b", "c2", handling="c2/2", via="released")
    h.append(35 * MS, "ended", "b", "c2", handling="c2/2", outcome="ok", write="accepted")
    h.append(36 * MS, "acknowledged", "a", "c2", delivery=2)
    return h


def unfinished():
    """A crash in a handling, a handling that never ends, a delivery without an answer, requests without reply."""
    h = History(Header("unfinished"))
    h.append(0, "joined", consumer="c1")
    h.append(0, "published", "a")
    h.append(0, "published", "b")
    h.append(0, "delivered", "a", "c1", attempt=1)
    h.append(0, "delivered", "b", "c1", attempt=1)
    h.append(1, "command", consumer="c1", connection="c1/1", commands=[["GET", "k"]])
    h.append(1, "started", "a", "c1", handling=1, via="delivered")
    h.append(2, "started", "b", "c1", handling=2, via="delivered")
    h.append(3, "reply", consumer="c1", connection="c1/1", reply="$-1")
    h.append(3, "command", consumer="c1", connection="c1/1", commands=[["GET", "k"]])
    h.append(5, "crashed", consumer="c1", holding=["a", "b"])
    h.append(6, "joined", consumer="c1")
    h.append(7, "delivered", "a", "c1", attempt=2)
    h.append(7, "started", "a", "c1", handling=3, via="delivered")
    h.append(8, "fault", consumer="c1", fault="pause", number=1)
    return h


def crowded():
    """Far more at the same moment than fits side by side: handlings of no length, publications in one microsecond."""
    h = History(Header("crowded"))
    for n in range(2500):
        h.append(0, "published", f"e{n}", follows=f"e{n - 1}" if n else "")
    for n in range(50):
        h.append(0, "delivered", f"e{n}", "c1", attempt=1)
    for n in range(50):
        h.append(0, "started", f"e{n}", "c1", handling=n, via="delivered" if n % 2 else "released")
        h.append(0, "ended", f"e{n}", "c1", handling=n, outcome="ok")
        h.append(0, "acknowledged", f"e{n}", "c1")
    return h


def hostile():
    """Names, reasons and details as an enemy would choose them, in an order that makes no sense."""
    rng = random.Random(7)
    h = History(Header("hostile\n</script>", 1, "=cmd", "\ud800"))
    kinds = [
        ("published", {"follows": "=1+1", "id": "\u2028"}),
        ("delivered", {"attempt": "first", "delivery": None}),
        ("delivered", {"attempt": None}),
        ("started", {"handling": "x", "via": "released"}),
        ("started", {"handling": ["x"], "via": "nowhere"}),
        ("ended", {"handling": "x", "outcome": "ok"}),
        ("ended", {"handling": 5, "outcome": "\x00odd"}),
        ("parked", {}),
        ("rejected", {"because": "=HYPERLINK(1)\n\ud800"}),
        ("acknowledged", {"delivery": {"a": [1]}}),
        ("dead-lettered", {"by": True}),
        ("fault", {"fault": "x\r\n", "factor": float("nan"), "more": 1, "entry": "e"}),
        ("crashed", {"holding": "not a list"}),
        ("command", {"commands": "GET \n", "connection": 3}),
        ("reply", {"reply": {"deep": [float("inf"), "\udfff"]}, "connection": 3}),
        ("census", {"keys": {"k\n": {"ttl": -1}}}),
        ("phase", {"phase": ""}),
    ]
    for n in range(600):
        kind, details = rng.choice(kinds)
        event = "" if kind in ("fault", "crashed", "command", "reply", "census", "phase") else rng.choice(["", *NASTY])
        consumer = "" if kind in ("published", "phase") else rng.choice(["", *NASTY])
        h.append(n // 3, kind, event, consumer, **details)
    return h


def cut(history, first, last):
    """A part of a history."""
    return History(history.header, history.entries[first:last], "line 7 is cut off")


HISTORIES = {
    "empty": lambda: History(Header()),
    "led": led,
    "unfinished": unfinished,
    "crowded": crowded,
    "hostile": hostile,
    "toy": lambda: toy(60, 4, fail=0.2),
    "head": lambda: cut(toy(60, 4), 0, 140),
    "tail": lambda: cut(toy(60, 4), 140, None),
    "middle": lambda: cut(toy(60, 4), 77, 201),
}
"""What every format has to be able to write, by name; real runs are in the fixture `anything` too."""
