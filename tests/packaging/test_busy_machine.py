"""A busy machine fails no test of Hypothesis: neither deadlines nor slow examples count."""

from hypothesis import HealthCheck, settings


def test_no_example_has_a_deadline() -> None:
    assert settings.default.deadline is None
    assert HealthCheck.too_slow in settings.default.suppress_health_check
