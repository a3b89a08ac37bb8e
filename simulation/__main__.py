"""`python -m simulation` is `causim`."""

from causim.command_line import entry

if __name__ == "__main__":
    entry()
