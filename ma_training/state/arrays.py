"""PyTorch's tensors and NumPy's arrays, where these are in use; neither is imported for its own sake."""

import sys
from collections import deque
from collections.abc import Sequence
from ctypes import memmove
from dataclasses import dataclass
from typing import Any

from ma_training.snapshot import LeafSpec

from .errors import StateError

_DTYPES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
    "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8",
    "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip
_NAMES = {ours: theirs for theirs, ours in _DTYPES.items()}


@dataclass(slots=True)
class Raw:
    """Bytes that are an array of ``dtype`` (safetensors' name) and ``shape``; other ``data`` may follow."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


def describe(name: str, value: Any) -> tuple[LeafSpec, str] | None:
    """The leaf that ``value`` is, and what it is to be again; None for what is no array.

    Raises StateError for arrays that are no plain block of numbers.
    """
    if isinstance(value, Raw):
        return LeafSpec(name, value.dtype, value.shape), "raw"
    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    if torch is not None and isinstance(value, torch.Tensor):
        return _tensor(name, value, torch), "torch"
    if numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)):
        scalar = isinstance(value, numpy.generic)
        return LeafSpec(name, _dtype(name, value.dtype.name), value.shape), "scalar" if scalar else "numpy"
    return None


def same_kind(one: Any, other: Any) -> bool:
    """Whether two arrays have one type and one shape."""
    return describe("array", one) == describe("array", other)


def refill(held: Any, value: Any) -> None:
    """Gives an array the content of another of the same type and shape."""
    if isinstance(held, Raw):
        held.data = value.data
    elif hasattr(held, "copy_"):
        held.copy_(value)
    else:
        held[...] = value


def raw_bytes(value: Any) -> memoryview:
    """The content of a Raw or of a NumPy array, in C order."""
    if isinstance(value, Raw):
        return memoryview(value.data)
    return memoryview(value.tobytes())


def make(spec: LeafSpec, kind: str, data: memoryview) -> Any:
    """A new array with ``data``'s content. ``kind`` is what `describe` gave."""
    if kind == "torch":
        return new_tensor(spec, data)
    if kind == "raw":
        return Raw(spec.dtype, spec.shape, bytes(data))
    import numpy

    found = numpy.frombuffer(bytes(data), _NAMES[spec.dtype]).reshape(spec.shape)
    return found[()] if kind == "scalar" else found.copy()


def new_tensor(spec: LeafSpec, data: memoryview) -> Any:
    """A tensor in this process' own memory."""
    tensor = _torch().empty(spec.shape, dtype=torch_type(spec))
    fill(tensor, data)
    return tensor


def torch_type(spec: LeafSpec) -> Any:
    """PyTorch's type of that name."""
    return getattr(_torch(), _NAMES[spec.dtype])


def fill(tensor: Any, data: memoryview) -> None:
    """Copies raw bytes into a tensor of just this type and shape, wherever it is."""
    torch = _torch()
    if not data.nbytes:
        return
    if tensor.device.type != "cpu" or not tensor.is_contiguous() or tensor.is_neg():
        spec = LeafSpec("tensor", _dtype("tensor", str(tensor.dtype)[6:]), tuple(tensor.shape))
        with torch.no_grad():
            tensor.copy_(new_tensor(spec, data))
        return
    import ctypes

    target = (ctypes.c_char * data.nbytes).from_address(tensor.data_ptr())
    memoryview(target).cast("B")[:] = data.cast("B")


def pour(addresses: Sequence[int], sizes: Sequence[int], tensors: Sequence[Any]) -> bool:
    """Copies raw bytes from ``addresses`` into tensors of just these sizes in bytes; False, and nothing is
    done, where one of them is no plain block of this machine's memory."""
    for tensor in tensors:
        if not tensor.is_cpu or not tensor.is_contiguous() or tensor.is_neg():
            return False
    targets = [tensor.data_ptr() for tensor in tensors]
    if not all(target or not size for target, size in zip(targets, sizes, strict=True)):
        raise StateError("a tensor to be restored has no memory: its storage was resized to 0")
    deque(map(memmove, targets, addresses, sizes), maxlen=0)  # no bytecode between two copies
    return True


def views(block: memoryview, places: Sequence[tuple[LeafSpec, int]]) -> list[Any]:
    """Tensors over ``block``, which is writable, one for each leaf at its offset."""
    torch = _torch()
    flat = torch.frombuffer(block, dtype=torch.uint8)
    return [flat[at : at + spec.nbytes].view(torch_type(spec)).view(spec.shape) for spec, at in places]


def _torch() -> Any:
    import torch

    return torch


def _tensor(name: str, value: Any, torch: Any) -> LeafSpec:
    fault = ""
    if value.layout is not torch.strided:
        fault = f"has the layout {value.layout}"
    elif value.is_quantized:
        fault = "is quantized"
    elif value.is_meta:
        fault = "is on the device meta, and has no numbers"
    elif type(value) is not torch.Tensor and type(value) is not torch.nn.Parameter and _is_made_of(value):
        fault = f"is a {type(value).__name__}, made of several"
    if fault:
        raise StateError(f"{name} {fault}: only plain dense tensors can be saved")
    dtype = _BY_TYPE.get(value.dtype) or _dtype(name, str(value.dtype)[len("torch.") :])
    _BY_TYPE[value.dtype] = dtype
    return LeafSpec(name, dtype, tuple(value.shape))


_BY_TYPE: dict[Any, str] = {}  # torch's types seen so far


def _is_made_of(value: Any) -> bool:
    """Of other tensors."""
    from torch.utils._python_dispatch import is_traceable_wrapper_subclass

    return is_traceable_wrapper_subclass(value) or hasattr(value, "device_mesh")


def _dtype(name: str, theirs: str) -> str:
    if theirs not in _DTYPES:
        raise StateError(f"{name} is of type {theirs}, which cannot be saved: {', '.join(_DTYPES)} can")
    return _DTYPES[theirs]
