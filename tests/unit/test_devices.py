from pathlib import Path

import pytest

from ma_training.devices import (
    MemoryLimit,
    count_gpus,
    count_npus,
    memory_headroom,
    memory_limit,
    memory_limits,
)

GIB = 1 << 30
MACHINE = 64 * GIB
NO_LIMIT_V1 = 9223372036854771712
UUID = "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"


@pytest.fixture
def dev(tmp_path: Path) -> Path:
    """Four GPUs and eight NPUs, with the drivers' other nodes."""
    for number in range(4):
        (tmp_path / f"nvidia{number}").touch()
    for number in range(8):
        (tmp_path / f"davinci{number}").touch()
    for name in (
        "nvidiactl",
        "nvidia-uvm",
        "nvidia-modeset",
        "davinci_manager",
        "hisi_hdc",
        "xnvidia0",
        "null",
    ):
        (tmp_path / name).touch()
    (tmp_path / "nvidia-caps").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("visible", "count"),
    [
        ("0,1", 2),
        ("3", 1),
        ("3, 1", 2),  # CUDA reads numbers as C does: spaces before them are nothing
        ("0,1,2,3", 4),
        ("", 0),
        ("-1", 0),
        ("NoDevFiles", 0),
        ("0,,1", 1),
        ("0,-1,1", 1),
        ("0,1,", 2),
        (f"{UUID}", 1),
        (f"{UUID},GPU-1d2c3b4a", 2),
        ("MIG-5d1a6f6e-6b0a-5d2a-8d3c-9a2b6f3c1e0d", 1),
        ("4", 0),  # no such GPU, and where one is wrong, those before it count
        ("0,4,1", 1),
        ("0,1,none", 2),
    ],
)
def test_cuda_visible_devices(dev: Path, visible: str, count: int) -> None:
    assert count_gpus({"CUDA_VISIBLE_DEVICES": visible}, dev) == count


@pytest.mark.parametrize(
    ("visible", "count"),
    [
        ("0", 1),
        ("1,2,3", 3),
        ("", 0),
        ("1,2,-1,3", 2),
        ("1,,3", 1),
        ("1,3,8", 2),  # of eight
        ("1, 2,3", 1),  # a space ends the list, as the manual of CANN says
    ],
)
def test_ascend_rt_visible_devices(dev: Path, visible: str, count: int) -> None:
    assert count_npus({"ASCEND_RT_VISIBLE_DEVICES": visible}, dev) == count


def test_all_are_visible_where_nothing_is_said(dev: Path) -> None:
    assert count_gpus({}, dev) == 4
    assert count_npus({}, dev) == 8


def test_each_kind_has_its_own_variable(dev: Path) -> None:
    environ = {"CUDA_VISIBLE_DEVICES": "0", "ASCEND_RT_VISIBLE_DEVICES": "0,1"}
    assert (count_gpus(environ, dev), count_npus(environ, dev)) == (1, 2)


def test_a_container_may_be_given_a_high_number(tmp_path: Path) -> None:
    """The only GPU there is has index 0, whatever its node is called."""
    (tmp_path / "nvidia6").touch()
    assert count_gpus({"CUDA_VISIBLE_DEVICES": "0"}, tmp_path) == 1


def test_no_accelerators(tmp_path: Path) -> None:
    assert count_gpus({"CUDA_VISIBLE_DEVICES": "0,1"}, tmp_path) == 0
    assert count_npus({}, tmp_path) == 0


class Machine:
    """Trees like /proc and /sys/fs/cgroup of a machine with 64 GiB available."""

    def __init__(self, root: Path) -> None:
        self.proc, self.sys = root / "proc", root / "sys"
        (self.proc / "self").mkdir(parents=True)
        self.sys.mkdir()
        kib = MACHINE // 1024
        (self.proc / "meminfo").write_text(f"MemTotal: {kib * 2} kB\nMemFree: 7 kB\nMemAvailable: {kib} kB\n")

    def cgroup(self, text: str) -> None:
        (self.proc / "self/cgroup").write_text(text)

    def v1(self, group: str, limit: int, used: int, cache: int = 0) -> None:
        path = self.sys / "memory" / group
        path.mkdir(parents=True, exist_ok=True)
        (path / "memory.limit_in_bytes").write_text(f"{limit}\n")
        (path / "memory.usage_in_bytes").write_text(f"{used}\n")
        # The plain line is the group's own; the total counts its children, as usage does.
        (path / "memory.stat").write_text(f"cache 5\ninactive_file 5\ntotal_inactive_file {cache}\n")

    def v2(self, group: str, limit: int | str, used: int, cache: int = 0) -> None:
        path = self.sys / group
        path.mkdir(parents=True, exist_ok=True)
        (path / "memory.max").write_text(f"{limit}\n")
        (path / "memory.current").write_text(f"{used}\n")
        (path / "memory.stat").write_text(f"anon 5\nfile 7\ninactive_file {cache}\nactive_file 9\n")

    @property
    def headroom(self) -> int:
        return memory_headroom(self.proc, self.sys)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_limit_of_v2(machine: Machine) -> None:
    machine.cgroup("0::/job/step\n")
    machine.v2("job/step", 8 * GIB, 5 * GIB, cache=GIB)
    assert machine.headroom == 4 * GIB


