"""Names of jobs. A job's name says what it is; its id says which run of it."""

import re
import time

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
MAX_NAME = 64


def make_name(text: str) -> str:
    """``text`` as one safe path component of at most 64 characters.

    >>> make_name("/data/train v2.py"), make_name("../.."), make_name("my.module")
    ('data-train-v2.py', 'job', 'my.module')
    """
    name = _UNSAFE.sub("-", text).strip("-.")[:MAX_NAME].rstrip("-.")
    return name or "job"


def make_job_id(name: str, t_wall: float) -> str:
    """``name`` and the local time, to the second: sorts by time, reads in a listing."""
    return f"{make_name(name)}-{time.strftime('%Y%m%d-%H%M%S', time.localtime(t_wall))}"
