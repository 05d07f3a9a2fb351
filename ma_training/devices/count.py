"""How many accelerators a worker here would see, from device nodes: no driver is loaded to find out."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path


def _visible(present: int, text: str | None, is_name: Callable[[str], bool]) -> int:
    """How many of ``present`` devices a list leaves. Both runtimes stop at its first entry that is none."""
    if text is None:
        return present
    valid = 0
    for entry in text.split(","):
        if not is_name(entry) and not (entry.isdigit() and int(entry) < present):
            break
        valid += 1
    return min(valid, present)


def _nodes(pattern: str, dev: Path) -> int:
    return sum(bool(re.fullmatch(pattern, path.name)) for path in dev.iterdir())


def _is_uuid(entry: str) -> bool:
    return entry.startswith(("GPU-", "MIG-"))


def _stripped(text: str | None) -> str | None:
    """CUDA allows spaces around an entry; CANN does not."""
    return None if text is None else ",".join(entry.strip() for entry in text.split(","))


def count_gpus(environ: Mapping[str, str] = os.environ, dev: Path = Path("/dev")) -> int:
    """NVIDIA GPUs: /dev/nvidia0, /dev/nvidia1, ..."""
    return _visible(_nodes(r"nvidia\d+", dev), _stripped(environ.get("CUDA_VISIBLE_DEVICES")), _is_uuid)


def count_npus(environ: Mapping[str, str] = os.environ, dev: Path = Path("/dev")) -> int:
    """Ascend NPUs: /dev/davinci0, /dev/davinci1, ..."""
    return _visible(_nodes(r"davinci\d+", dev), environ.get("ASCEND_RT_VISIBLE_DEVICES"), lambda entry: False)


def has_gpus(environ: Mapping[str, str] = os.environ, dev: Path = Path("/dev")) -> bool:
    """Whether NVIDIA's driver or its tool is here, however many GPUs are left of those it had."""
    return (dev / "nvidiactl").exists() or bool(_nodes(r"nvidia\d+", dev)) or _tool("nvidia-smi", environ)


def has_npus(environ: Mapping[str, str] = os.environ, dev: Path = Path("/dev")) -> bool:
    return (dev / "davinci_manager").exists() or bool(_nodes(r"davinci\d+", dev)) or _tool("npu-smi", environ)


def _tool(name: str, environ: Mapping[str, str]) -> bool:
    directories = environ.get("PATH", os.defpath).split(os.pathsep)
    return any(os.access(f"{directory}/{name}", os.X_OK) for directory in directories if directory)
