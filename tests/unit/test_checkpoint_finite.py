"""Numbers that are none are found, and no others, whatever the type."""

import math
import struct
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ma_training.checkpoint import finite
from ma_training.checkpoint.finite import not_finite
from ma_training.snapshot.leaves import ITEM_SIZES, LeafSpec


def e4m3(byte: int) -> float:
    """OFP8's E4M3: bias 7, no Inf, NaN where exponent and mantissa are all ones."""
    return math.nan if byte & 0x7F == 0x7F else 1.0


def e5m2(byte: int) -> float:
    return float(struct.unpack("<e", bytes((0, byte)))[0])  # a half without its lower byte


def bf16(pair: int) -> float:
    return float(struct.unpack("<f", struct.pack("<HH", 0, pair))[0])


def is_flagged(dtype: str, data: bytes) -> bool:
    spec = LeafSpec("x", dtype, (len(data) // ITEM_SIZES[dtype],))
    return not_finite([(spec, memoryview(data))]) == ["x"]


@pytest.mark.parametrize(
    ("dtype", "value"), [("F8_E4M3", e4m3), ("F8_E5M2", e5m2)], ids=["F8_E4M3", "F8_E5M2"]
)
def test_every_number_of_one_byte(dtype: str, value: Callable[[int], float]) -> None:
    for byte in range(256):
        assert is_flagged(dtype, bytes((0, byte, 0))) == (not math.isfinite(value(byte)))


def test_every_number_of_two_bytes() -> None:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    for number in range(1 << 16):
        data = struct.pack("<HHH", 0, number, 0)
        assert is_flagged("F16", data) == (not np.isfinite(halves[number]))
        assert is_flagged("BF16", data) == (not math.isfinite(bf16(number)))


@given(st.lists(st.floats(width=32), max_size=20))
def test_f32(numbers: list[float]) -> None:
    assert is_flagged("F32", struct.pack(f"<{len(numbers)}f", *numbers)) == any(
        not math.isfinite(number) for number in numbers
    )


@given(st.lists(st.floats(), max_size=20))
def test_f64(numbers: list[float]) -> None:
    assert is_flagged("F64", struct.pack(f"<{len(numbers)}d", *numbers)) == any(
        not math.isfinite(number) for number in numbers
    )


@pytest.mark.parametrize(("dtype", "kind"), [("F64", "f8"), ("F32", "f4"), ("F16", "f2")])
def test_random_bits_with_the_largest_numbers_among_them(dtype: str, kind: str) -> None:
    random = np.random.default_rng(1)
    for _ in range(20):
        numbers = random.integers(0, 256, 4096, dtype=np.uint8).view(kind).copy()
        numbers[~np.isfinite(numbers)] = np.finfo(kind).max
        assert not is_flagged(dtype, numbers.tobytes())
        numbers[random.integers(len(numbers))] = random.choice([np.nan, np.inf, -np.inf])
        assert is_flagged(dtype, numbers.tobytes())


@pytest.mark.parametrize("at", [0, 7, 8, 9, 31, 32, 63])
def test_in_whichever_piece_it_is(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    monkeypatch.setattr(finite, "PIECE", 32)
    numbers = [1.0] * 64
    numbers[at] = math.nan
    assert is_flagged("F32", struct.pack("<64f", *numbers))


@pytest.mark.parametrize("dtype", ["I64", "I32", "I16", "I8", "U8", "BOOL", "U16", "U32", "U64"])
def test_other_types_have_neither(dtype: str) -> None:
    assert not is_flagged(dtype, b"\xff" * 64)


def test_leaves_are_named_in_order_and_shapes_do_not_matter() -> None:
    bad = np.full((3, 2), np.inf, dtype=np.float32)
    found = [
        (LeafSpec("a", "F32", (3, 2)), memoryview(bad)),
        (LeafSpec("empty", "F32", (0, 2)), memoryview(np.zeros((0, 2), dtype=np.float32))),
        (LeafSpec("fine", "F32", (2,)), memoryview(np.ones(2, dtype=np.float32))),
        (LeafSpec("scalar", "F32", ()), memoryview(np.array(np.nan, dtype=np.float32))),
    ]
    assert not_finite(found) == ["a", "scalar"]
