"""The error file of torch's ``@record``: what a script without the bootstrap says of its exception."""

import json
from pathlib import Path
from typing import Any


def read_error_file(path: Path) -> dict[str, Any]:
    """An exception's record as the bootstrap makes it; empty where the file is missing or damaged."""
    try:
        message = json.loads(path.read_text(errors="replace"))["message"]
        text = message if isinstance(message, str) else str(message["message"])
        callstack = (
            "" if isinstance(message, str) else str(message.get("extraInfo", {}).get("py_callstack", ""))
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    kind, colon, rest = text.partition(": ")
    known = bool(colon) and kind.replace("_", "").replace(".", "").isalnum()
    return {
        "type": kind.rpartition(".")[2] if known else "Exception",
        "message": rest if known else text,
        "traceback": callstack,
    }
