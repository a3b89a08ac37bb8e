"""JSON of files that are not trusted."""

from __future__ import annotations

import json
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """Parse JSON. Raises ValueError for text that cannot be parsed, such as one that is nested too deep."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("is nested too deep") from None
