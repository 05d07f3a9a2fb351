"""Files that people take for checkpoints, and the way out."""

from pathlib import Path

from .errors import CheckpointError

# A pickle's first opcode is PROTO; torch.save makes zip archives of pickles.
_PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_DIRECTORY = "a checkpoint is a directory with manifest.json"
_PICKLE = (
    "is a pickle, as torch.save makes them: it can run any code when it is loaded, and is not read here\n"
    "    hint: once, if you trust where it is from: model.load_state_dict(torch.load(path, "
    "weights_only=True)), then state.save(...)"
)


def refuse_file(path: Path) -> CheckpointError:
    """What to say of ``path``, which is a file, while a checkpoint is a directory."""
    try:
        with open(path, "rb") as file:
            head = file.read(16)
    except OSError as error:
        return CheckpointError(f"{path}: cannot be read: {error.strerror}")
    if head.startswith(_PICKLES):
        return CheckpointError(f"{path}: {_PICKLE}")
    if head[8:9] == b"{":
        return CheckpointError(f"{path}: is a file of tensors; {_DIRECTORY}")
    return CheckpointError(f"{path}: is a file; {_DIRECTORY}")
