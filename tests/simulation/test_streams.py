"""Streams: owned, independent, the same everywhere, and distributed as they say."""

import statistics

import pytest

from simulation.kernel.durations import format_duration, in_words, parse_duration
from simulation.kernel.random_streams import Streams
from simulation.scenario.distributions import Constant, Empirical, Exponential, Lognormal, Uniform, parse_distribution


def test_numbers_are_fixed() -> None:
    """The numbers of a stream are fixed for ever."""
    stream = Streams(1)["broker"]
    assert [round(stream.random(), 6) for _ in range(3)] == [0.37667, 0.291755, 0.361278]


def test_an_owner_does_not_disturb_another() -> None:
    alone = Streams(1)
    expected = [alone["broker"].random() for _ in range(5)]
    together = Streams(1)
    found = []
    for _ in range(5):
        together["network"].random()
        found.append(together["broker"].random())
    assert found == expected


def test_seeds_and_owners_give_different_numbers() -> None:
    assert len({Streams(seed)[owner].random() for seed in range(20) for owner in ("a", "b", "c")}) == 60


def test_fresh_stream() -> None:
    """A fresh stream is the owner's from its beginning."""
    streams = Streams(3)
    first = streams["a"].random()
    assert streams.fresh("a").random() == first


@pytest.mark.parametrize(
    ("distribution", "mean"),
    [
        (Constant(5_000), 5_000),
        (Uniform(1_000, 9_000), 5_000),
        (Exponential(5_000), 5_000),
        (Lognormal(5_000, 0.5), 5_000 * 1.1331),
        (Empirical((1_000, 2_000, 12_000)), 5_000),
    ],
)
def test_mean_of_a_distribution(distribution, mean) -> None:
    """A distribution has the mean that it should."""
    stream = Streams(1)["test"]
    drawn = [distribution.draw(stream) for _ in range(20_000)]
    assert statistics.fmean(drawn) == pytest.approx(mean, rel=0.03)
    assert min(drawn) >= 0


@pytest.mark.parametrize(
    "written",
    [
        "5ms",
        {"uniform": ["1ms", "9ms"]},
        {"exponential": "5ms"},
        {"lognormal": {"median": "5ms", "sigma": 0.8}},
        {"empirical": ["1ms", "2ms"]},
    ],
)
def test_a_distribution_is_written_as_it_was_read(written) -> None:
    assert parse_distribution(written).written() == written


@pytest.mark.parametrize(
    "wrong",
    [{"uniform": ["9ms", "1ms"]}, {"uniform": ["1ms"]}, {"normal": "5ms"}, {"empirical": []}, 5, None, {}, "5 parsecs"],
)
def test_bad_distribution(wrong) -> None:
    """A distribution that is not one is refused with what is accepted."""
    with pytest.raises(ValueError, match=r"exponential|smaller to the larger|units"):
        parse_distribution(wrong)


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [("250ms", 250_000), ("15m", 900_000_000), ("1h30m", 5_400_000_000), ("1.5s", 1_500_000), ("7us", 7), ("0s", 0)],
)
def test_a_duration_is_read(text: str, microseconds: int) -> None:
    assert parse_duration(text) == microseconds
    assert parse_duration(format_duration(microseconds)) == microseconds


@pytest.mark.parametrize("wrong", ["", "ms", "5", 5, "5 parsecs", "-5ms", "5ms later", True, None, "1m-5s"])
def test_a_duration_that_is_not_one_is_refused(wrong) -> None:
    with pytest.raises(ValueError, match="units"):
        parse_duration(wrong)


def test_durations_read_well() -> None:
    assert [in_words(v) for v in (7, 412, 38_200, 412_345, 900_000_000)] == [
        "7 µs", "412 µs", "38.2 ms", "412 ms", "900 s",
    ]  # fmt: skip
