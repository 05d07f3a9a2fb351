"""Which names there are, and what PYTHONPATH workers get: pure."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ma_training.compat import PACKAGES, directory, installed, parse_names, python_path


@given(st.lists(st.sampled_from(sorted(PACKAGES)), min_size=1, unique=True), st.booleans(), st.text())
def test_names(names: list[str], ours: bool, before: str) -> None:
    asked = tuple(name + ("=ours" if ours else "") for name in names)
    assert parse_names(" , ".join(asked)) == asked
    folders = [str(directory(name)) for name in names]
    assert all(Path(folder).is_dir() for folder in folders)
    path, said = python_path(asked, before, {})
    assert path == ":".join([*([before] if before else []), *folders]) and not said
    path, said = python_path(asked, before, dict.fromkeys(names, "/usr/lib/it.py"))
    assert len(said) == len(names) and all("/usr/lib/it.py" in text for text in said)
    assert path == (":".join([*folders, *([before] if before else [])]) if ours else None)


@pytest.mark.parametrize(
    "text",
    ["", ",", "tensorflow", "moxing,moxing", "moxing,moxing=ours", "moxing=", "moxing=my", "=ours"],
)
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(ValueError, match=r"none of|ours|names nothing"):
        parse_names(text)


def test_a_real_one_is_found(tmp_path: Path) -> None:
    assert installed("moxing", [str(directory("moxing")), str(tmp_path)]) is None
    (tmp_path / "moxing").mkdir()
    (tmp_path / "moxing" / "__init__.py").write_text("")
    assert installed("moxing", [str(directory("moxing")), str(tmp_path)]) == str(
        tmp_path / "moxing/__init__.py"
    )
    assert installed("modelarts", [str(tmp_path), "/not/there", ""]) is None
