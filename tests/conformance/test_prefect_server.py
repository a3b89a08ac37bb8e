"""The drop-in in a real Prefect server: triggers fire in causal order, whatever order their events come in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis

from tests.conformance.conftest import free_port

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.skipif(find_spec("prefect_redis") is None, reason="needs the prefect extra"),
]

TIMEOUT_S = 90
"""Seconds for what takes a second or ten, on a machine that has other things to do."""
PAID_AFTER_PLACED = {
    "name": "paid after it was placed",
    "trigger": {
        "type": "event",
        "posture": "Reactive",
        "after": ["order.placed"],
        "expect": ["order.paid"],
        "for_each": ["prefect.resource.id"],
        "threshold": 1,
        "within": 600,
    },
    "actions": [{"type": "do-nothing"}],
}


def eventually(what: str, look: Callable[[], Any]) -> Any:
    """Return what is seen as soon as there is something to see."""
    end = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.2)
    raise AssertionError(f"in {TIMEOUT_S} s it has not come to this: {what}")


class Server:
    """A Prefect server, and what its triggers' ordering keeps in Redis."""

    def __init__(self, api: Any, store: Any) -> None:
        self.api = api
        self.store = store

    def publish(self, *events: dict[str, Any]) -> None:
        """Publish events, one request each, so that they come in this order."""
        for event in events:
            self.api.post("/events", json=[event]).raise_for_status()

    def fired(self) -> list[str]:
        """Return the orders for which the trigger has fired, once for each time."""
        wanted = {"filter": {"event": {"name": ["prefect.automation.triggered"]}}, "limit": 50}
        events = self.api.post("/events/filter", json=wanted).raise_for_status().json()["events"]
        return sorted(event["payload"]["triggering_labels"]["prefect.resource.id"] for event in events)

    def handled(self, *events: dict[str, Any]) -> bool:
        return bool(self.store.exists(*(f"triggers:seen:{event['id']}" for event in events)) == len(events))

    def parked(self) -> set[str]:
        return set(self.store.zrange("triggers:waitlist", 0, -1))


def life_of(order: str) -> list[dict[str, Any]]:
    """Return what happens to an order, each following the one before: it is filled, placed and paid."""
    events: list[dict[str, Any]] = []
    for step, name in enumerate(("order.filled", "order.placed", "order.paid")):
        events.append(
            {
                "id": str(uuid4()),
                "event": name,
                "occurred": (datetime.now(UTC) + timedelta(milliseconds=step)).isoformat(),
                "follows": events[-1]["id"] if events else None,
                "resource": {"prefect.resource.id": order},
            }
        )
    return events


@pytest.fixture
def server(tmp_path: Path, port: int) -> Iterator[Server]:
    """A Prefect server of its own: its database and its home are in a folder that goes away."""
    import httpx

    address = free_port()
    settings = {
        "PREFECT_HOME": str(tmp_path / "home"),
        "PREFECT_PROFILES_PATH": str(tmp_path / "profiles.toml"),
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{tmp_path}/prefect.db",
        "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING": "ordering.prefect",
        "PREFECT_MESSAGING_BROKER": "prefect_redis.messaging",
        "PREFECT_MESSAGING_CACHE": "prefect_redis.messaging",
        "PREFECT_REDIS_MESSAGING_PORT": str(port),
        "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_UI_ENABLED": "false",
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    log = tmp_path / "server.log"
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(address)]
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env={**inherited, **settings}, stdout=output, stderr=output, start_new_session=True
        )
    store = redis.Redis(port=port, decode_responses=True)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{address}/api", timeout=30) as api:

            def is_up() -> bool:
                assert process.poll() is None, log.read_text()[-4_000:]
                try:
                    return api.get("/health").is_success
                except httpx.TransportError:
                    return False

            eventually("the server answers", is_up)
            yield Server(api, store)
    finally:
        store.close()
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_triggers_fire_in_causal_order(server: Server) -> None:
    """It fires for what was paid after it was placed: only for those whom the ordering has brought in order."""
    server.api.post("/automations/", json=PAID_AFTER_PLACED).raise_for_status()

    def is_known() -> bool:
        server.publish(*life_of("probe"))
        time.sleep(1)
        return "probe" in server.fired()

    eventually("the trigger fires for an order in order", is_known)

    careless = [{**event, "follows": None} for event in life_of("careless")]
    server.publish(careless[2])
    eventually("an event that follows nothing is handled as it comes", lambda: server.handled(careless[2]))
    server.publish(careless[1], careless[0])

    orders = {f"order-{number}": life_of(f"order-{number}") for number in range(3)}
    for filled, placed, paid in orders.values():
        server.publish(paid, placed)
        assert not server.handled(filled)
    early = {event["id"] for life in orders.values() for event in life[1:]}
    eventually("early events are parked, by our engine", lambda: server.parked() == early)
    assert server.store.exists("triggers:leaders", "triggers:heads", "triggers:places") == 3  # the original has none
    assert not set(server.fired()) & orders.keys()

    server.publish(*(life[0] for life in orders.values()))
    everything = [event for life in orders.values() for event in life]
    eventually("all is handled when the first of each has come", lambda: server.handled(*everything, *careless))
    assert server.parked() == set()
    eventually("the trigger has fired for each", lambda: orders.keys() <= set(server.fired()))
    fired = [order for order in server.fired() if order != "probe"]
    assert fired == sorted(orders), "once for each, and not for the one whose events did not say what they follow"
