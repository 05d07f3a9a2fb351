"""Stacks as text for people, and as JSON. Pure."""

import re
from collections.abc import Iterable
from typing import Any

from .culprit import Explanation
from .evidence import Frame
from .grouping import Group, spell_ranks
from .samples import Sample, Thread
from .waiting import in_users_code

VERSION = 1
INDENT = "    "
_INSTALLED = re.compile(r"^.*/((site|dist)-packages|lib/python\d[\d.]*)/")


def as_text(explanation: Explanation) -> str:
    """Each group of ranks with the stack of the first; other threads where they run the user's code."""
    blocks = [explanation.sentence] if explanation.sentence else []
    blocks += ["\n".join(_group(group)) for group in explanation.groups]
    return "\n\n".join(blocks) + "\n"


def _group(group: Group) -> list[str]:
    first = group.samples[0]
    how = first.method or "no stack"
    pids = ", ".join(str(sample.pid) for sample in group.samples)
    lines = [f"{spell_ranks(group.ranks)} (pid {pids}; {how})"]
    if first.problem:
        lines.append(f"{INDENT}{first.problem}")
    if first.waits_for and first.state != "R":
        lines.append(f"{INDENT}[kernel: {first.waits_for}]")
    lines += _frames(first.main.frames, INDENT)
    for thread in _others(first):
        lines.append(f"{INDENT}thread{f' {thread.name}' if thread.name else ''}:")
        lines += _frames(thread.frames, 2 * INDENT)
    for child in first.children:
        if not in_users_code(child.main.frames):
            continue  # idle, or a helper of multiprocessing's
        lines.append(f"{INDENT}process {child.pid}:")
        lines += _frames(child.main.frames, 2 * INDENT)
    return lines


def _others(sample: Sample) -> Iterable[Thread]:
    """Threads in the user's code, or with the GIL."""
    for thread in sample.threads:
        if not thread.main and (in_users_code(thread.frames) or thread.owns_gil):
            yield thread


def _frames(frames: Iterable[Frame], indent: str) -> list[str]:
    return [
        f"{indent}{frame.function} ({short(frame.file)}{f':{frame.line}' if frame.line else ''})"
        for frame in frames
        if not frame.file.startswith("<frozen importlib")
    ]


def short(file: str) -> str:
    """
    >>> short("/venv/lib/python3.11/site-packages/torch/_tensor.py"), short("/usr/lib/python3.11/queue.py")
    ('torch/_tensor.py', 'queue.py')
    >>> short("/home/me/train.py")
    '/home/me/train.py'
    """
    return _INSTALLED.sub("", file)


def as_record(explanation: Explanation) -> dict[str, Any]:
    """What JSON can hold."""
    return {
        "v": VERSION,
        "sentence": explanation.sentence,
        "kind": explanation.kind,
        "culprits": list(explanation.culprits),
        "waiting": list(explanation.waiting),
        "waiting_only": explanation.waiting_only,
        "groups": [list(group.ranks) for group in explanation.groups],
        "ranks": [
            {
                "rank": sample.rank,
                **_sample(sample),
                "children": [_sample(child) for child in sample.children],
            }
            for group in explanation.groups
            for sample in group.samples
        ],
    }


def _sample(sample: Sample) -> dict[str, Any]:
    return {
        "pid": sample.pid,
        "method": sample.method,
        "problem": sample.problem,
        "state": sample.state,
        "waits_for": sample.waits_for,
        "threads": [
            {
                "main": thread.main,
                "name": thread.name,
                "owns_gil": thread.owns_gil,
                "frames": [[frame.function, frame.file, frame.line] for frame in thread.frames],
            }
            for thread in sample.threads
            if thread.frames
        ],
    }
