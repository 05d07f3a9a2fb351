"""Settings of NCCL, GPUDirect and RoCE: advice where one is missing or harms; none is overwritten."""

from ma_training.precheck.check import NETWORK, Check
from ma_training.precheck.finding import Finding, ok, warn
from ma_training.precheck.surroundings import Surroundings

PREFIXES = ("NCCL_", "GLOO_", "HCCL_", "UCX_", "TORCH_NCCL_")


def settings(where: Surroundings) -> dict[str, str]:
    """What all nodes should have alike. No secret is among variables of these names."""
    return {name: value for name, value in sorted(where.environ.items()) if name.startswith(PREFIXES)}


def roce(where: Surroundings) -> bool:
    """Whether an RDMA port stands on Ethernet."""
    paths = where.path("/sys/class/infiniband").glob("*/ports/*/link_layer")
    return any(path.read_text(errors="replace").strip() == "Ethernet" for path in paths)


def advice(where: Surroundings) -> list[str]:
    environ, found = where.environ, []
    if roce(where) and environ.get("NCCL_IB_DISABLE") != "1":
        wanted = {
            "NCCL_IB_GID_INDEX": "3 is RoCE v2 on most nodes (show_gids); 0 may be v1, which is not routed",
            "NCCL_IB_TC": "the traffic class that your switches keep lossless: 106 or 160 with many of them",
            "NCCL_IB_TIMEOUT": "22: a lossy moment is then waited out",
        }
        found += [f"{name} is not set: {why}" for name, why in wanted.items() if not environ.get(name)]
    rdma = any(where.path("/sys/class/infiniband").glob("*"))
    if where.has_gpus and rdma and "nvidia_peermem" not in where.read("/proc/modules"):
        found.append(
            "nvidia_peermem is not loaded: GPUs and adapters exchange data through the host's memory"
        )
    if rdma and environ.get("NCCL_IB_DISABLE") == "1":
        found.append("NCCL_IB_DISABLE=1 although there are RDMA adapters: traffic goes over TCP")
    if environ.get("NCCL_P2P_DISABLE") == "1":
        found.append("NCCL_P2P_DISABLE=1: GPUs of a node exchange data through the host's memory")
    if environ.get("NCCL_DEBUG") in ("TRACE", "INFO"):
        found.append(f"NCCL_DEBUG={environ['NCCL_DEBUG']} writes much at each start")
    return found


def _run(where: Surroundings) -> Finding:
    if found := advice(where):
        return warn("; ".join(found), "set them for all nodes alike; nothing is set for you")
    names = ", ".join(settings(where))
    return ok(f"set: {names}" if names else "none set, none missed")


def _applies(where: Surroundings) -> str:
    several = where.job.nnodes > 1 or where.job.nproc > 1
    return "" if several else "one worker"


CHECK = Check("network-settings", NETWORK, _run, _applies)
