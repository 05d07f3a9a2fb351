"""Values as JSON, and back again as they were. Nothing is pickled.

None, bool, int, float, str, list       themselves
dict with texts for keys                itself, unless a key begins with $
another dict                            {"$dict": [[key, value], ...]}, likewise $ordered, $counter
tuple, set, frozenset                   {"$tuple": [...]}, {"$set": [...]}, {"$frozenset": [...]}
bytes                                   {"$bytes": base64}
range                                   {"$range": [start, stop, step]}, and a list of such: {"$count": ...}
an array                                {"$leaf": name, "as": what}: the bytes are elsewhere
"""

import base64
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any

from .errors import StateError

Put = Callable[[str, Any], dict[str, Any] | None]  # (path, value) -> what stands for an array; None: is none
Get = Callable[[dict[str, Any]], Any]

_PLAIN = (type(None), bool, int, float, str)
_SEQUENCES: dict[type, str] = {tuple: "$tuple", set: "$set", frozenset: "$frozenset"}
_MAPPINGS: dict[type, str] = {dict: "$dict", OrderedDict: "$ordered", Counter: "$counter"}
_MAKE: dict[str, Callable[[Any], Any]] = {
    **{tag: kind for kind, tag in (_SEQUENCES | _MAPPINGS).items() if kind is not Counter},
    "$counter": lambda pairs: Counter(dict(pairs)),
}
_SHORTEST_COUNT = 8  # numbers; a shorter list is as well written out


def encode(value: Any, at: str, put: Put) -> Any:
    """Raises StateError, naming the path ``at``, for a value of a type that has no form here."""
    kind = type(value)  # not isinstance: a subclass may carry more than would come back
    if kind in _PLAIN:
        return value
    if (array := put(at, value)) is not None:
        return array
    if kind is list:
        return _count(value) or [encode(item, f"{at}/{place}", put) for place, item in enumerate(value)]
    if kind in _SEQUENCES:
        items = [encode(item, f"{at}/{place}", put) for place, item in enumerate(value)]
        return {_SEQUENCES[kind]: items}
    if kind in _MAPPINGS:
        return _encode_mapping(value, at, put)
    if kind is bytes:
        return {"$bytes": base64.b64encode(value).decode()}
    if kind is range:
        return {"$range": [value.start, value.stop, value.step]}
    raise StateError(
        f"{at} is a {kind.__module__}.{kind.__qualname__}, which cannot be saved without pickling it: "
        "numbers, texts, bytes, tensors, and lists, tuples, sets and dicts of them can"
    )


def decode(tree: Any, get: Get) -> Any:
    """The inverse of `encode`. ``get`` gives the array for what stands for one."""
    if isinstance(tree, list):
        return [decode(item, get) for item in tree]
    if not isinstance(tree, dict):
        return tree
    tag = next(iter(tree), "")
    if not tag.startswith("$"):
        return {key: decode(item, get) for key, item in tree.items()}
    content = tree[tag]
    if tag in _MAKE:
        return _MAKE[tag](
            [tuple(pair) for pair in decode(content, get)] if _is_mapping(tag) else decode(content, get)
        )
    if tag == "$bytes":
        return base64.b64decode(content)
    if tag == "$range":
        return range(*content)
    return list(range(*content)) if tag == "$count" else get(tree)


def _is_mapping(tag: str) -> bool:
    return tag in _MAPPINGS.values()


def _encode_mapping(value: dict[Any, Any], at: str, put: Put) -> Any:
    pairs = [(key, encode(item, f"{at}/{key}", put)) for key, item in value.items()]
    if type(value) is dict and all(type(key) is str and not key.startswith("$") for key in value):
        return dict(pairs)
    return {_MAPPINGS[type(value)]: [[encode(key, f"a key of {at}", put), item] for key, item in pairs]}


def _count(value: list[Any]) -> dict[str, Any] | None:
    """For numbers that count up: an optimizer's list of its parameters."""
    if len(value) < _SHORTEST_COUNT or type(value[0]) is not int:
        return None
    counted = range(value[0], value[0] + len(value))
    is_count = value == list(counted) and set(map(type, value)) == {int}
    return {"$count": [counted.start, counted.stop]} if is_count else None
