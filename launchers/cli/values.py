"""How the values of options are written: parsers that raise ValueError with what was found and expected."""

import re
import signal
from collections.abc import Callable
from typing import Any

from ma_training.job import signal_name


def text(text: str) -> str:
    if not text.strip():
        raise ValueError("it is empty")
    return text


def switch(text: str) -> bool:
    words = {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
    }
    try:
        return words[text.strip().lower()]
    except KeyError:
        raise ValueError(f"{text!r} is neither on nor off") from None


def one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"{text!r} is none of {', '.join(words)}")
        return text

    return parse


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    wanted = (
        f"a whole number of at least {least}" if most is None else f"a whole number from {least} to {most}"
    )

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise ValueError(f"{text!r} is not {wanted}") from None
        if number < least or (most is not None and number > most):
            raise ValueError(f"{text} is not {wanted}")
        return number

    return parse


def nproc(text: str) -> int | str:
    if text in ("auto", "cpu", "gpu", "npu"):
        return text
    if text == "xpu":
        raise ValueError("xpu: such devices are not counted here, give their number")
    try:
        return whole(1)(text)
    except ValueError:
        raise ValueError(f"{text!r} is none of auto, cpu, gpu, npu or a number of at least 1") from None


def nothing_but(*words: str, instead: str = "") -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"{text!r} is not one of {', '.join(words)}{instead}")
        return text

    return parse


def refused(why: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        raise ValueError(f"is not supported: {why}")

    return parse


def backend(text: str) -> str:
    if text not in ("static", "c10d"):
        raise ValueError(f"{text!r} is not needed: agents meet at --rdzv-endpoint, with no other service")
    return text


def pairs(text: str) -> dict[str, str]:
    """torchrun's KEY=VALUE,KEY=VALUE."""
    pairs = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = part.partition("=")
        if not (key and equals):
            raise ValueError(f"{part!r} is not KEY=VALUE")
        pairs[key.strip()] = value.strip()
    return pairs


def variables(text: str) -> dict[str, str]:
    """KEY=VALUE, one a line."""
    pairs = {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        name, equals, value = line.partition("=")
        if not (equals and name.isidentifier()):
            raise ValueError(f"{line!r} is not NAME=VALUE")
        pairs[name] = value
    return pairs


def compat(text: str) -> tuple[str, ...]:
    """moxing,modelarts=ours."""
    from ma_training.compat import parse_names

    return parse_names(text)


_URL = r"(?:[a-zA-Z][a-zA-Z0-9]*://|/).+"


def inputs(text: str) -> tuple[str, ...]:
    """URL=DIR, one a line."""
    lines = tuple(filter(None, (line.strip() for line in text.splitlines())))
    for line in lines:
        split_input(line)
    return lines


def outputs(text: str) -> tuple[str, ...]:
    """DIR=URL, one a line."""
    lines = tuple(filter(None, (line.strip() for line in text.splitlines())))
    for line in lines:
        split_output(line)
    return lines


def split_input(text: str) -> tuple[str, str]:
    """URL and directory.

    >>> split_input("obs://b/data/a=1=/cache/data")
    ('obs://b/data/a=1', '/cache/data')
    """
    url, _, directory = text.rpartition("=")
    if not (directory and re.fullmatch(_URL, url)):
        raise ValueError(f"{text!r} is not URL=DIR, such as obs://bucket/data=/cache/data")
    return url, directory


def split_output(text: str) -> tuple[str, str]:
    """Directory and URL.

    >>> split_output("out=obs://b/results/lr=0.1")
    ('out', 'obs://b/results/lr=0.1')
    """
    found = re.fullmatch(rf"(.+?)=({_URL})", text)
    if not found:
        raise ValueError(f"{text!r} is not DIR=URL, such as out=obs://bucket/results")
    return found[1], found[2]


def ranks(text: str) -> frozenset[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() for part in parts):
        raise ValueError(f"{text!r} is not a list of local ranks: write 0,2")
    return frozenset(map(int, parts))


def filters(text: str) -> tuple[str, ...]:
    """Comma-separated; a comma of a filter's own is written twice."""
    parts = text.replace(",,", "\0").split(",")
    return tuple(part.replace("\0", ",").strip() for part in parts if part.strip())


def signals(text: str) -> tuple[int, ...]:
    numbers = []
    for word in filter(None, (part.strip().upper() for part in text.split(","))):
        name = word if word.startswith("SIG") else f"SIG{word}"
        number = getattr(signal, name, None)
        if not isinstance(number, signal.Signals) or number in (signal.SIGKILL, signal.SIGSTOP):
            raise ValueError(f"{word} is not a signal that can be handled")
        numbers.append(int(number))
    return tuple(numbers)


def show(value: Any) -> str:
    """A value as it would be written on the command line."""
    if isinstance(value, frozenset):
        return ",".join(map(str, sorted(value)))
    if isinstance(value, tuple):
        return ",".join(part if isinstance(part, str) else signal_name(part) for part in value)
    if isinstance(value, dict):
        return ",".join(f"{key}={part}" for key, part in value.items())
    if isinstance(value, bool):
        return "on" if value else "off"
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
