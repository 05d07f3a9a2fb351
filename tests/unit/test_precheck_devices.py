"""What vendors' tools print, read: healthy, damaged, of other versions, hanging."""

import os
import sys
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ma_training.devices import DeviceReading, FormatError
from ma_training.devices.asking import Asking
from ma_training.devices.npu import (
    parse_chips,
    parse_health,
    parse_isolated_pages,
    parse_link_history,
    parse_net_health,
    parse_packets,
)
from ma_training.devices.nvml import parse_csv, read_gpus_by_nvml
from ma_training.devices.tool import run_tool

ONE_DIE = """\
+------------------------------------------------------------------------------------------------+
| npu-smi 24.1.rc1                 Version: 24.1.rc1                                             |
+---------------------------+---------------+----------------------------------------------------+
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
+===========================+===============+====================================================+
| 0     910B4               | OK            | 81.1        37                0    / 0             |
| 0                         | 0000:82:00.0  | 12          0    / 0          2773 / 32768         |
+===========================+===============+====================================================+
| 1     910B4               | Warning       | 80.0        38                0    / 0             |
| 0                         | 0000:01:00.0  | 0           0    / 0          20701/ 32768         |
+===========================+===============+====================================================+
+---------------------------+---------------+----------------------------------------------------+
| NPU     Chip              | Process id    | Process name             | Process memory(MB)      |
+===========================+===============+====================================================+
| 1       0                 | 4711          | python                   | 20600                   |
"""
TWO_DIES = """\
| npu-smi 24.1.rc2                 Version: 24.1.rc2                                             |
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip  Phy-ID              | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
| 0     Ascend910           | OK            | 172.5       36                0    / 0             |
| 0     0                   | 0000:9D:00.0  | 0           0    / 0          3109 / 65536         |
| 0     Ascend910           | OK            | -           36                0    / 0             |
| 1     1                   | 0000:9F:00.0  | 5           0    / 0          20701/ 65536         |
"""
LINK = """\
[devid 3]current time        : Wed Aug  2 03:09:28 2022
[devid 3]link up count       : 3
[devid 3]link change records :
[devid 3]    Tue Aug  2 01:43:40 2022    LINK UP
[devid 3]    Tue Aug  2 01:43:40 2022    LINK DOWN
[devid 3]    Tue Aug  1 14:43:40 2022    LINK UP
[devid 3]    Tue Aug  1 14:43:39 2022    LINK DOWN
[devid 3]    Sat Jul 30 14:43:39 2022    LINK DOWN
"""
PARSERS = (
    parse_chips,
    parse_health,
    parse_isolated_pages,
    parse_link_history,
    parse_net_health,
    parse_packets,
    parse_csv,
)


def test_chips_of_one_die() -> None:
    first, second = parse_chips(ONE_DIE)
    assert (first.npu, first.index, first.name, first.health) == (0, 0, "910B4", "OK")
    assert (first.power, first.temperature, first.aicore) == (81.1, 37.0, 12.0)
    assert first.memory == (2773 << 20, 32768 << 20)
    assert (second.npu, second.index, second.health) == (1, 1, "Warning")
    assert second.memory == (20701 << 20, 32768 << 20)


def test_chips_of_two_dies() -> None:
    first, second = parse_chips(TWO_DIES)
    assert (first.npu, first.chip, first.index, first.power) == (0, 0, 0, 172.5)
    assert (second.npu, second.chip, second.index, second.power) == (0, 1, 1, None)
    assert second.memory == (20701 << 20, 65536 << 20)


def test_health_and_its_codes() -> None:
    assert parse_health("\tHealth Status : OK\n\tError Code : NA\n") == ("OK", ())
    text = "\tHealth Status : Alarm\n\tError Code : 80C98000 0x8C1F8608\n"
    assert parse_health(text) == ("Alarm", ("80C98000", "0x8C1F8608"))


def test_isolated_pages() -> None:
    text = "\tHBM Single Bit Error Count : 0\n\tHBM Double Bit Isolated Pages Count : 64\n"
    assert parse_isolated_pages(text) == 64
    assert parse_isolated_pages("\tDDR Single Bit Error Count : 0\n") is None