def test_a_limit_of_v1(machine: Machine) -> None:
    machine.cgroup("5:cpu,cpuacct:/\n4:memory:/job/step\n")
    machine.v1("job/step", 8 * GIB, 5 * GIB, cache=GIB)
    assert machine.headroom == 4 * GIB


def test_v2_beside_v1(machine: Machine) -> None:
    machine.cgroup("1:name=systemd:/job\n0::/job\n")
    machine.v2("unified/job", 8 * GIB, 5 * GIB)
    assert machine.headroom == 3 * GIB


def test_the_tightest_group_above_decides(machine: Machine) -> None:
    machine.cgroup("0::/job/step/rank\n")
    machine.v2("job/step/rank", "max", GIB)
    machine.v2("job/step", 8 * GIB, 2 * GIB)
    machine.v2("job", 9 * GIB, 8 * GIB)
    assert machine.headroom == GIB


def test_a_parents_limit_in_v1(machine: Machine) -> None:
    machine.cgroup("4:memory:/job/step\n")
    machine.v1("job/step", NO_LIMIT_V1, GIB)
    machine.v1("job", 8 * GIB, 2 * GIB)
    machine.v1("", NO_LIMIT_V1, 30 * GIB)
    assert machine.headroom == 6 * GIB


def test_another_groups_limit_is_not_ours(machine: Machine) -> None:
    machine.cgroup("0::/job/step\n")
    machine.v2("job/step", "max", GIB)
    machine.v2("job/other", GIB, GIB)
    assert machine.headroom == MACHINE


@pytest.mark.parametrize("lines", ["0::/kubepods/pod1/abc\n", "4:memory:/docker/abc\n"])
def test_a_container_mounts_its_own_group_as_root(machine: Machine, lines: str) -> None:
    machine.cgroup(lines)
    machine.v1("", 8 * GIB, 5 * GIB)
    machine.v2("", 8 * GIB, 5 * GIB)
    assert machine.headroom == 3 * GIB


def test_a_limit_above_what_a_container_can_see(machine: Machine) -> None:
    machine.cgroup("4:memory:/docker/abc\n")
    machine.v1("", NO_LIMIT_V1, 5 * GIB, cache=GIB)
    with (machine.sys / "memory/memory.stat").open("a") as file:
        file.write(f"hierarchical_memory_limit {8 * GIB}\n")
    assert machine.headroom == 4 * GIB
    machine.v1("", 6 * GIB, 5 * GIB)
    assert machine.headroom == GIB


def test_limits_say_what_they_are(machine: Machine) -> None:
    machine.cgroup("0::/job/step\n")
    machine.v2("job/step", 8 * GIB, 2 * GIB)
    machine.v2("job", 9 * GIB, 8 * GIB)
    assert memory_limits(machine.proc, machine.sys) == [
        MemoryLimit("the machine's memory", 2 * MACHINE, MACHINE),
        MemoryLimit("the container's memory limit", 8 * GIB, 6 * GIB),
        MemoryLimit("the container's memory limit", 9 * GIB, GIB),
    ]
    assert memory_limit(machine.proc, machine.sys) == 8 * GIB


def test_a_limit_above_the_machine_leaves_what_the_machine_has(machine: Machine) -> None:
    machine.cgroup("0::/job\n")
    machine.v2("job", 500 * GIB, GIB)
    assert machine.headroom == MACHINE


def test_a_group_over_its_limit_leaves_nothing(machine: Machine) -> None:
    machine.cgroup("0::/job\n")
    machine.v2("job", 8 * GIB, 9 * GIB)
    assert machine.headroom == 0


def test_files_that_are_missing_set_no_limit(machine: Machine) -> None:
    machine.cgroup("4:memory:/job\n0::/job\n")
    assert machine.headroom == MACHINE
    machine.v2("job", 8 * GIB, GIB)
    (machine.sys / "job/memory.stat").unlink()
    assert machine.headroom == MACHINE


def test_a_kernel_without_cgroups_sets_no_limit(machine: Machine) -> None:
    assert machine.headroom == MACHINE


def test_a_machine_that_does_not_say_has_nothing_to_spare(machine: Machine) -> None:
    machine.cgroup("0::/\n")
    (machine.proc / "meminfo").write_text("MemTotal: 1 kB\n")
    assert machine.headroom == 0
