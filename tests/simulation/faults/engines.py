"""An engine that looks at the clock."""

from __future__ import annotations

import time
from typing import Any

from tests.simulation.engines import TrivialCounts


class Watch(TrivialCounts):
    shown = 0.0

    async def handle(self, event: Any) -> None:
        type(self).shown = time.time()
        await super().handle(event)
