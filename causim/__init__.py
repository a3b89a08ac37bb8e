"""The entry points of causim: the `causim` command, `python -m causim` and the pytest plugin.

The engine is the package `ordering`, the harness is `simulation`, its reports are `reports`. A project may have
packages of the same names, so all entry points are in this package, which imports none of them at start.
"""

__version__ = "0.1.0"
