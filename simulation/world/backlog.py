"""The packets received by a server that does not answer: it executes them, in order of arrival, once it goes on.

A server that is stopped, swaps, or runs a long command still accepts connections and takes in their packets. A client
gives up after its timeout and sends its request again; the server executes both.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from simulation.world.packets import Packet

OnPacket = Callable[[Packet], None]
"""Called with each packet that a stalled server has received."""


class Backlog:
    """Keeps the packets that arrive while the server is stalled."""

    def __init__(self) -> None:
        self._stalls: list[OnPacket] = []
        self._acts: deque[Callable[[], None]] = deque()

    def keeps(self, act: Callable[[], None], packet: Packet | None = None) -> bool:
        """Return whether something must wait until the server goes on; it is kept, and done then."""
        if not self._stalls:
            return False
        self._acts.append(act)
        if packet is not None:
            self._stalls[-1](packet)
        return True

    def stall(self, on_packet: OnPacket) -> Callable[[], None]:
        """Stall the server, and return a function that ends the stall; it goes on when all stalls have ended."""
        self._stalls.append(on_packet)

        def go_on() -> None:
            self._stalls.remove(on_packet)
            while self._acts and not self._stalls:
                self._acts.popleft()()

        return go_on

    def close(self) -> None:
        """Forget everything."""
        self._stalls.clear()
        self._acts.clear()