def test_flaps_are_counted_by_the_devices_own_clock() -> None:
    history = parse_link_history(LINK)
    assert history.flaps() == 2
    assert history.flaps(timedelta(hours=2)) == 1
    assert history.records[0].up


def test_the_sample_of_a_real_machine() -> None:
    text = "[devid 0]link up count       : 2\n[devid 0]link change records :\n"
    assert parse_link_history(text).flaps() == 0
    assert parse_packets("packet statistics:\nroce_rx_err_pkt_num:0\nroce_tx_err_pkt_num:0\n") is None
    assert parse_packets("roce_rx_all_pkt_num:7\nroce_tx_all_pkt_num:5\n") == 12
    assert parse_net_health("net health status: Receive timeout") == "Receive timeout"


@pytest.mark.parametrize("text", ["", "garbage", "| a | b | c |", "\x00\x01", "| 0 x | OK | 1 |"])
def test_garbage_is_named(text: str) -> None:
    for parse in (parse_chips, parse_health, parse_link_history, parse_net_health):
        with pytest.raises(FormatError):
            parse(text)


@given(st.text(alphabet="|0123456789 /:.-OKLINKUPDNabc\n\t[]", max_size=400))
def test_nothing_but_format_errors(text: str) -> None:
    for parse in PARSERS:
        try:
            parse(text)
        except FormatError:
            continue


@given(st.data())
def test_damaged_output_is_read_or_refused(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([ONE_DIE, TWO_DIES, LINK]))
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    for parse in PARSERS:
        try:
            parse(text[:start] + text[end:])
        except FormatError:
            continue


def test_csv_of_nvidia_smi() -> None:
    assert parse_csv("0, 97, 40536, 312.45\n1, [N/A], [N/A], [GPU is lost]\n") == (
        DeviceReading(0, "gpu", 97.0, 40536 << 20, 312.45),
        DeviceReading(1, "gpu"),
    )
    with pytest.raises(FormatError, match="is not index"):
        parse_csv("Failed to initialize NVML: Driver/library version mismatch\n")


class _NVMLError(Exception):
    pass


def _nvml(**broken: bool) -> SimpleNamespace:
    def use(handle: int) -> SimpleNamespace:
        if broken.get("use"):
            raise _NVMLError("Not Supported")
        return SimpleNamespace(gpu=55, memory=3)

    def init() -> None:
        if broken.get("init"):
            raise _NVMLError("Driver Not Loaded")

    return SimpleNamespace(
        NVMLError=_NVMLError,
        nvmlInit=init,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetUtilizationRates=use,
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(used=7 << 20),
        nvmlDeviceGetPowerUsage=lambda handle: 61_500,
    )


def test_nvml() -> None:
    assert read_gpus_by_nvml(_nvml())[1] == DeviceReading(1, "gpu", 55.0, 7 << 20, 61.5)
    assert read_gpus_by_nvml(_nvml(use=True))[0] == DeviceReading(0, "gpu", None, 7 << 20, 61.5)
    with pytest.raises(FormatError, match="Driver Not Loaded"):
        read_gpus_by_nvml(_nvml(init=True))


# --- tools ---


def _tool(directory: Path, name: str, text: str) -> dict[str, str]:
    """An environment in which it is found first."""
    path = directory / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return {**os.environ, "PATH": f"{directory}:{os.environ['PATH']}"}


def test_a_tool_that_answers(tmp_path: Path) -> None:
    environ = _tool(tmp_path, "npu-smi", "echo out; echo err >&2; exit 3")
    answer = run_tool(["npu-smi", "info"], 10.0, environ)
    assert (answer.ok, answer.code, answer.text) == (False, 3, "out\nerr\n")
    assert answer.describe() == "'npu-smi info' exited with code 3: out err"


def test_a_tool_that_is_missing_or_no_program(tmp_path: Path) -> None:
    assert run_tool(["no-such-tool"], 1.0).problem == "missing"
    path = tmp_path / "tool"
    path.write_text("nothing")
    path.chmod(0o755)
    answer = run_tool([str(path)], 1.0)
    assert answer.problem == "refused" and "Exec format error" in answer.describe()


