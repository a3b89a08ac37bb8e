"""Exploration: which schedule a run takes next."""
