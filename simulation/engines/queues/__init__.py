"""Task queues as they are installed: each file has only the code that a user of the library would write.

Each is a program (see `engines/program.py`): `main` is one worker process, `publish` is called by a producer. They are
named on the command line as `--engine queue:saq`, need `pip install 'causim[queues]'`, and promise no order: judge them
by the preset `queue`. `docs/queues.md` explains their verdicts.
"""

from __future__ import annotations

from collections.abc import Mapping

QUEUES: Mapping[str, tuple[str, str]] = {
    "docket": ("pydocket", "a stream and a consumer group; a task is claimed by others when its lease is over"),
    "saq": ("saq", "lists; a sweep returns jobs that are overdue to the queue"),
    "arq": ("arq", "a sorted set; a job that is in progress is held by a key that expires"),
    "bullmq": ("bullmq", "lists moved by scripts; a job whose lock is lost counts as stalled"),
    "faststream": ("faststream", "a stream and a consumer group; a second subscriber claims what others have left"),
    "streaq": ("streaq", "a stream and a consumer group, by coredis and anyio"),
    "taskiq": ("taskiq_redis", "a stream and a consumer group; a lease is over when a message was idle for too long"),
}
"""The shipped queues: the package that each needs, and how it works in Redis."""
