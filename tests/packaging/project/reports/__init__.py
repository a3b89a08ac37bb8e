"""The project's own package."""

OWNER = "project"
