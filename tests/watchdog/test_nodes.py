from ma_training import watchdog
from ma_training.watchdog import Hang
from ma_training.watchdog.nodes import job_hangs

WAITS = Hang((0,), (), "train", 1.0, 5.0, ("no progress", "rank 0 waits"), waiting_only=True)
STANDS = Hang((1,), (1,), "train", 1.0, 5.0, ("no progress", "rank 1 stands still"))


def test_who_only_waits_needs_everyones_word() -> None:
    assert not job_hangs({}, ["a", "b"])
    assert not job_hangs({"a": WAITS}, ["a", "b"])
    assert job_hangs({"a": WAITS, "b": WAITS}, ["a", "b"])
    assert job_hangs({"a": WAITS}, ["a"])


def test_who_stands_elsewhere_is_enough() -> None:
    assert job_hangs({"a": STANDS}, ["a", "b"])
    assert not job_hangs({"gone": STANDS}, ["a", "b"])
    assert not job_hangs({}, [])


def test_exports_exist() -> None:
    assert sorted(watchdog.__all__) == watchdog.__all__
    assert all(hasattr(watchdog, name) for name in watchdog.__all__)
