"""The table `[allow]`: permissions of the code under test outside of a run."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from simulation.kernel.allowance import Address, Allowance
from simulation.scenario.types import Table

_MAX_PORT = 65_535


def parse_address(text: str) -> Address:
    """Return a host and a port, or the path of a Unix socket. Raises ValueError."""
    if text.startswith("/") and text.isprintable():
        return text
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (
        host
        and host.isprintable()
        and port.isascii()
        and port.isdecimal()
        and len(port) <= 5
        and 0 < int(port) <= _MAX_PORT
    ):
        raise ValueError(f'{text!r} is no address; give "host:port", such as "127.0.0.1:5432", or an absolute path')
    return host, int(port)


def _checked(text: str) -> str:
    parse_address(text)
    return text


class AllowTable(Table):
    """What the code under test may do outside of its run, for real, while the virtual clock stands still.

    Without this table it ends the run. The verdict, the report and the determinism check say that the run has reached
    outside, since it may be another the next time. A file with this table needs `--trust` on the command line.
    """

    connect: tuple[Annotated[str, AfterValidator(_checked)], ...] = Field(
        (),
        description='real addresses that blocking clients may connect to: "host:port", or the path of a Unix socket',
    )
    subprocesses: bool = Field(False, description="whether `subprocess` and `os.system` may start programs")
    signals: bool = Field(False, description="whether signals may be sent to real processes")

    @property
    def allowance(self) -> Allowance:
        """The permissions, as a run asks for them."""
        return Allowance(tuple(map(parse_address, self.connect)), self.subprocesses, self.signals)
