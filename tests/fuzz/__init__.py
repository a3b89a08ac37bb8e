"""Untrusted files: mutated scenarios, histories, replays, traces, results folders and failure databases."""
