"""All checks, in the order in which they are shown. A file is imported when its check is asked for."""

import difflib
from collections.abc import Collection, Iterable
from importlib import import_module

from .check import Check

_GUIDE = ("dns", "disk_root", "disk_shm", "disk_cache", "ulimit", "gpu_check")
_SYSTEM = (
    "inodes",
    "run_directory",
    "storage",
    "object_storage",
    "memory",
    "core_limit",
    "cpu_throttling",
    "clock",
    "kubelet_disk",
    "python",
    "orphans",
)
_NETWORK = ("names", "ports", "interface", "mtu", "network_settings")
_GPU = (
    "gpu_driver",
    "gpu_count",
    "gpu_ecc",
    "gpu_pages",
    "gpu_xid",
    "gpu_inforom",
    "gpu_throttling",
    "gpu_temperature",
    "gpu_arch",
)
_NPU = (
    "npu_driver",
    "npu_count",
    "npu_health",
    "npu_ecc",
    "npu_link",
    "npu_net",
    "npu_cards",
    "mindspore",
)
_IB = ("infiniband", "ib_errors")
_SPEED = ("matmul", "memory_bandwidth", "disk_rate")
FILES = (*_GUIDE, *_SYSTEM, *_NETWORK, *_GPU, *_NPU, *_IB, *_SPEED)
# Of files whose check has a name with a space in it: the guide's.
_NAMED = {"disk_root": "disk-size root", "disk_shm": "disk-size shm", "disk_cache": "disk-size cache"}
NAMES = {_NAMED.get(file, file.replace("_", "-")): file for file in FILES}


class UnknownCheckError(ValueError):
    """There is no such check; ``nearest`` is what was probably meant, or ''."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no check {name!r}")
        self.nearest = next(iter(difflib.get_close_matches(name, [*NAMES, *GROUP_NAMES], n=1)), "")


# One word for all of a group: --only gpu
GROUP_NAMES = {
    "platform": _GUIDE,
    "system": _SYSTEM,
    "network": _NETWORK,
    "gpu": _GPU,
    "npu": _NPU,
    "infiniband-all": _IB,
    "speed": _SPEED,
    "disk-size": ("disk_root", "disk_shm", "disk_cache"),
}


def load(files: Iterable[str] = FILES) -> list[Check]:
    found = [getattr(import_module(f"{__package__}.checks.{file}"), "CHECK") for file in files]  # noqa: B009
    return list(found)


def choose(names: Collection[str] = (), full: bool = False) -> list[Check]:
    """Those named, of both levels; else all of the level. Raises UnknownCheckError."""
    if not names:
        return [check for check in load() if full or not check.full]
    files: list[str] = []
    for name in names:
        word = " ".join(name.strip().split())
        if word in NAMES:
            files.append(NAMES[word])
        elif word.lower() in GROUP_NAMES:
            files += GROUP_NAMES[word.lower()]
        else:
            raise UnknownCheckError(word)
    return load(dict.fromkeys(files))


HARDWARE = ("gpu_check", "kubelet_disk", *_GPU[:6], *_NPU[:6], "infiniband")


def hardware() -> list[Check]:
    """Those that are looked at again when a worker has failed."""
    return [check for check in load(HARDWARE) if check.hardware]
