"""A node with GPUs, NPUs and InfiniBand that are not there: files and tools for checks to look at.

``FakeNode(directory)`` makes ``bin`` (to be put first on PATH) and ``root`` (below which /dev, /proc
and /sys are looked for). It begins with no device. Every tool is a script that prints a file.
"""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from . import tool_output as output


class FakeNode:
    """What it says of itself beside its files: ``clock_synchronised``, ``read_only`` paths, ``cards``."""

    def __init__(self, directory: Path) -> None:
        self.root, self.bin = directory / "root", directory / "bin"
        self.clock_synchronised = True
        self.read_only: set[Path] = set()
        self.cards: int | None = None  # that the platform says there are
        self.gpus: list[output.Gpu] = []
        self.npus: list[output.Npu] = []
        for path in (self.bin, self.root / "dev", self.root / "proc", self.root / "sys/fs/cgroup"):
            path.mkdir(parents=True, exist_ok=True)
        self.write("proc/meminfo", "MemTotal: 65536000 kB\nMemAvailable: 60000000 kB\n")
        self.write("proc/self/cgroup", "")

    @property
    def environ(self) -> dict[str, str]:
        """Of this process, with the fakes first on PATH and without what it says of real devices."""
        hidden = ("CUDA_VISIBLE_DEVICES", "ASCEND_RT_VISIBLE_DEVICES")
        kept = {name: value for name, value in os.environ.items() if name not in hidden}
        return {**kept, "PATH": f"{self.bin}:/usr/bin:/bin"}

    def write(self, path: str, text: str) -> Path:
        """A file below the root."""
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def tool(self, name: str, answers: Mapping[str, str], code: int = 0, default: str = "") -> None:
        """A program that prints the text of its arguments, written as one string; others: ``default``."""
        cases = []
        for number, (words, text) in enumerate(answers.items()):
            file = self.bin / f".{name}-{number}"
            file.write_text(text)
            cases.append(f"{shlex.quote(words)}) cat {shlex.quote(str(file))} ;;")
        other = self.bin / f".{name}-default"
        other.write_text(default)
        cases.append(f"*) cat {shlex.quote(str(other))} ;;")
        self.script(name, 'case "$*" in\n' + "\n".join(cases) + f"\nesac\nexit {code}")

    def script(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def hang(self, name: str) -> None:
        """A tool that never answers."""
        self.script(name, "exec sleep 100000")

    def remove(self, name: str) -> None:
        (self.bin / name).unlink()

    # --- devices ---

    def add_gpus(self, count: int = 2) -> None:
        self.gpus = [output.Gpu() for _ in range(count)]
        self.write("dev/nvidiactl", "")
        for index in range(count):
            self.write(f"dev/nvidia{index}", "")
        self.log("")
        self.say_gpus()

    def say_gpus(self, code: int = 0, warning: str = "") -> None:
        """Puts what is in ``gpus`` into what nvidia-smi prints; after each change of them."""
        report = output.nvidia_smi_xml(self.gpus) + warning
        self.tool(
            "nvidia-smi",
            {"-q -x": report, output.CSV_QUERY: output.nvidia_smi_csv(self.gpus)},
            code,
            warning,
        )

    def log(self, text: str) -> None:
        """The kernel log."""
        self.tool("dmesg", {"": text})

    def add_npus(self, count: int = 8) -> None:
        self.npus = [output.Npu() for _ in range(count)]
        self.write("dev/davinci_manager", "")
        for index in range(count):
            self.write(f"dev/davinci{index}", "")
        self.say_npus()

    def say_npus(self) -> None:
        """Puts what is in ``npus`` into what npu-smi and hccn_tool print; after each change of them."""
        smi, hccn = {"info": output.npu_smi_info(self.npus)}, {}
        for index, npu in enumerate(self.npus):
            smi[f"info -t health -i {index} -c 0"] = output.npu_health(npu)
            smi[f"info -t ecc -i {index} -c 0"] = output.npu_ecc(npu)
            hccn[f"-i {index} -link_stat -g"] = output.link_stat(index, npu)
            hccn[f"-i {index} -net_health -g"] = f"net health status: {npu.net}\n"
            hccn[f"-i {index} -stat -g"] = output.packet_stat(npu)
        self.tool("npu-smi", smi)
        self.tool("hccn_tool", hccn)

    def add_infiniband(self, state: str = "Active", physical: str = "LinkUp") -> None:
        base = "sys/class/infiniband/mlx5_0/ports/1"
        for name, text in (
            ("state", f"4: {state.upper()}"),
            ("phys_state", f"5: {physical}"),
            ("rate", "200 Gb/sec (4X HDR)"),
            ("link_layer", "InfiniBand"),
            ("counters/symbol_error", "0"),
        ):
            self.write(f"{base}/{name}", f"{text}\n")
        self.tool("ibstat", {"": output.ibstat(state, physical)})
