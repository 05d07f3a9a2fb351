"""A second look at this node's hardware when a worker has failed, without holding up the agent's loop."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .agent import Agent

# Looks, and says why this node is not to be used any more; '' where nothing is known against it.
Examine = Callable[[], str]
LOOK_EVERY = 0.05  # seconds


def examined(agent: "Agent", examine: Examine | None) -> str:
    """What is wrong with this node; '' where nothing is, or where a signal has ended the job meanwhile.

    Drivers answer in seconds, and a broken one not at all: signals are handled all the while.
    """
    if examine is None or agent.stopped_by:
        return ""
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(examine()), name="hardware", daemon=True)
    thread.start()
    while thread.is_alive():
        if not agent.pause(LOOK_EVERY):
            from ma_training.devices.tool import stop_all

            stop_all()  # else the thread goes on to the next tool when this one is killed
            return ""
    return found[0] if found else ""
