"""What faulthandler prints, as data. A text that is cut short gives what is whole of it."""

import re

from .evidence import Frame
from .samples import Thread, own_part

_THREAD = re.compile(
    r"(Current thread|Thread) 0x([0-9a-f]{1,16})(?: \[(.*)\])? \(most recent call first\):", re.IGNORECASE
)
_FRAME = re.compile(r'  File "(.*)", line (\d{1,9}|\?\?\?) in (.*)')


def parse(text: str, main_thread: int = 0) -> tuple[Thread, ...]:
    """``main_thread``: its `threading.get_ident`; 0 where it is not known, and then it is the last one."""
    found: list[tuple[int, str, list[Frame]]] = []
    for line in text.splitlines():
        if head := _THREAD.fullmatch(line):
            found.append((int(head[2], 16), head[3] or "", []))
        elif found and (frame := _FRAME.fullmatch(line)):
            number = int(frame[2]) if frame[2].isdigit() else 0
            found[-1][2].append(Frame(frame[3], frame[1], number))
        elif found and line == "  ...":  # a hundred frames have been listed
            found[-1][2].append(Frame("...", "<not listed>", 0))
    # The interpreter lists its threads newest first.
    main = main_thread or (found[-1][0] if found else 0)
    return tuple(Thread(own_part(tuple(frames)), identity == main, name) for identity, name, frames in found)
