"""Which nodes measure the network between them, and which node is slow. Pure.

Round one pairs all nodes. Round two pairs each node of a slow pair with one of a fast pair; where
there is no such difference, all nodes change their partners. A node is slow when its *best* rate is:
one that had a slow partner has another by then. Pairs of a wave are apart and measured at once.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence

Pair = tuple[int, int]
Wave = tuple[Pair, ...]
Rates = Mapping[Pair, float | None]  # MB/s; None: no connection, or none that carried anything


def first_round(nodes: Sequence[int]) -> list[Wave]:
    """
    >>> first_round([0, 1, 2, 3]), first_round([0, 1, 2])
    ([((0, 1), (2, 3))], [((0, 1),), ((2, 0),)])
    """
    pairs = tuple(zip(nodes[::2], nodes[1::2], strict=False))
    odd = [((nodes[-1], nodes[0]),)] if len(nodes) % 2 and len(nodes) > 1 else []
    return [pairs, *odd] if pairs else []


def second_round(nodes: Sequence[int], rates: Rates, slower: float = 2.0) -> list[Wave]:
    """``rates`` of round one. Pairs that were measured already are not measured again."""
    slow = _below(rates, slower, _upper_quartile)
    suspects = [node for node in nodes if any(node in pair for pair in slow)]
    sound = [node for node in nodes if any(node in pair for pair in rates) and node not in suspects]
    waves = _against(suspects, sound) if slow and sound else first_round([*nodes[1:], nodes[0]])
    known = {frozenset(pair) for pair in rates}
    fresh = [tuple(pair for pair in wave if frozenset(pair) not in known) for wave in waves]
    return [wave for wave in fresh if wave]


def _against(suspects: Sequence[int], sound: Sequence[int]) -> list[Wave]:
    """
    >>> _against([0, 1, 2], [4, 5])
    [((4, 0), (5, 1)), ((4, 2),)]
    """
    count = len(sound)
    groups = [suspects[start : start + count] for start in range(0, len(suspects), count)]
    return [tuple(zip(sound, group, strict=False)) for group in groups]


def slow_pairs(rates: Rates, slower: float) -> list[Pair]:
    return _below(rates, slower, statistics.median_high)


def _below(rates: Rates, slower: float, usual: Callable[[list[float]], float]) -> list[Pair]:
    known = [rate for rate in rates.values() if rate is not None]
    if not known:
        return list(rates)
    least = usual(known) / slower
    return [pair for pair, rate in rates.items() if rate is None or rate < least]


def _upper_quartile(values: list[float]) -> float:
    """A quarter of the nodes, slow, can spoil half of the pairs: their median says nothing then."""
    return sorted(values)[3 * len(values) // 4]


def slow_nodes(rates: Rates, slower: float = 2.0) -> list[int]:
    """``rates`` of both rounds. Of two nodes alone none can be named: it takes two to be slow."""
    best: dict[int, float] = {}
    for pair, rate in rates.items():
        for node in pair:
            best[node] = max(best.get(node, 0.0), rate or 0.0)
    if len(best) < 3:
        return []
    middle = statistics.median_high(best.values())
    return sorted(node for node, rate in best.items() if rate * slower < middle)


def slow_links(rates: Rates, slower: float = 2.0) -> list[Pair]:
    """Between two nodes that are fast with others."""
    named = set(slow_nodes(rates, slower))
    return [pair for pair in slow_pairs(rates, slower) if not named & set(pair)]
