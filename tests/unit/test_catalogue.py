"""The catalogue: its file is as its head says, and entries match what they are made for."""

from pathlib import Path

import pytest

from ma_training.diagnosis import Evidence, diagnose, load_catalogue
from ma_training.diagnosis.catalogue import CatalogueError
from ma_training.diagnosis.error_file import read_error_file

ENTRY = "- id: a\n  kind: code\n  when: {status: 1}\n  cause: c\n  remedy: r\n"


def test_the_catalogue_is_in_order() -> None:
    entries = load_catalogue()
    assert len(entries) >= 25
    for entry in entries:
        assert entry.diagnosis.cause.endswith((".", ".'")), entry.diagnosis.id
        assert entry.diagnosis.remedy.endswith("."), entry.diagnosis.id


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1", "is not a list"),
        (ENTRY + ENTRY, "a is there twice"),
        (ENTRY.replace("  cause: c\n", ""), "a: the fields are"),
        (ENTRY.replace("code", "cosmic"), "a: kind 'cosmic' is none of"),
        (ENTRY.replace("{status: 1}", "{}"), "a: conditions are"),
        (ENTRY.replace("{status: 1}", "{stat: 1}"), "a: conditions are"),
        (ENTRY.replace("{status: 1}", "{message: '('}"), "a: "),
        ("- just words", "entry 0: the fields are"),
    ],
)
def test_a_damaged_catalogue_names_the_entry(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "catalogue.yaml"
    path.write_text(text)
    with pytest.raises(CatalogueError, match=said.replace("(", r"\(")):
        load_catalogue(path)


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        (Evidence(-9, oom=True), "oom-killed"),
        (Evidence(-9), "killed"),
        (
            Evidence(1, "OutOfMemoryError", "CUDA out of memory. Tried to allocate 14.29 GiB (GPU 0; ..."),
            "device-out-of-memory",
        ),
        (
            Evidence(1, "RuntimeError", "NPU out of memory. Tried to allocate 2.00 GiB (NPU 3"),
            "device-out-of-memory",
        ),
        (Evidence(1, "RuntimeError", "CUDA error: uncorrectable ECC error encountered"), "gpu-ecc"),
        (
            Evidence(1, "RuntimeError", "cuda runtime error (10) : invalid device ordinal at x.c"),
            "cuda-ordinal",
        ),
        (Evidence(1, "RuntimeError", "Cannot re-initialize CUDA in forked subprocess"), "cuda-fork"),
        (
            Evidence(1, "OSError", "libcudart.so.12: cannot open shared object file: No such file"),
            "shared-library-missing",
        ),
        (
            Evidence(1, "RuntimeError", "DataLoader worker (pid(s) 12, 13) exited unexpectedly"),
            "data-loader-shm",
        ),
        (Evidence(1, "ValueError", "loss is nan at step 3"), "not-a-number"),
        (Evidence(1, "ValueError", "Nancy has no labels"), None),
        (Evidence(3), None),
    ],
)
def test_known_failures(evidence: Evidence, expected: str | None) -> None:
    found = diagnose(evidence, load_catalogue())
    assert (found.id if found else None) == expected


def test_what_was_found_is_put_into_the_cause() -> None:
    found = diagnose(Evidence(1, "ModuleNotFoundError", "No module named 'apex'"), load_catalogue())
    assert found is not None
    assert found.cause.startswith("The package apex is not installed")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '{"message": {"message": "OSError: full", "extraInfo": {"py_callstack": "tb"}}}',
            ("OSError", "full", "tb"),
        ),
        ('{"message": "torch.cuda.OutOfMemoryError: no"}', ("OutOfMemoryError", "no", "")),
        ('{"message": "no type here"}', ("Exception", "no type here", "")),
    ],
)
def test_error_files(tmp_path: Path, text: str, expected: tuple[str, str, str]) -> None:
    path = tmp_path / "error.json"
    path.write_text(text)
    record = read_error_file(path)
    assert (record["type"], record["message"], record["traceback"]) == expected


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"message": null}', '{"message": {"message": "x", "extraInfo": 3}}']
)
def test_damaged_error_files_are_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "error.json"
    path.write_text(text)
    assert read_error_file(path) == {}
    assert read_error_file(tmp_path / "missing") == {}
