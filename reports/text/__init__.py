"""What is told in words: a run, a violation, a Redis command."""
