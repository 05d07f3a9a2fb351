"""What a stack is busy with (other ranks, data, a lock), and where in the user's code. Pure."""

import re
from collections.abc import Sequence

from .evidence import Frame

# Where collectives are called in Python: the outermost function there is what the user called.
_COLLECTIVE_FILES = re.compile(
    r"/torch/distributed/(distributed_c10d|nn/functional|_functional_collectives|algorithms/join|utils)\.py$"
    r"|/mindspore/communication/\w+\.py$|/mindspore/mint/distributed/\w+\.py$"
    r"|/horovod/\w+/(mpi_ops|functions|sync_batch_norm)\.py$"
)
_NOT_COLLECTIVE = re.compile(
    r"^(wrapper|_?get_\w+|is_\w+|_check\w*|_warn\w*|__\w+__|destroy_process_group|<.*)$"
)
# What DistributedDataParallel calls; of torch/distributed/utils.py nothing else is a collective.
_DDP = dict.fromkeys(
    ("_verify_param_shape_across_processes", "_sync_module_states", "_sync_params_and_buffers"),
    "DistributedDataParallel()",
)
_MEETING = re.compile(r"/torch/distributed/rendezvous\.py$|/torch/distributed/elastic/rendezvous/")
_MEETING_CALLS = ("init_process_group", "init", "new_group", "init_device_mesh")
_NATIVE = re.compile(
    r"c10d::|gloo::|ProcessGroup(Gloo|NCCL|HCCL|MPI|Wrapper)|\bnccl[A-Z]\w+|\bHccl\w+|horovod::|MPI_\w+"
)
_REDUCER = "c10d::Reducer::"  # of DistributedDataParallel
_NATIVE_NAMES = re.compile(
    r"(all_?reduce|all_?gather|reduce_?scatter|broadcast|barrier|all_?to_?all|scatter|gather|reduce|recv|send)",
    re.IGNORECASE,
)
_BACKWARD = re.compile(r"/torch/(autograd/(graph|__init__)|_tensor)\.py$")
_DEVICE = re.compile(r"/torch/(cuda|npu)/(__init__|streams)\.py$|/torch_npu/")
_LOADER = re.compile(r"/torch/utils/data/(dataloader|_utils/\w+)\.py$|/mindspore/dataset/engine/")
_LOCK_FILES = re.compile(
    r"/(threading|queue|concurrent/futures/_base|multiprocessing/(queues|synchronize))\.py$"
)
_LOCK_CALLS = ("acquire", "wait", "join", "get", "put", "__enter__", "result", "_wait_for_tstate_lock")
_LIBRARY = re.compile(
    r"/(site|dist)-packages/|/lib/python\d[\d.]*/|/ma_training/|^<|\.so(\.|$)|^\?$|\.(cpp|cc|c|h)$"
)


def is_python(frame: Frame) -> bool:
    return frame.file.endswith(".py") or frame.file.startswith("<")


def is_users(frame: Frame) -> bool:
    """Neither an installed package's, the standard library's, nor of C."""
    return is_python(frame) and not _LIBRARY.search(frame.file)


def user_frame(frames: Sequence[Frame]) -> Frame | None:
    """The innermost of the user's code; else the innermost of Python; None for an empty stack."""
    users = next(filter(is_users, frames), None)
    return users or next(filter(is_python, frames), None) or next(iter(frames), None)


def place(frames: Sequence[Frame]) -> str:
    """``train.py:88``; '' for an empty stack."""
    frame = user_frame(frames)
    return f"{frame.file.rpartition('/')[2]}:{frame.line}" if frame else ""


def collective_of(frames: Sequence[Frame]) -> str:
    """The collective it waits in; 'init_process_group' where ranks meet; '' where it does not."""
    called = [
        name
        for frame in _library_end(frames)
        if _COLLECTIVE_FILES.search(frame.file)
        and ((name := frame.function.rpartition(".")[2]) in _DDP or not frame.file.endswith("/utils.py"))
    ]
    called = [name for name in called if not _NOT_COLLECTIVE.match(name)]
    if called:
        return _DDP.get(called[-1], called[-1].lstrip("_"))
    if any(_MEETING.search(frame.file) for frame in _library_end(frames)):
        return "init_process_group"
    return _native_collective(frames)


def _library_end(frames: Sequence[Frame]) -> list[Frame]:
    """The inner end of a stack, down to the user's code: what that has called."""
    found = []
    for frame in frames:
        if is_users(frame):
            break
        found.append(frame)
    return found


def _native_collective(frames: Sequence[Frame]) -> str:
    native = [frame.function for frame in _library_end(frames) if _NATIVE.search(frame.function)]
    if any(_REDUCER in name for name in native):
        return "backward"
    names = [found[1] for name in native if (found := _NATIVE_NAMES.search(name))]
    return names[-1].lower() if names else "a collective" if native else ""


def is_meeting(collective: str) -> bool:
    """Ranks that have not all begun yet are waited for, rather than ones that have got lost."""
    return collective in _MEETING_CALLS


def may_wait(frames: Sequence[Frame]) -> str:
    """What it is in that waits for the others' gradients, or for a device that does: 'backward', ''."""
    inner = _library_end(frames)
    innermost = next(filter(is_python, inner), None)
    if innermost and innermost.file.endswith("/torch/nn/parallel/distributed.py"):
        return "DistributedDataParallel"  # it shares buffers before a forward
    if any(_BACKWARD.search(frame.file) for frame in inner):
        return "backward"
    return "synchronize" if any(_DEVICE.search(frame.file) for frame in inner) else ""


def in_loader(frames: Sequence[Frame]) -> bool:
    """Fetching a batch: in the loader, or below it in the user's data set."""
    return any(_LOADER.search(frame.file) for frame in frames)


def in_users_code(frames: Sequence[Frame]) -> bool:
    return any(map(is_users, frames))


def in_lock(frames: Sequence[Frame]) -> bool:
    """Waits for another thread, in Python's own words."""
    return any(
        _LOCK_FILES.search(frame.file) and frame.function.rpartition(".")[2] in _LOCK_CALLS
        for frame in _library_end(frames)
    )


def in_exit(frames: Sequence[Frame]) -> bool:
    """Of a main thread: the script is over; an exit handler runs, or a thread is waited for."""
    outer = next(filter(is_python, reversed(frames)), None)
    if outer is None or outer.function == "<module>" or outer.file.startswith("<"):
        return False
    return not outer.file.endswith(("/runpy.py", "/ma_training/agent/bootstrap.py"))


def in_logging(frames: Sequence[Frame]) -> bool:
    return any(
        frame.file.endswith(("/logging/__init__.py", "/logging/handlers.py"))
        for frame in _library_end(frames)
    )
