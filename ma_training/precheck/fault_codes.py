"""Why a node is isolated: the codes of ModelArts, as its table 9-3 has them.

``check`` names what finds a code on the node itself; where no node can know, ``unknown`` says why.
"""

from dataclasses import dataclass
from enum import Enum


class Severity(str, Enum):
    NOTE = "note"  # of the platform's administration: nothing is broken
    MINOR = "minor"  # the job runs, perhaps not well
    MAJOR = "major"  # this node is not to be used until someone has acted
    FATAL = "fatal"  # a part is to be replaced


@dataclass(frozen=True, slots=True)
class FaultCode:
    code: str
    kind: str  # GPU, NPU, IB, runtime, node management, training toolkit
    part: str  # memory, link, cards, ...
    zh: str
    en: str
    severity: Severity
    action: str
    check: str = ""
    unknown: str = ""


_RESET = "reset the device or restart the node; replace the device where the fault comes back"
_REPLACE = "replace the device"
_NODE = "replace the node"
_WAIT = "wait, or take another node"
_PLATFORM = "only the platform knows: it is set on the Kubernetes node"

FAULT_CODES = (
    FaultCode(
        "A050101",
        "GPU",
        "memory",
        "GPU 显存 ECC 错误",
        "GPU memory errors (ECC)",
        Severity.MAJOR,
        _RESET,
        "gpu-ecc",
    ),
    FaultCode(
        "A050102",
        "GPU",
        "other",
        "nvidia-smi 的输出中有 ERR!",
        "nvidia-smi says ERR!: a fan, a power supply",
        Severity.MAJOR,
        _RESET,
        "gpu-driver",
    ),
    FaultCode(
        "A050103",
        "GPU",
        "other",
        "nvidia-smi 执行失败、超时或不存在",
        "nvidia-smi fails, hangs, or is missing",
        Severity.MAJOR,
        _RESET,
        "gpu-driver",
    ),
    FaultCode(
        "A050104",
        "GPU",
        "memory",
        "GPU 隔离页数超过 64",
        "more than 64 pages of a GPU are retired",
        Severity.FATAL,
        _REPLACE,
        "gpu-pages",
    ),
    FaultCode(
        "A050148",
        "GPU",
        "other",
        "infoROM 损坏告警",
        "a GPU's infoROM is corrupted",
        Severity.MAJOR,
        _REPLACE,
        "gpu-inforom",
    ),
    FaultCode(
        "A050109",
        "GPU",
        "other",
        "其他 GPU 故障",
        "another fault of a GPU: it has fallen off the bus, NVLink, its own processor",
        Severity.MAJOR,
        _RESET,
        "gpu-xid",
    ),
    FaultCode(
        "A050147",
        "IB",
        "link",
        "IB 网卡未处于 Active 状态",
        "an InfiniBand port is not active",
        Severity.MAJOR,
        "look at the cable, the switch port and the subnet manager",
        "infiniband",
    ),
    FaultCode(
        "A050121",
        "NPU",
        "other",
        "NPU 驱动异常 (dcmi)",
        "the NPU driver does not answer (dcmi)",
        Severity.MAJOR,
        "restart the node, or install the driver anew",
        "npu-driver",
    ),
    FaultCode(
        "A050122",
        "NPU",
        "other",
        "NPU 设备有重要或紧急告警 (dcmi)",
        "an NPU reports an important or urgent alarm (dcmi)",
        Severity.MAJOR,
        _RESET,
        "npu-health",
    ),
    FaultCode(
        "A050123",
        "NPU",
        "link",
        "NPU 网络连接异常 (dcmi)",
        "an NPU's own port does not reach its network (dcmi)",
        Severity.MAJOR,
        "look at the optical module, the cable and the switch port",
        "npu-net",
    ),
    FaultCode(
        "A050129",
        "NPU",
        "other",
        "其他 NPU 故障, 通常不可自行恢复",
        "another fault of an NPU, which does not mend itself",
        Severity.MAJOR,
        _RESET,
        "npu-health",
    ),
    FaultCode(
        "A050149",
        "NPU",
        "link",
        "NPU 网口 24 小时内闪断 5 次以上",
        "the link of an NPU went down five times or more in 24 hours",
        Severity.MAJOR,
        "look at the optical module, the cable and the switch port",
        "npu-link",
    ),
    FaultCode(
        "A050951",
        "NPU",
        "memory",
        "NPU HBM 隔离页数达到维修阈值 64",
        "64 pages or more of an NPU's HBM are isolated",
        Severity.FATAL,
        _REPLACE,
        "npu-ecc",
    ),
    FaultCode(
        "A050146",
        "runtime",
        "other",
        "ntpd 或 chronyd 服务异常",
        "ntpd or chronyd does not keep the clock",
        Severity.MINOR,
        "start chronyd on the host",
        "clock",
    ),
    FaultCode(
        "A050202",
        "runtime",
        "other",
        "节点 NotReady, 不可达",
        "the node is not ready, or not reachable",
        Severity.MAJOR,
        _NODE,
        unknown="a node that cannot be reached cannot say so; Kubernetes sets this taint",
    ),
    FaultCode(
        "A050203",
        "runtime",
        "cards",
        "可用卡数与实际容量不符 (掉卡)",
        "fewer cards answer than the node has",
        Severity.MAJOR,
        _RESET,
        "gpu-count",
    ),
    FaultCode(
        "A050206",
        "runtime",
        "other",
        "kubelet 磁盘只读",
        "the kubelet's disk is read-only",
        Severity.MAJOR,
        _NODE,
        "kubelet-disk",
    ),
    FaultCode(
        "A050801",
        "node management",
        "operation",
        "节点预留为备机",
        "the node is kept as a spare",
        Severity.NOTE,
        _WAIT,
        unknown=_PLATFORM,
    ),
    FaultCode(
        "A050802",
        "node management",
        "operation",
        "节点有未知故障",
        "the node has a fault that is not known",
        Severity.MAJOR,
        _NODE,
        unknown=_PLATFORM,
    ),
    FaultCode(
        "A200001",
        "node management",
        "driver upgrade",
        "正在升级 GPU 驱动",
        "the GPU driver is being upgraded",
        Severity.NOTE,
        _WAIT,
        unknown=_PLATFORM,
    ),
    FaultCode(
        "A200002",
        "node management",
        "driver upgrade",
        "正在升级 NPU 驱动",
        "the NPU driver is being upgraded",
        Severity.NOTE,
        _WAIT,
        unknown=_PLATFORM,
    ),
    FaultCode(
        "A200008",
        "node management",
        "admission",
        "正在进行节点准入检测",
        "the node is being examined before it is let in",
        Severity.NOTE,
        _WAIT,
        unknown=_PLATFORM,
    ),
    FaultCode(
        "A050933",
        "node management",
        "failover",
        "节点上的容错业务将被迁走",
        "jobs with fault tolerance are being moved away from the node",
        Severity.NOTE,
        _WAIT,
        unknown=_PLATFORM,
    ),
    FaultCode(
        "A050931",
        "training toolkit",
        "precheck",
        "训练预检发现 GPU 错误",
        "the precheck has found a fault of a GPU",
        Severity.MAJOR,
        _NODE,
        "gpu-check",
    ),
    FaultCode(
        "A050932",
        "training toolkit",
        "precheck",
        "训练预检发现 IB 错误",
        "the precheck has found a fault of InfiniBand",
        Severity.MAJOR,
        _NODE,
        "infiniband",
    ),
)
BY_CODE = {fault.code: fault for fault in FAULT_CODES}
