"""Tokens: no other process has the same, not even a process that was forked off this one."""

from __future__ import annotations

import subprocess
import sys

from ordering.tokens import unique_token

FORKED = """
import os
from ordering.tokens import unique_token

unique_token()
child = os.fork()
if child:
    os.waitpid(child, 0)  # one after the other: what two processes print at once may be mixed
for _ in range(100):
    print(unique_token())
"""


def test_tokens_are_unique() -> None:
    assert len({unique_token() for _ in range(10_000)}) == 10_000


def test_forked_process() -> None:
    tokens = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, check=True).stdout.split()
    assert len(tokens) == 200
    assert len(set(tokens)) == 200
