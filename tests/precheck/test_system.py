"""Checks of the system and the network: each passes, and each finds what it is for."""

import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ma_training.precheck import Disk, Job, Surroundings, Verdict, choose, run_checks
from ma_training.precheck.checks.gpu_arch import judge
from ma_training.testing import FakeNode, healthy

from .nodes import GIB, check, surroundings


@pytest.fixture
def node(tmp_path: Path) -> FakeNode:
    return FakeNode(tmp_path)


def _job(where: Surroundings, **fields: Any) -> Surroundings:
    return replace(where, job=replace(where.job, **fields))


def test_inodes_and_run_directory(node: FakeNode) -> None:
    where = surroundings(node)
    assert check(where, "inodes").verdict is check(where, "run-directory").verdict is Verdict.OK
    full = replace(where, disk=lambda path: Disk(GIB // 2, GIB, 5, 100))
    assert check(full, "inodes").verdict is check(full, "run-directory").verdict is Verdict.WARN
    uncounted = replace(where, disk=lambda path: Disk(GIB, GIB, 0, 0))
    assert check(uncounted, "inodes").verdict is Verdict.SKIPPED


def test_a_run_directory_that_cannot_be_written() -> None:
    where = Surroundings(Job(run_base=Path("/proc/runs")))
    found = check(where, "run-directory")
    assert found.verdict is Verdict.FAIL and "--run-dir" in found.fix


def test_storage(node: FakeNode, tmp_path: Path) -> None:
    where = _job(surroundings(node), writes=(str(tmp_path / "not/yet"),))
    assert check(where, "storage").verdict is Verdict.OK
    assert not (tmp_path / "not").exists()
    found = check(_job(where, writes=("/proc/out",)), "storage")
    assert found.verdict is Verdict.FAIL and "/proc/out" in found.measured


def test_object_storage_that_cannot_be_meant(node: FakeNode) -> None:
    where = _job(surroundings(node), writes=("ftp://bucket/x",))
    found = check(where, "object-storage")
    assert found.verdict is Verdict.FAIL and "ftp://bucket/x" in found.measured


def test_memory_of_the_machine_and_of_a_cgroup(node: FakeNode) -> None:
    where = _job(surroundings(node), nproc=4)
    assert check(where, "memory").verdict is Verdict.OK
    node.write("proc/self/cgroup", "0::/\n")
    for name, text in (("max", str(3 * GIB)), ("current", str(GIB)), ("stat", "inactive_file 0\n")):
        node.write(f"sys/fs/cgroup/memory.{name}", text)
    found = check(where, "memory")
    assert found.verdict is Verdict.WARN and found.measured.startswith("2 GiB left of the container's")


def test_core_files(node: FakeNode) -> None:
    where = surroundings(node)
    node.write("proc/sys/kernel/core_pattern", "|/usr/lib/systemd/systemd-coredump\n")
    assert check(where, "core-limit").verdict is Verdict.OK
    node.write("proc/sys/kernel/core_pattern", "/tmp/core.%p\n")
    assert check(where, "core-limit").verdict is Verdict.WARN
    assert check(replace(where, rlimit=lambda name: 0), "core-limit").verdict is Verdict.OK


def test_cpu_time(node: FakeNode) -> None:
    where = _job(surroundings(node), nproc=8)
    assert check(where, "cpu-throttling").verdict is Verdict.OK
    node.write("sys/fs/cgroup/cpu.max", "1600000 100000\n")
    node.write("sys/fs/cgroup/cpu.stat", "nr_periods 1000\nnr_throttled 3\n")
    assert check(where, "cpu-throttling").measured == "16 CPUs allowed"
    node.write("sys/fs/cgroup/cpu.stat", "nr_periods 1000\nnr_throttled 400\n")
    assert check(where, "cpu-throttling").verdict is Verdict.WARN
    node.write("sys/fs/cgroup/cpu.max", "200000 100000\n")
    assert "2 CPUs allowed for 8 workers" in check(where, "cpu-throttling").measured


def test_orphans(node: FakeNode) -> None:
    node.add_gpus(1)
    where = surroundings(node)
    assert check(where, "orphans").verdict is Verdict.OK
    process = node.write("proc/4711/comm", "python3\n").parent
    node.write("proc/4711/environ", "LAUNCHER_WORKER_JOB=old-run\0HOME=/\0")
    (process / "fd").mkdir()
    (process / "fd/7").symlink_to("/dev/nvidia0")
    found = check(where, "orphans")
    assert found.verdict is Verdict.WARN
    assert found.measured == "process 4711 (python3, of job old-run) holds nvidia0"
    assert "kill 4711" in found.fix


def test_names(node: FakeNode) -> None:
    node.write("proc/sys/kernel/hostname", "n0\n")
    where = _job(surroundings(node), nnodes=2, master=("n0", 29500), hosts=("n0", "n1"))
    assert check(where, "names").verdict is Verdict.OK
    own = replace(where, resolve=lambda host: ["127.0.1.1"])
    assert "no one comes" in check(own, "names").measured

    def unknown(host: str) -> list[str]:
        if host == "n1":
            raise OSError(-2, "Name or service not known")
        return ["10.0.0.1"]

    found = check(replace(where, resolve=unknown), "names")
    assert found.verdict is Verdict.WARN and "n1: Name or service not known" in found.measured
    assert check(_job(where, nnodes=1), "names").verdict is Verdict.SKIPPED


def test_a_port_that_is_taken(node: FakeNode) -> None:
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        where = _job(surroundings(node), master=("127.0.0.1", port))
        found = check(where, "ports")
        assert found.verdict is Verdict.FAIL and f"port {port}" in found.measured
        assert check(_job(where, leads=False), "ports").verdict is Verdict.OK
    assert check(where, "ports").verdict is Verdict.OK


def test_ports_of_hccl_among_those_that_the_kernel_gives_away(node: FakeNode) -> None:
    node.add_npus(1)
    node.write("proc/sys/net/ipv4/ip_local_port_range", "32768 60999\n")
    node.write("proc/sys/net/ipv4/ip_local_reserved_ports", "\n")
    found = check(surroundings(node), "ports")
    assert found.verdict is Verdict.WARN and "ip_local_reserved_ports=60000-60015" in found.fix
    node.write("proc/sys/net/ipv4/ip_local_reserved_ports", "60000-60015\n")
    assert check(surroundings(node), "ports").verdict is Verdict.OK


def test_interfaces(node: FakeNode) -> None:
    for name, state in (("eth0", "up"), ("eth1", "down"), ("lo", "unknown")):
        node.write(f"sys/class/net/{name}/operstate", f"{state}\n")
        node.write(f"sys/class/net/{name}/mtu", "1500\n")
    node.write("proc/net/route", "Iface Destination Gateway\neth0 00000000 0101A8C0\n")
    where = _job(surroundings(node), nnodes=2)
    assert check(where, "interface").measured == "eth0"
    assert check(where, "mtu").measured == "eth0: 1500"

    def named(value: str) -> Surroundings:
        return replace(where, environ={**where.environ, "NCCL_SOCKET_IFNAME": value})

    assert "there is no such interface" in check(named("ib0"), "interface").measured
    assert "eth1 is down" in check(named("=eth1"), "interface").measured
    assert check(named("^lo"), "interface").verdict is Verdict.OK
    node.write("sys/class/net/eth1/operstate", "up\n")
    assert check(where, "interface").verdict is Verdict.WARN
    node.write("sys/class/net/eth0/mtu", "576\n")
    assert check(where, "mtu").verdict is Verdict.WARN


def test_advice_on_roce_sets_nothing(tmp_path: Path) -> None:
    node = healthy(tmp_path)
    node.write("sys/class/infiniband/mlx5_0/ports/1/link_layer", "Ethernet\n")
    where = _job(surroundings(node), nproc=2)
    before = dict(where.environ)
    found = check(where, "network-settings")
    for name in ("NCCL_IB_GID_INDEX", "NCCL_IB_TC", "NCCL_IB_TIMEOUT", "nvidia_peermem"):
        assert name in found.measured
    assert dict(where.environ) == before
    node.write("proc/modules", "nvidia_peermem 16384 0\n")
    set_up = {"NCCL_IB_GID_INDEX": "3", "NCCL_IB_TC": "106", "NCCL_IB_TIMEOUT": "22"}
    assert check(replace(where, environ={**before, **set_up}), "network-settings").verdict is Verdict.OK


def test_infiniband_counters_and_sys(tmp_path: Path) -> None:
    node = healthy(tmp_path)
    node.write("sys/class/infiniband/mlx5_0/ports/1/counters/symbol_error", "17\n")
    found = check(surroundings(node), "ib-errors")
    assert found.verdict is Verdict.WARN and found.measured == "mlx5_0/1: symbol_error 17"
    node.write("sys/class/infiniband/mlx5_0/ports/1/state", "1: DOWN\n")
    node.remove("ibstat")
    found = check(surroundings(node), "infiniband")
    assert found.verdict is Verdict.FAIL and "mlx5_0 port 1: Down" in found.measured


def test_cards_of_mindspore(tmp_path: Path) -> None:
    node = FakeNode(tmp_path)
    node.add_npus(4)
    where = _job(surroundings(node), framework="mindspore", nnodes=2)
    assert check(where, "npu-cards").verdict is Verdict.FAIL
    assert check(_job(where, cards=8), "npu-cards").verdict is Verdict.OK
    assert check(_job(where, framework="torch"), "npu-cards").verdict is Verdict.SKIPPED


def test_an_npu_that_alone_does_not_answer(tmp_path: Path) -> None:
    node = healthy(tmp_path)
    from ma_training.testing.tool_output import link_stat

    answers = {f"-i {index} -link_stat -g": link_stat(index, node.npus[index]) for index in range(7)}
    node.tool("hccn_tool", answers, default="device is not there\n")
    found = check(surroundings(node), "npu-link")
    assert found.verdict is Verdict.WARN and "NPU 7 is not known" in found.measured


def test_code_for_a_gpus_architecture() -> None:
    assert judge("2.4", ["sm_80", "sm_90"], [[8, 0], [8, 6]]).verdict is Verdict.OK
    assert judge("2.4", ["sm_80", "sm_90"], [[10, 0]]).verdict is Verdict.FAIL
    assert judge("2.4", ["sm_80", "compute_90"], [[10, 0]]).verdict is Verdict.OK
    assert judge("2.4", ["sm_70"], [[6, 1]]).verdict is Verdict.FAIL
    assert "without CUDA" in judge("2.4", [], [[8, 0]]).measured


def test_speed_is_measured(node: FakeNode, tmp_path: Path) -> None:
    where = replace(_job(surroundings(node), run_base=tmp_path), tool_within=60.0)
    found = run_checks(choose(["memory-bandwidth", "disk-rate"]), where)
    assert [one.measured.split()[1] for one in found] == ["GB/s", "MB/s"]
