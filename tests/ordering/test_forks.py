"""A process that is forked off a consumer: what its parent works on is not its own."""

from __future__ import annotations

import os
from typing import Any

from ordering.leases import Grant, state_of
from tests.ordering.conftest import event


class Client:
    """Stands for a client, of which a process remembers its leases."""


def remembered(client: Any) -> int:
    state = state_of(client, "test")
    return sum(map(len, (state.active, state.held, state.claims, state.queues, state.claim_groups)))


def test_a_forked_process_holds_nothing() -> None:
    client = Client()
    state = state_of(client, "test")
    state.claims["2"] = state.queues["3"] = "token"
    state.active["1"] = state.held["4"] = Grant(event(4), "4", "token", 0, state, "")
    child = os.fork()
    if not child:
        os._exit(remembered(client))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert remembered(client) == 4, "the parent goes on"
