"""The states of all random number generators of this process, as one value."""

import hashlib
import random
import sys
from array import array
from typing import Any

from .arrays import Raw, refill
from .flat import Flat, Leaves, flatten


def capture() -> dict[str, Any]:
    """Python's, and those of NumPy, PyTorch and its GPU where they are in use."""
    version, words, gauss = random.getstate()
    found = {"python": [version, Raw("U32", (len(words),), array("I", words).tobytes()), gauss]}
    # NumPy loads its generators, 15 ms, when it is first asked for them: until then nobody has used them.
    drawn, torch = sys.modules.get("numpy.random"), sys.modules.get("torch")
    if drawn is not None:
        name, keys, *rest = drawn.get_state()
        found["numpy"] = [name, keys, *rest]
    if torch is not None:
        found["torch"] = torch.get_rng_state()
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            found["cuda"] = torch.cuda.get_rng_state()
    return found


class Generators:
    """Their states, time and again. The leaves are one list, filled anew, as long as their forms stay."""

    def __init__(self) -> None:
        self._leaves: Leaves = []

    def flat(self) -> Flat:
        new = flatten({"rng": capture()}, "rank")
        if [spec for spec, _ in new.leaves] != [spec for spec, _ in self._leaves]:
            self._leaves = new.leaves
        for (_, held), (_, value) in zip(self._leaves, new.leaves, strict=True):
            refill(held, value)
        return Flat(self._leaves, new.text)


def put_back(found: dict[str, Any]) -> None:
    """The inverse of `capture`. Of what is not in use here, nothing is put back."""
    version, words, gauss = found["python"]
    random.setstate((version, tuple(array("I", words.data)), gauss))
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None and "numpy" in found:
        numpy.random.set_state(tuple(found["numpy"]))
    if torch is not None and "torch" in found:
        torch.set_rng_state(found["torch"])
        if "cuda" in found and torch.cuda.is_available():
            torch.cuda.set_rng_state(found["cuda"])


def seed(identity: str, step: int, rank: int) -> None:
    """For a rank whose own generators were not saved: the same for the same arguments, another for each."""
    number = int.from_bytes(
        hashlib.sha256(f"{identity}/{step}/{rank}".encode(errors="surrogateescape")).digest()[:8], "big"
    )
    random.seed(number)
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None:
        numpy.random.seed(number & 0xFFFFFFFF)
    if torch is not None:
        torch.manual_seed(number)
