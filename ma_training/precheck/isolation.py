"""Nodes that new attempts keep away from: a small file for each, with a reason and an expiry.

<run base>/isolated/<node>.json. What runs there already is left alone. A node that was restarted
since (another boot id) is not held to it: its hardware is looked at anew anyway.
"""

import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

VERSION = 1
ISOLATED_FOR = 24 * 3600.0  # seconds
DIRECTORY = "isolated"
# Who names the machine, not the container: a pod keeps its name when it is moved to another node.
NODE_VARIABLES = ("NODE_NAME", "MY_NODE_NAME", "SLURMD_NODENAME", "MA_CURRENT_HOST_IP")


class IsolationError(Exception):
    """A record that cannot be read or written; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Isolation:
    node: str
    boot: str  # of the node's kernel
    reason: str
    codes: tuple[str, ...]
    job: str
    since: float  # seconds since the epoch
    until: float


def node_name(environ: Mapping[str, str], host: str) -> str:
    return next((environ[name] for name in NODE_VARIABLES if environ.get(name)), host)


def boot_id(root: Path = Path("/")) -> str:
    """The same in all containers of a machine; '' where the kernel does not say."""
    try:
        return (root / "proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def isolate(base: Path, record: Isolation) -> Path:
    """Writes it, whole or not at all. Raises IsolationError."""
    path = _path(base, record.node)
    text = json.dumps({"v": VERSION, **asdict(record)}, indent=2, ensure_ascii=False) + "\n"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")  # 0600
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError as error:
        raise IsolationError(f"cannot write {path}: {error.strerror}") from None
    return path


def isolation(base: Path, node: str, boot: str, now: float) -> Isolation | None:
    """What keeps this node away; None where nothing does, or does any more. Raises IsolationError."""
    path = _path(base, node)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        version = record.pop("v")
        record["codes"] = tuple(record["codes"])
        found = Isolation(**record)
        over = now >= found.until
    except FileNotFoundError:
        return None
    except OSError as error:
        raise IsolationError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise IsolationError(f"{path} is damaged: {error!r}; remove it, or write it anew") from None
    if version != VERSION or over or (boot and found.boot and boot != found.boot):
        return None
    return found


def release(base: Path, node: str) -> bool:
    """Takes the record away; False where there was none. Raises IsolationError."""
    path = _path(base, node)
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise IsolationError(f"cannot remove {path}: {error.strerror}") from None
    return True


def _path(base: Path, node: str) -> Path:
    safe = re.sub(r"[^A-Za-z0-9_.-]", "_", node).lstrip(".") or "node"
    return base / DIRECTORY / f"{safe}.json"
