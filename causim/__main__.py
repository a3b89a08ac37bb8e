"""`python -m causim` is `causim`."""

import sys
from pathlib import Path

from causim.command_line import entry

if __name__ == "__main__":
    if not sys.flags.safe_path and Path(sys.path[0]) == Path.cwd():
        del sys.path[0]  # `python -m` puts the user's folder first; it comes last, where an engine is looked for
    entry()
