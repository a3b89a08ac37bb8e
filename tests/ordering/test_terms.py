"""Moments as the scripts read them: exact, whatever their zone and their class."""

from __future__ import annotations

from calendar import timegm
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordering.terms import microseconds

ZONES = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=ZONES))
def test_a_moment_is_exact_in_any_zone(moment: datetime) -> None:
    assert microseconds(moment) == timegm(moment.utctimetuple()) * 1_000_000 + moment.microsecond


def test_a_moment_without_a_zone_is_utc() -> None:
    naive = datetime(2024, 1, 2, 3, 4, 5, 678)
    assert microseconds(naive) == microseconds(naive.replace(tzinfo=UTC))


def test_class_with_its_own_arithmetic() -> None:
    """A class with an arithmetic of its own is not asked."""
    pendulum = pytest.importorskip("pendulum")
    moment = pendulum.datetime(2024, 3, 31, 2, 59, 59, 999_999, tz="Europe/Paris")
    assert microseconds(moment) == timegm(moment.utctimetuple()) * 1_000_000 + 999_999
