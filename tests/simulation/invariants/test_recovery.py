"""recovery: accepted and rejected histories for each clause and each excuse."""

from tests.simulation.invariants import short_histories
from tests.simulation.invariants.short_histories import history_of


def accepted(history):
    return short_histories.accepted(history, "recovery")


def rejected(history):
    return short_histories.rejected(history, "recovery")


LEFT = """
    0s    joined    @c2
    0s    started   b  @c1  via=released
    1s    {}        @c1
    {}    started   b  @c2  via=rescued
"""


def test_dead_holder():
    """What a dead holder had starts again in time."""
    # One lease of 16 s, one sweep of 5 s, and the release bound of one minute.
    for end in ("crashed", "stopped"):
        assert accepted(history_of(LEFT.format(end, "1m22s")))
        rejected(history_of(LEFT.format(end, "1m23s")))


def test_silent_holder():
    """What a silent holder has starts again in time."""
    for end in ("paused", "unreachable"):
        assert accepted(history_of(LEFT.format(end, "1m22s")))
        rejected(history_of(LEFT.format(end, "1m23s")))


def test_rejects_what_is_never_begun_again():
    assert rejected(
        history_of(LEFT.format("crashed", "10m").replace("started   b  @c2  via=rescued", "swept @c2"))
    ).because == ("because c1 died at 1 s with event b in hand, and no consumer had begun with it again at 600 s")


def test_accepts_a_holder_that_goes_on():
    assert accepted(
        history_of("""
        0s    joined    @c2
        0s    started   b  @c1  via=released
        1s    paused    @c1
        1m    resumed   @c1
        1h    ended     b  @c1  outcome=ok
        """)
    )


def test_accepts_what_was_given_up_in_time():
    assert accepted(
        history_of(LEFT.format("crashed", "1m").replace("started   b  @c2  via=rescued", "dead-lettered b"))
    )


def test_no_consumer_alive():
    """Time in which no consumer is alive does not count."""
    story = """
        0s    started   b  @c1  via=released
        1s    crashed   @c1
        1h    joined    @c1
        {}    started   b  @c1  via=rescued
    """
    assert accepted(history_of(story.format("61m")))
    rejected(history_of(story.format("62m")))


def test_further_deaths():
    """Each further death counts for one lease and one sweep."""
    story = """
        0s    joined    @c2
        0s    joined    @c3
        0s    started   b  @c1  via=released
        1s    crashed   @c1
        30s   {}        @c3
        {}    started   b  @c2  via=rescued
    """
    assert accepted(history_of(story.format("crashed", "1m43s")))
    rejected(history_of(story.format("crashed", "1m44s")))
    rejected(history_of(story.format("swept", "1m43s")))


REFUSED = """
    0s    joined    @c2
    0s    delivered a  @c1  delivery=1
    0s    started   a  @c1
    1s    crashed   @c1
    {}    delivered a  @c2  delivery=2
    {}    refused   a  @c2  delivery=2  because={}
"""


def test_not_held_for_ever():
    """An event that is offered again is not refused as held for ever."""
    assert accepted(history_of(REFUSED.format("1m", "1m", "held")))
    rejected(history_of(REFUSED.format("2m", "2m", "held")))
    assert accepted(history_of(REFUSED.format("2m", "2m", "seen")))


def test_accepts_refusal_with_a_holder():
    """Accepts a refusal while another consumer can hold the event."""
    story = REFUSED.format("2m", "2m", "held")
    assert accepted(history_of(story.replace("0s    joined    @c2", "0s    delivered a  @c3  delivery=9")))
    assert accepted(history_of(story.replace("1s    crashed   @c1", "1s    paused    @c1\n    90s   resumed @c1")))
    rejected(history_of(story.replace("1s    crashed   @c1", "1s    paused    @c1")))


def test_accepts_a_loss_that_the_scenario_allows():
    story = LEFT.format("crashed", "10m") + "10m  swept  @c2"
    lossy = story.replace("1s    crashed", "1s    store-lost  fault=evict\n    1s    crashed")
    assert accepted(history_of(lossy, allowed_loss=("evict",)))
    rejected(history_of(lossy))
