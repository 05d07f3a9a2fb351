"""One job at a time writes to a place in storage: an object there says which, and is written anew every 10 s.

none ─▶ put, if there is still none ─▶ ours ─▶ renewed ─▶ ... ─▶ released: none
another's: in use ─▶ Held
           expired, or of a process that is gone ─▶ put over it, wait, read back ─▶ ours, or Held

How old a lease is, is told by the server's clock alone: what is written now for comparison has its time. A
store that does not know If-None-Match (that is tried) is written to and read back after a while, as the last
who wrote has it.
"""

import getpass
import json
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ma_training.job import format_duration

from ..errors import Exists, NotFound, StorageError
from ..store import Store
from .holder import Holder

LEASE = ".ma-training-lease.json"
TTL = 60.0  # seconds without a renewal after which it is no one's
RENEW_EVERY = 10.0
SETTLE = 2.0
_TRIES = 5


class Held(StorageError):
    """Another job writes there."""


class Lost(StorageError):
    """Another job has taken the place: it thought that we were gone."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Who wants it. ``job``: the run, the same on all its nodes. ``name``: the same when it is started again.

    ``unique``: no two jobs have that name, as a scheduler gave it; so one that has it is the same.
    """

    job: str
    name: str
    unique: bool
    holder: Holder

    def to_record(self, token: str) -> dict[str, Any]:
        return {
            "v": 1,
            "job": self.job,
            "name": self.name,
            "user": _user(),
            "holder": self.holder.to_record(),
            "ttl_s": TTL,
            "token": token,
        }


def may_take(record: Mapping[str, Any], claim: Claim, age: float, gone: bool | None) -> bool:
    """Pure. ``age``: seconds since it was renewed; ``gone``: whether its process is, None for unknown."""
    if record.get("job") == claim.job or age > float(record.get("ttl_s", TTL)):
        return True
    if record.get("name") != claim.name:
        return False
    return bool(gone) or (claim.unique and gone is None)


class Lease:
    def __init__(self, store: Store, claim: Claim, settle: float = SETTLE) -> None:
        self._store, self._claim, self._settle = store, claim, settle
        self._token = secrets.token_hex(8)

    def check(self) -> None:
        """Raises Held where another job has it. Writes nothing that stays."""
        record = self._read()
        if record is not None:
            self._refuse(record)

    def take(self) -> None:
        """Raises Held."""
        self._take()
        self._sweep()

    def _take(self) -> None:
        for _ in range(_TRIES):
            record = self._read()
            if record is None:
                if self._take_free():
                    return
                continue
            self._refuse(record)
            self._put()
            if record.get("job") == self._claim.job or self._is_ours_after(self._settle):
                return
        raise Held(f"{self._store.url} is wanted by several jobs at the same time", "start one of them again")

    def renew(self) -> None:
        """Raises Lost."""
        record = self._read()
        if record is None:
            self._take()
        elif record.get("job") != self._claim.job:
            raise Lost(
                f"{self._described(record)} has taken over {self._store.url}, and nothing more is written "
                "there from here",
                "give each job an output path of its own",
            )
        else:
            self._put()

    def release(self) -> None:
        record = self._read()
        if record is not None and record.get("job") == self._claim.job:
            self._store.delete(LEASE)

    # ---

    def _take_free(self) -> bool:
        try:
            self._store.put(LEASE, self._content(), if_none_match=True)
        except Exists:
            return False
        if self._store.url.is_local or self._knows_conditions():
            return True
        return self._is_ours_after(self._settle)

    def _knows_conditions(self) -> bool:
        """Whether the store refuses to write over our own lease, when asked to."""
        try:
            self._store.put(LEASE, self._content(), if_none_match=True)
        except Exists:
            return True
        return False

    def _is_ours_after(self, seconds: float) -> bool:
        time.sleep(seconds)
        return (self._read() or {}).get("token") == self._token

    def _put(self) -> None:
        self._store.put(LEASE, self._content())

    def _content(self) -> bytes:
        # Another one each time: a store must not take it for its own earlier write.
        record = self._claim.to_record(self._token) | {"written": time.time_ns()}
        return json.dumps(record, indent=1).encode() + b"\n"

    def _read(self) -> dict[str, Any] | None:
        try:
            with self._store.open(LEASE) as reader:
                data = reader.read()
        except NotFound:
            return None
        try:
            record = json.loads(data)
        except ValueError:
            record = None
        return record if isinstance(record, dict) else {}  # damaged: it is as old as it is

    def _refuse(self, record: Mapping[str, Any]) -> None:
        if record.get("job") == self._claim.job:
            return
        age, gone = self._age(), self._is_gone(record)
        if may_take(record, self._claim, age, gone):
            return
        left = format_duration(max(float(record.get("ttl_s", TTL)) - age, 0.0))
        raise Held(
            f"{self._store.url} is in use by {self._described(record)}, renewed "
            f"{format_duration(max(age, 0.0))} ago; it expires in {left} unless it is renewed again",
            "give this job another output path, or end the other one first",
        )

    def _age(self) -> float:
        """Seconds since the lease was written, by the clock that stamps what is written."""
        probe = f"{LEASE}.{self._token}"
        for _ in range(_TRIES):
            self._store.put(probe, b"")
            try:
                now, then = self._store.head(probe), self._store.head(LEASE)
            finally:
                self._store.delete(probe)
            if then is None:
                return TTL + 1  # given back just now
            if now is not None:  # else swept by another job
                return (now.mtime_ns - then.mtime_ns) / 1e9
        return 0.0

    def _sweep(self) -> None:
        """Removes what killed processes have left, written for comparison."""
        for entry in list(self._store.list(f"{LEASE}.")):
            self._store.delete(entry.key)

    def _is_gone(self, record: Mapping[str, Any]) -> bool | None:
        try:
            return Holder.from_record(record["holder"]).is_gone()
        except (LookupError, ValueError, TypeError):
            return None

    def _described(self, record: Mapping[str, Any]) -> str:
        try:
            holder = str(Holder.from_record(record["holder"]))
        except (LookupError, ValueError, TypeError):
            holder = "unknown"
        return f"job {record.get('job', '?')} of {record.get('user', '?')} ({holder})"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())
