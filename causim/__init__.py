"""The entry points of causim: the `causim` command, `python -m causim` and the pytest plugin.

The engine is the package `ordering`, the harness is `simulation`, its reports are `reports`. A project may have its own
packages of those names, so whatever starts by itself lives in this package, which imports none of them at start.
"""

__version__ = "0.1.0"
