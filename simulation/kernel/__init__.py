"""Virtual time: the event loop, its clock, its random streams. Knows nothing of Redis, scenarios or events."""
