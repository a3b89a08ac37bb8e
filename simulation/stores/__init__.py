"""Stores: the Redis that a world talks to, one synchronous round trip at a time."""
