"""How the judge writes times: in seconds, with as few digits as distinguish them."""

from __future__ import annotations

MICRO = 1_000_000


def moments(*ats: int) -> list[str]:
    """Return times, in microseconds, as words: to a tenth of a millisecond, finer where two would read the same."""
    moments: list[str] = []
    for digits in (4, 5, 6):
        moments = [_moment(at, digits) for at in ats]
        if len(set(moments)) == len(set(ats)):
            break
    return moments


def moment(at: int) -> str:
    """Return one time or duration, in microseconds, as words."""
    return _moment(at, 4 if at >= 100 or at == 0 else 6)


def _moment(at: int, digits: int) -> str:
    return f"{at / MICRO:.{digits}f}".rstrip("0").rstrip(".") + " s"
