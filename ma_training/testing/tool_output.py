"""What vendors' tools print, for devices that are not there; healthy unless a field says otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass

CSV_QUERY = "--query-gpu=index,utilization.gpu,memory.used,power.draw --format=csv,noheader,nounits"
_HOURS = [f"{hour:02d}" for hour in range(24)]


@dataclass(slots=True)
class Gpu:
    corrected: int = 0
    uncorrected: int = 0
    sram_uncorrected: int = 0
    register_errors: int = 0
    retired_single: int = 0
    retired_double: int = 0
    retirement_pending: bool = False
    remap_pending: bool = False
    remap_failed: bool = False
    temperature: int = 34
    slowdown: bool = False
    fan: str = "30 %"


@dataclass(slots=True)
class Npu:
    health: str = "OK"
    error_code: str = "NA"
    isolated_pages: int = 0
    flaps: int = 0  # within the last day
    net: str = "Success"
    packets: int = 0


def _word(value: bool) -> str:
    return "Yes" if value else "No"


def bus_id(index: int) -> str:
    return f"00000000:{0x3B + index:02X}:00.0"


def nvidia_smi_xml(gpus: Sequence[Gpu]) -> str:
    body = "".join(_gpu_xml(index, gpu) for index, gpu in enumerate(gpus))
    return (
        '<?xml version="1.0" ?>\n<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">\n<nvidia_smi_log>\n'
        f"<timestamp>Sat Nov 21 10:00:00 2026</timestamp>\n<driver_version>550.127.05</driver_version>\n"
        f"<cuda_version>12.4</cuda_version>\n<attached_gpus>{len(gpus)}</attached_gpus>\n"
        f"{body}</nvidia_smi_log>\n"
    )


def _gpu_xml(index: int, gpu: Gpu) -> str:
    slow = "Active" if gpu.slowdown else "Not Active"
    return f"""\
<gpu id="{bus_id(index)}">
  <product_name>NVIDIA A100-SXM4-80GB</product_name>
  <minor_number>{index}</minor_number>
  <fan_speed>{gpu.fan}</fan_speed>
  <clocks_event_reasons>
    <clocks_event_reason_gpu_idle>Active</clocks_event_reason_gpu_idle>
    <clocks_event_reason_sw_power_cap>Not Active</clocks_event_reason_sw_power_cap>
    <clocks_event_reason_hw_slowdown>{slow}</clocks_event_reason_hw_slowdown>
  </clocks_event_reasons>
  <ecc_errors>
    <volatile>
      <sram_correctable>0</sram_correctable>
      <sram_uncorrectable>0</sram_uncorrectable>
      <dram_correctable>{gpu.corrected}</dram_correctable>
      <dram_uncorrectable>{gpu.uncorrected}</dram_uncorrectable>
    </volatile>
    <aggregate>
      <sram_uncorrectable>{gpu.sram_uncorrected}</sram_uncorrectable>
      <double_bit><register_file>{gpu.register_errors}</register_file></double_bit>
    </aggregate>
  </ecc_errors>
  <retired_pages>
    <multiple_single_bit_retirement>
      <retired_count>{gpu.retired_single}</retired_count>
    </multiple_single_bit_retirement>
    <double_bit_retirement><retired_count>{gpu.retired_double}</retired_count></double_bit_retirement>
    <pending_blacklist>{_word(gpu.retirement_pending)}</pending_blacklist>
  </retired_pages>
  <remapped_rows>
    <remapped_row_corr>0</remapped_row_corr>
    <remapped_row_unc>0</remapped_row_unc>
    <remapped_row_pending>{_word(gpu.remap_pending)}</remapped_row_pending>
    <remapped_row_failure>{_word(gpu.remap_failed)}</remapped_row_failure>
  </remapped_rows>
  <temperature>
    <gpu_temp>{gpu.temperature} C</gpu_temp>
    <gpu_temp_slow_threshold>89 C</gpu_temp_slow_threshold>
  </temperature>
</gpu>
"""


def nvidia_smi_csv(gpus: Sequence[Gpu]) -> str:
    return "".join(f"{index}, 0, 4, 61.50\n" for index in range(len(gpus)))


def npu_smi_info(npus: Sequence[Npu]) -> str:
    edge = f"+{'-' * 27}+{'-' * 17}+{'-' * 54}+\n"
    head = (
        f"{edge}| npu-smi 24.1.rc1                 Version: 24.1.rc1{' ' * 51}|\n{edge}"
        "| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|\n"
        "| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |\n"
    )
    rows = (
        f"{edge}| {index:<5} 910B4               | {npu.health:<13} | 81.1        37"
        f"                0    / 0             |\n"
        f"| 0                         | 0000:{0x82 + index:02X}:00.0  | 0           0    / 0"
        f"          2773 / 32768         |\n"
        for index, npu in enumerate(npus)
    )
    return head + "".join(rows) + edge


def npu_health(npu: Npu) -> str:
    return f"\tHealth Status        : {npu.health}\n\tError Code           : {npu.error_code}\n"


def npu_ecc(npu: Npu) -> str:
    return (
        "\tHBM Single Bit Error Count               : 0\n"
        "\tHBM Double Bit Error Count               : 0\n"
        "\tHBM Single Bit Isolated Pages Count      : 0\n"
        f"\tHBM Double Bit Isolated Pages Count      : {npu.isolated_pages}\n"
    )


def link_stat(index: int, npu: Npu) -> str:
    """Newest first; the device's clock is years behind, as clocks of devices are."""
    mark = f"[devid {index}]"
    lines = [
        f"{mark}current time        : Wed Aug  2 23:59:26 2022",
        f"{mark}link up count       : {npu.flaps + 1}",
        f"{mark}link down count     : {npu.flaps}",
        f"{mark}link change records :",
    ]
    for hour in _HOURS[::-1][: npu.flaps]:
        lines += [
            f"{mark}    Wed Aug  2 {hour}:13:{second} 2022    LINK {way}"
            for second, way in (("41", "UP"), ("40", "DOWN"))
        ]
    return "\n".join([*lines, f"{mark}    Mon Jul 11 14:43:26 2022    LINK UP"]) + "\n"


def packet_stat(npu: Npu) -> str:
    return (
        "packet statistics:\n"
        f"roce_rx_all_pkt_num:{npu.packets}\nroce_tx_all_pkt_num:{npu.packets}\n"
        "roce_rx_err_pkt_num:0\nroce_tx_err_pkt_num:0\n"
    )


def ibstat(state: str, physical: str) -> str:
    return f"""\
CA 'mlx5_0'
\tCA type: MT4123
\tNumber of ports: 1
\tFirmware version: 20.35.1012
\tPort 1:
\t\tState: {state}
\t\tPhysical state: {physical}
\t\tRate: 200
\t\tBase lid: 12
\t\tLink layer: InfiniBand
"""


def xid(index: int, number: int, text: str) -> str:
    """A line of the kernel log."""
    bus = bus_id(index)[4:].lower().rpartition(".")[0]
    return f"[ 5140.900123] NVRM: Xid (PCI:{bus}): {number}, pid=4711, name=python3, {text}\n"
