"""Parsers of what tools print, fed with damaged output: read or refused, never broken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ma_training.devices import FormatError
from ma_training.devices.infiniband import parse_ibstat
from ma_training.devices.nvidia_smi import parse_smi
from ma_training.devices.xid import parse_xids
from ma_training.testing.tool_output import Gpu, ibstat, nvidia_smi_xml, xid

SMI = nvidia_smi_xml([Gpu(), Gpu(corrected=3)])
LOG = xid(0, 79, "GPU has fallen off the bus.") + xid(1, 13, "a program's own fault") + xid(1, 63, "retired")


def test_smi() -> None:
    report = parse_smi(f"WARNING: infoROM is corrupted at gpu 0000:3B:00.0\n{SMI}")
    assert report.driver == "550.127.05" and report.inforom.endswith("0000:3B:00.0")
    first, second = report.gpus
    assert (first.bus_id, first.corrected, second.corrected) == ("00000000:3B:00.0", 0, 3)
    assert (first.remap_failed, first.temperature, first.slowdown_at) == (False, 34.0, 89.0)


def test_xids_of_hardware_alone() -> None:
    assert [(found.bus, found.number) for found in parse_xids(LOG)] == [
        ("0000:3b:00", 79),
        ("0000:3c:00", 63),
    ]
    assert parse_xids("NVRM: Xid (PCI:0000:3b:00): 79, pid=1, name=python3, GPU has fallen off the bus.")[
        0
    ].text


def test_ibstat() -> None:
    (port,) = parse_ibstat(ibstat("Active", "LinkUp"))
    assert (port.adapter, port.port, port.state, port.physical, port.active) == (
        "mlx5_0",
        1,
        "Active",
        "LinkUp",
        True,
    )


@pytest.mark.parametrize("parse", [parse_smi, parse_ibstat, parse_xids])
@given(data=st.data())
def test_damage(parse, data: st.DataObject) -> None:  # type: ignore[no-untyped-def]
    text = data.draw(st.sampled_from([SMI, LOG, ibstat("Down", "Polling")]))
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    junk = data.draw(st.text(max_size=20))
    try:
        parse(text[:start] + junk + text[end:])
    except FormatError:
        return
