"""Parquet files whose structure is whole, and whose columns hold what no log should: any type, any value."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq

FIELDS = ("id", "follows", "occurred", "received", "acknowledged", "event", "resource", "related", "payload")
NAMES = ("", "..", "a\0b", "\x1b[2J", "headers.cause", "x" * 5_000, "é", "id ")

BIG = (0, 1, -1, (1 << 63) - 1, -(1 << 63), 1_700_000_000, 1_700_000_000_000_000)
ODD_TEXTS = ("", "NaN", "\\N", "a\0b", "\x1b[2Jevil", "2026-01-01T00:00:00Z", "9" * 400, "x" * 50_000, "{", "1e999")
TEXTS = ("a", "b", *ODD_TEXTS)

Column = Callable[[int, Random], pa.Array]


def _integers(kind: pa.DataType) -> Column:
    low, high = (
        (0, 1 << kind.bit_width) if "uint" in str(kind) else (-(1 << kind.bit_width - 1), 1 << kind.bit_width - 1)
    )
    return lambda rows, rng: pa.array([max(low, min(high - 1, rng.choice(BIG))) for _ in range(rows)], kind)


def _drawn(kind: pa.DataType, *values: object) -> Column:
    return lambda rows, rng: pa.array([rng.choice([*values, None]) for _ in range(rows)], kind)


def _raw(kind: pa.DataType, divisor: int = 1) -> Column:
    """Values of 64 bits, taken for a moment or a span of time: most are in no calendar."""
    return lambda rows, rng: pa.array([rng.choice(BIG) // divisor for _ in range(rows)], pa.int64()).cast(kind)


def _bad_text(rows: int, rng: Random) -> pa.Array:
    """Bytes that are said to be UTF-8 and are not."""
    data = pa.array([rng.choice([b"\xff\xfe", b"\xed\xa0\x80", b"ok"]) for _ in range(rows)], pa.binary())
    return pa.Array.from_buffers(pa.string(), rows, data.buffers())


COLUMNS: tuple[Column, ...] = (
    _drawn(pa.string(), *TEXTS),
    _drawn(pa.string(), "a", "b", "c", "d", "e"),
    _drawn(pa.large_string(), *TEXTS),
    _bad_text,
    _drawn(pa.binary(), b"\xff", b"a", b""),
    _drawn(pa.binary(3), b"abc", b"\0\0\0"),
    _integers(pa.int8()),
    _integers(pa.int64()),
    _integers(pa.uint64()),
    _drawn(pa.float64(), 1.0, float("nan"), float("inf"), 1e308, -0.0),
    _drawn(pa.float32(), 1.0, float("nan"), float("-inf")),
    _drawn(pa.bool_(), True, False),
    _drawn(pa.null()),
    _drawn(pa.decimal128(38, 5), Decimal("1.5"), Decimal(10) ** 30),
    _drawn(pa.decimal256(60, 0), Decimal(10) ** 50),
    _drawn(pa.date32(), date(1, 1, 1), date(9999, 12, 31), date(2026, 1, 1)),
    _raw(pa.timestamp("s"), 1024),  # the file keeps them as milliseconds
    _raw(pa.timestamp("us")),
    _raw(pa.timestamp("ns")),
    _raw(pa.timestamp("us", tz="UTC")),
    _raw(pa.timestamp("ms", tz="+23:59")),
    _raw(pa.timestamp("us", tz="Nowhere/At_All")),
    _raw(pa.time64("us")),
    _raw(pa.duration("us")),
    _drawn(pa.list_(pa.string()), ["a"], [], [None]),
    _drawn(pa.struct([("cause", pa.string())]), {"cause": "a"}, {"cause": None}),
    _drawn(pa.map_(pa.string(), pa.int32()), [("a", 1)], [("a", 1), ("a", 2)]),
)


def parquet_file(rng: Random) -> bytes:
    """Return a Parquet file in which each field of an event is of a drawn type, under its own name or another."""
    rows = rng.choice([0, 1, 2, 5, 20])
    names = [field for field in FIELDS if rng.random() < 0.8] + rng.choices(NAMES, k=rng.randrange(2))
    if rng.random() < 0.1:
        names.append("id")  # a second column of the name
    plain = rng.random() < 0.3  # some are good but for one column
    odd = rng.choice(names) if names else ""
    arrays = [COLUMNS[1](rows, rng) if plain and name != odd else rng.choice(COLUMNS)(rows, rng) for name in names]
    file = io.BytesIO()
    pq.write_table(
        pa.table(arrays, names=names),
        file,
        compression=rng.choice(["none", "snappy", "gzip", "zstd"]),
        use_dictionary=rng.random() < 0.5,
        data_page_version=rng.choice(["1.0", "2.0"]),
        row_group_size=rng.choice([1, 1000]),
    )
    return file.getvalue()
