"""Every fault code of ModelArts that a node can know, made to happen on a node of fakes."""

from collections.abc import Callable
from pathlib import Path

from . import tool_output as output
from .fake_node import FakeNode

GPUS, NPUS = 2, 8


def healthy(directory: Path) -> FakeNode:
    """GPUs, NPUs and InfiniBand, all well: no real node has all of them."""
    node = FakeNode(directory)
    node.add_gpus(GPUS)
    node.add_npus(NPUS)
    node.add_infiniband()
    node.write("mnt/paas/kubernetes/kubelet/.keep", "")
    node.write("proc/1/comm", "chronyd\n")
    return node


def _ecc(node: FakeNode) -> None:
    node.gpus[1].sram_uncorrected = 5
    node.say_gpus()


def _err(node: FakeNode) -> None:
    node.gpus[1].fan = "ERR!"
    node.say_gpus()


def _smi(node: FakeNode) -> None:
    node.tool(
        "nvidia-smi",
        {},
        9,
        "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n",
    )


def _pages(node: FakeNode) -> None:
    node.gpus[0].retired_single, node.gpus[0].retired_double = 40, 25
    node.say_gpus()


def _inforom(node: FakeNode) -> None:
    node.say_gpus(14, f"WARNING: infoROM is corrupted at gpu {output.bus_id(0)[4:]}\n")


def _off_the_bus(node: FakeNode) -> None:
    node.log(output.xid(1, 79, "GPU has fallen off the bus."))


def _infiniband(node: FakeNode) -> None:
    node.add_infiniband("Down", "Disabled")


def _npu_driver(node: FakeNode) -> None:
    node.tool("npu-smi", {}, 255, "dcmi module initialize failed. ret is -8005\n")


def _npu(**fields: object) -> Callable[[FakeNode], None]:
    def make(node: FakeNode) -> None:
        for name, value in fields.items():
            setattr(node.npus[3], name, value)
        node.say_npus()

    return make


def _clock(node: FakeNode) -> None:
    node.clock_synchronised = False


def _lost_card(node: FakeNode) -> None:
    node.gpus.pop()
    node.say_gpus()


def _kubelet(node: FakeNode) -> None:
    node.read_only.add(node.root / "mnt/paas/kubernetes/kubelet")


def _no_gpu(node: FakeNode) -> None:
    node.gpus.clear()
    node.say_gpus()


FAULTS: dict[str, Callable[[FakeNode], None]] = {
    "A050101": _ecc,
    "A050102": _err,
    "A050103": _smi,
    "A050104": _pages,
    "A050148": _inforom,
    "A050109": _off_the_bus,
    "A050147": _infiniband,
    "A050121": _npu_driver,
    "A050122": _npu(health="Alarm", error_code="80C98000"),
    "A050123": _npu(net="Receive timeout"),
    "A050129": _npu(health="UNKNOWN"),
    "A050149": _npu(flaps=6),
    "A050951": _npu(isolated_pages=64),
    "A050146": _clock,
    "A050203": _lost_card,
    "A050206": _kubelet,
    "A050931": _no_gpu,
    "A050932": _infiniband,
}


def rehearse(code: str, directory: Path) -> FakeNode:
    """A node that has this fault and no other. Raises KeyError where no node can know it."""
    node = healthy(directory)
    FAULTS[code](node)
    return node
