"""The modules of moxing's own names, in a process that imported ``moxing`` from compat/site."""

import sys
from types import ModuleType

from . import cache, file, file_io


def alias(package: ModuleType) -> None:
    """Makes ``package`` be moxing: its modules are those here, under one name more."""
    framework = ModuleType("moxing.framework", "moxing.framework has only file here.")
    framework.__path__ = []
    file.__dict__.setdefault("__path__", [])  # so that moxing.framework.file.file_io may be imported
    vars(framework)["file"] = file
    vars(file)["file_io"] = file_io
    vars(package).update(file=file, framework=framework, cache=cache)
    sys.modules["moxing.file"] = file
    sys.modules["moxing.framework"] = framework
    sys.modules["moxing.framework.file"] = file
    sys.modules["moxing.framework.file.file_io"] = file_io