def test_a_tool_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    environ = _tool(
        tmp_path, "npu-smi", f"sleep 600 & echo $! > {tmp_path}/pid; trap '' TERM; wait; sleep 600"
    )
    answer = run_tool(["npu-smi", "info"], 1.0, environ)
    assert answer.problem == "hung" and "has not answered" in answer.describe()
    from ..support import is_alive, wait_until

    child = int((tmp_path / "pid").read_text())
    wait_until(lambda: not is_alive(child), "the end of the tool's child")


def test_a_tool_that_floods(tmp_path: Path) -> None:
    environ = _tool(tmp_path, "npu-smi", "exec yes")
    assert run_tool(["npu-smi"], 30.0, environ).problem == "flooded"


# --- readings that never block ---


def _helper(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "helper.py"
    path.write_text(text)
    return [sys.executable, "-I", str(path)]


@pytest.fixture
def _some_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", _tool(tmp_path, "npu-smi", "exit 1")["PATH"])


ANSWERS = """
import sys, json
for _ in sys.stdin:
    print(json.dumps({"devices": [{"index": 0, "kind": "npu", "power": 81.1}], "errors": ["one is silent"]}))
    sys.stdout.flush()
"""


@pytest.mark.usefixtures("_some_device")
def test_readings_come_from_the_helper(tmp_path: Path) -> None:
    said: list[str] = []
    asking = Asking(said.append, _helper(tmp_path, ANSWERS))
    try:
        assert asking.readings(30.0) == (DeviceReading(0, "npu", power=81.1),)
        assert asking.readings(30.0) == (DeviceReading(0, "npu", power=81.1),)
        assert said == ["devices: one is silent"]
    finally:
        asking.close()


HANGS_ONCE = """
import sys, json, pathlib, time
gate = pathlib.Path(__file__).with_name("gate")
for line in sys.stdin:
    while not gate.exists():
        time.sleep(0.01)
    print(json.dumps({"devices": [], "errors": []}))
    sys.stdout.flush()
"""


@pytest.mark.usefixtures("_some_device")
def test_a_driver_that_hangs_is_said_once_and_asked_again_when_it_returns(tmp_path: Path) -> None:
    said: list[str] = []
    now = 0.0
    asking = Asking(said.append, _helper(tmp_path, HANGS_ONCE), clock=lambda: now)
    try:
        for now in (0.0, 5.0, 11.0, 12.0, 99.0):  # noqa: B007  the clock's
            assert asking.readings() == ()
        (text,) = said
        assert "has not answered for 10 s" in text and "hint:" in text
        (tmp_path / "gate").touch()
        deadline = time.monotonic() + 30
        while len(said) == 1 and time.monotonic() < deadline:
            now += 0.05
            asking.readings(0.05)
        assert "has answered after" in said[1]
    finally:
        asking.close()


@pytest.mark.usefixtures("_some_device")
def test_a_helper_that_dies_is_replaced_a_few_times(tmp_path: Path) -> None:
    said: list[str] = []
    asking = Asking(said.append, _helper(tmp_path, "import sys; sys.stdin.readline()"))
    try:
        deadline = time.monotonic() + 60
        while not said and time.monotonic() < deadline:
            assert asking.readings(1.0) == ()
        assert said == ["the process that asks the devices has ended 5 times; they stay unknown"]
        assert asking.pid is None
    finally:
        asking.close()


@pytest.mark.usefixtures("_some_device")
def test_the_real_helper_reports_a_tool_that_fails(tmp_path: Path) -> None:
    said: list[str] = []
    asking = Asking(said.append)
    try:
        assert asking.readings(30.0) == ()
        assert any("'npu-smi info' exited with code 1" in text for text in said)
    finally:
        asking.close()


def test_nothing_is_started_where_there_is_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ma_training.devices.asking.has_gpus", lambda: False)
    monkeypatch.setattr("ma_training.devices.asking.has_npus", lambda: False)
    asking = Asking()
    assert asking.readings(1.0) == ()
    assert asking.pid is None
