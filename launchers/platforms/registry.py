"""Which platform this is, from the names of variables alone: the class is imported once it is known.

The innermost launcher wins: what mpirun starts on SageMaker is OpenMPI's process. ModelArts, the
volcano jobs of MindCluster and Kubeflow carry variables of what they stand on, so they come first.
"""

from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

from launchers.cli.errors import UsageError
from launchers.cli.settings import WORKER_MARKS

from .base import Platform
from .environment import Environment, Fact

Recognise = Callable[[Environment], str]  # the variables that gave it away, or ''


class Entry(NamedTuple):
    name: str
    recognise: Recognise
    module: str
    class_name: str


def _any(*names: str) -> Recognise:
    return lambda environment: next((name for name in names if name in environment), "")


def _all(*names: str) -> Recognise:
    def recognise(environment: Environment) -> str:
        return ", ".join(names) if all(name in environment for name in names) else ""

    return recognise


_MODELARTS = _any("MA_VJ_NAME", "MA_JOB_DIR", "MA_NUM_HOSTS", "DLS_TASK_NUMBER", "BATCH_JOB_ID")
_PYTORCHJOB = _any("PET_NODE_RANK", "PET_NNODES")
_NODE_RANK = _all("RANK", "WORLD_SIZE", "MASTER_ADDR")


def _inside_a_worker(environment: Environment) -> str:
    """Its RANK and WORLD_SIZE are another job's."""
    return _any(*WORKER_MARKS)(environment)


def _ranked(environment: Environment) -> str:
    """RANK and WORLD_SIZE of a pod; with a LOCAL_RANK they are a worker's, of accelerate or deepspeed."""
    return "" if "LOCAL_RANK" in environment else _NODE_RANK(environment)


def _xihe(environment: Environment) -> str:
    """It runs on ModelArts, and sets no variable of its own: its fixed arguments tell."""
    if not _MODELARTS(environment):
        return ""
    names = {word.partition("=")[0] for word in environment.arguments}
    return next((name for name in ("--aim_repo", "--output_path") if name in names), "")


def _ascendjob(environment: Environment) -> str:
    if found := _any("MINDX_TASK_ID")(environment):
        return found
    listed = environment.text("LOCAL_RANK")
    return "LOCAL_RANK" if listed and "," in listed.value and "WORLD_SIZE" in environment else ""


def _volcano(environment: Environment) -> str:
    if found := _any("VC_TASK_INDEX", "VK_TASK_INDEX")(environment):
        return found
    return next((name for name in environment.variables if is_volcano_list(name)), "")


def is_volcano_list(name: str) -> bool:
    return name.startswith("VC_") and name.endswith("_HOSTS")


def _pai_dlc(environment: Environment) -> str:
    if not _ranked(environment):
        return ""
    master = environment.text("MASTER_ADDR")
    if master and master.value.startswith("dlc"):
        return "MASTER_ADDR"
    return "" if _PYTORCHJOB(environment) else _any("NPROC_PER_NODE")(environment)


def _kubeflow(environment: Environment) -> str:
    if found := _ranked(environment) and _PYTORCHJOB(environment):
        return found
    if "PET_MASTER_ADDR" in environment:  # the next generation's
        return ""
    in_pod = "KUBERNETES_SERVICE_HOST" in environment
    return (in_pod and (_ranked(environment) or _any("PET_RDZV_ENDPOINT")(environment))) or ""


PLATFORMS = (
    Entry("local", _inside_a_worker, "local", "Local"),
    Entry("openmpi", _any("OMPI_COMM_WORLD_SIZE"), "openmpi", "OpenMPI"),
    Entry("xihe", _xihe, "xihe", "Xihe"),
    Entry("modelarts", _MODELARTS, "modelarts", "ModelArts"),
    Entry("sagemaker", _any("SM_HOSTS", "SM_CURRENT_HOST", "TRAINING_JOB_NAME"), "sagemaker", "SageMaker"),
    Entry("ascendjob", _ascendjob, "ascendjob", "AscendJob"),
    Entry("volcano", _volcano, "volcano", "Volcano"),
    Entry("pai-dlc", _pai_dlc, "pai_dlc", "PaiDlc"),
    Entry("kubeflow", _kubeflow, "kubeflow", "Kubeflow"),
    Entry("trainer", _all("PET_MASTER_ADDR", "PET_NNODES"), "trainer", "Trainer"),
    Entry("slurm", _any("SLURM_JOB_ID"), "slurm", "Slurm"),
)
NAMES = tuple(sorted({entry.name for entry in PLATFORMS}))


def detect(environment: Environment, wanted: Fact[str] | None = None) -> tuple[str, str, Platform]:
    """Name, who said so, and the platform. ``wanted`` names it; UsageError where there is no such."""
    if wanted:
        entry = next((entry for entry in PLATFORMS if entry.name == wanted.value), None)
        if entry is None:
            raise UsageError(f"{wanted.origin}: {wanted.value!r} is none of {', '.join(NAMES)}")
        return entry.name, wanted.origin, _make(entry)
    for entry in PLATFORMS:
        if found := entry.recognise(environment):
            return entry.name, found, _make(entry)
    return "local", "nothing in the environment", _make(PLATFORMS[0])


def _make(entry: Entry) -> Platform:
    platform: Platform = getattr(import_module(f"{__package__}.{entry.module}"), entry.class_name)()
    return platform
