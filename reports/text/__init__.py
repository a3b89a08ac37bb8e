"""Text: about a run, a violation, a Redis command."""
