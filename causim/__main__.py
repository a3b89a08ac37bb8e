"""`python -m causim` is `causim`."""

from causim import early_interrupt

early_interrupt.install()  # the imports below take long enough for a Ctrl-C

import sys  # noqa: E402
from pathlib import Path  # noqa: E402

from causim.command_line import entry  # noqa: E402

if __name__ == "__main__":
    if not sys.flags.safe_path and Path(sys.path[0]) == Path.cwd():
        del sys.path[0]  # `python -m` puts the user's folder first; it comes last, where an engine is looked for
    entry()
