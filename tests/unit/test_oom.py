from pathlib import Path

import pytest

from ma_training.diagnosis import OomCounters

V1 = "12:cpuset:/\n7:cpu,cpuacct:/job\n4:memory:/job/step\n1:name=systemd:/\n"
V2 = "0::/job/step\n"


@pytest.fixture
def machine(tmp_path: Path) -> "Machine":
    return Machine(tmp_path)


class Machine:
    """Trees like /proc and /sys/fs/cgroup, holding only what is written here."""

    def __init__(self, root: Path) -> None:
        self.proc, self.sys = root / "proc", root / "sys"
        self.proc.mkdir()
        self.sys.mkdir()

    def cgroup(self, text: str) -> None:
        (self.proc / "self").mkdir(exist_ok=True)
        (self.proc / "self/cgroup").write_text(text)

    def vmstat(self, kills: int) -> None:
        (self.proc / "vmstat").write_text(f"pgfault 12\noom_kill_other 8\noom_kill {kills}\n")

    def v1(self, group: str, kills: int) -> None:
        path = self.sys / "memory" / group
        path.mkdir(parents=True, exist_ok=True)
        (path / "memory.oom_control").write_text(f"oom_kill_disable 0\nunder_oom 0\noom_kill {kills}\n")

    def v2(self, group: str, kills: int) -> None:
        path = self.sys / group
        path.mkdir(parents=True, exist_ok=True)
        (path / "memory.events").write_text(
            f"low 0\nhigh 0\nmax 9\noom 4\noom_kill {kills}\noom_group_kill 0\n"
        )

    def read(self) -> OomCounters:
        return OomCounters.read(self.proc, self.sys)


def test_v1(machine: Machine) -> None:
    machine.cgroup(V1)
    machine.v1("job/step", 3)
    machine.v1("", 50)
    machine.vmstat(60)
    assert machine.read() == OomCounters(3, 60)


def test_v2(machine: Machine) -> None:
    machine.cgroup(V2)
    machine.v2("job/step", 3)
    machine.v2("job", 9)
    assert machine.read() == OomCounters(3, None)


def test_both_versions_with_memory_in_v1(machine: Machine) -> None:
    machine.cgroup(V1 + "0::/job/step\n")
    machine.v1("job/step", 3)
    (machine.sys / "unified/job/step").mkdir(parents=True)  # no memory controller there
    assert machine.read() == OomCounters(3, None)


def test_both_versions_with_memory_in_v2(machine: Machine) -> None:
    machine.cgroup("1:name=systemd:/job/step\n0::/job/step\n")
    machine.v2("unified/job/step", 4)
    assert machine.read() == OomCounters(4, None)


@pytest.mark.parametrize("lines", [V1, V2])
def test_a_container_whose_path_is_the_hosts_finds_its_group_at_the_root(
    machine: Machine, lines: str
) -> None:
    machine.cgroup(lines)
    if lines == V1:
        machine.v1("", 5)
    else:
        machine.v2("", 5)
    assert machine.read() == OomCounters(5, None)


def test_a_group_named_memory_is_not_the_memory_controller(machine: Machine) -> None:
    machine.cgroup("3:cpu:/memory\n2:name=memory:/memory\n")
    machine.v1("memory", 5)
    assert machine.read() == OomCounters(None, None)


def test_nothing_to_read(machine: Machine) -> None:
    assert machine.read() == OomCounters(None, None)
    machine.cgroup(V1 + V2)
    assert machine.read() == OomCounters(None, None)


def test_an_old_kernel_counts_nothing(machine: Machine) -> None:
    machine.cgroup(V1)
    group = machine.sys / "memory/job/step"
    group.mkdir(parents=True)
    (group / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\n")
    assert machine.read() == OomCounters(None, None)


@pytest.mark.parametrize(
    ("before", "after", "grew"),
    [
        ((3, 60), (3, 60), False),
        ((3, 60), (4, 61), True),
        ((3, 60), (3, 61), False),  # someone else on this machine
        ((3, None), (4, None), True),
        ((None, 60), (None, 61), True),
        ((None, None), (None, None), False),
        ((None, None), (1, 1), False),  # it could not be read before: how much is new is not known
        ((3, 60), (None, None), False),
    ],
)
def test_growth(before: tuple[int | None, ...], after: tuple[int | None, ...], grew: bool) -> None:
    assert OomCounters(*after).grew_since(OomCounters(*before)) is grew
