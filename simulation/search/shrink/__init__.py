"""Shrinking: a violating run is made as small as it can be."""
