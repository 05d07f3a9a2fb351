"""The lines of ModelArts' own that its users search a log for, in their real spelling.

Both "Modelarts" and "ModelArts" occur; each line is spelt as the platform spells that line.
"""

from .environment import Environment


def at_start(environment: Environment) -> list[str]:
    lines = ["[Modelarts Service Log][init] running"]
    if address := environment.text("MA_CURRENT_IP"):
        lines.append(f"[Modelarts Service Log][init] ip of the pod: {address.value}")
    return lines


def at_end(exit_code: int) -> list[str]:
    """``error,exiting`` is what one searches for to find out that restarts did not help."""
    return [
        f"[Modelarts Service Log]Training end with return code: {exit_code}",
        f"[Modelarts Service Log][init] {'error,exiting' if exit_code else 'exiting...'}",
    ]
