"""``launcher coordinator``: a leader on a machine of its own, which agents find at --rdzv-endpoint.

With it no node of the job is special: any may be lost, and it may be started again itself, while
the workers train on.
"""

import asyncio
import os
import signal
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from launchers.platforms.environment import split_endpoint
from ma_training.coordination.hub import Hub
from ma_training.coordination.leader import Leader
from ma_training.job import make_job_id, make_name

from .cluster import key_of
from .errors import UsageError
from .settings import Settings, resolve

PORT = 29500


def main(words: Sequence[str]) -> int:
    settings = resolve(words, os.environ, Path.cwd())
    if settings.script is not None:
        raise UsageError(
            f"launcher coordinator runs no script, but was given {settings.script}",
            "write launcher coordinator --rdzv-endpoint HOST:PORT --rdzv-id JOB; the agents get the script",
        )
    if not settings["rdzv-id"]:
        raise UsageError(
            "launcher coordinator needs the job's id", "give it and all agents the same --rdzv-id JOB"
        )
    try:
        return asyncio.run(_coordinate(settings, make_name(settings["rdzv-id"])))
    except OSError as error:
        raise UsageError(f"cannot listen: {error.strerror or error}") from None


async def _coordinate(settings: Settings, job: str) -> int:
    host, port = split_endpoint(settings["rdzv-endpoint"] or "", "--rdzv-endpoint")
    loop = asyncio.get_running_loop()
    key = key_of(settings, job)
    leader = Leader(
        make_job_id(job, time.time()), None, settings["join-timeout"], loop.time(), uuid.uuid4().hex
    )
    hub = Hub(leader, key.value, job, _say)
    port = await hub.open(host, PORT if port is None else port)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, hub.stop, int(number))
    if not key.secret:
        _say("no LAUNCHER_TOKEN: whoever knows the job's id and reaches this port can join it")
    _say(f"waiting for the agents of {job} at port {port}")
    await hub.ended.wait()
    await hub.close()
    end = hub.end
    assert end is not None
    _say(f"{job} {end.outcome}{f': {end.reason}' if end.reason else ''}")
    return end.exit_code


def _say(text: str) -> None:
    sys.stderr.write(f"launcher: {text}\n")
    sys.stderr.flush()
