"""Trees of files for tests of copies, and what became of them."""

import random
from pathlib import Path
from typing import Any

from ma_training.storage import Report, Store, Task, copy_tree
from ma_training.storage.transfer import SMALL

BIG = 2 * SMALL + 12345


def make_tree(folder: Path, files: int = 40, big: bool = True, seed: int = 1) -> dict[str, bytes]:
    """Files of all kinds of names, some of them empty, one of them in parts."""
    chance = random.Random(seed)
    content = {f"d{n % 7}/e {n % 3}/f{n}.txt": chance.randbytes(chance.randrange(5000)) for n in range(files)}
    content |= {"empty": b"", "é/☃&+%41": b"x"}
    if big:
        content["big"] = chance.randbytes(BIG)
    for name, data in content.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return content


def content_of(store: Store) -> dict[str, bytes]:
    found = {}
    for entry in store.list():
        if not entry.is_directory:
            with store.open(entry.key) as reader:
                found[entry.key] = reader.read()
    return found


def copy(source: Store, target: Store, **options: Any) -> Report:
    return copy_tree(Task(source, target, **options))
