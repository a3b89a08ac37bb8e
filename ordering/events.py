"""Events, as Prefect writes them: pydantic models that read and write its JSON and lose nothing of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class Event(BaseModel):
    """Something that happened, and the event that it follows."""

    model_config = ConfigDict(extra="allow", ser_json_inf_nan="constants")

    id: UUID
    event: str = "event"
    resource: dict[str, Any] = Field(default_factory=dict)
    related: list[dict[str, Any]] = Field(default_factory=list)
    payload: dict[str, Any] = Field(default_factory=dict)
    occurred: datetime
    follows: UUID | None = None


class ReceivedEvent(Event):
    """An event, and when it was received."""

    received: datetime
