"""What is wrong with a history that cannot be written in some format."""


class Unexportable(Exception):
    """A history does not fit into the format that was asked for. The message says what is wrong, and what would do."""
