"""The error for a history that cannot be written in some format."""


class Unexportable(Exception):
    """A history does not fit into the format that was asked for. The message says the reason and a remedy."""
