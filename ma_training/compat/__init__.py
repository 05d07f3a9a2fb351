"""Names that users' code already has, on this project's parts: moxing, modelarts.

``names`` says which there are; ``launcher run --compat moxing`` lets workers import them by their own names.
"""

from .names import OURS, PACKAGES, directory, installed, parse_names, python_path

__all__ = ["OURS", "PACKAGES", "directory", "installed", "parse_names", "python_path"]
