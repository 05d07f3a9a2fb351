"""A disk that fills up is spoken of once, and again when it has been emptied meanwhile."""

from pathlib import Path

from ma_training.storage.filling import Filling
from ma_training.storage.room import Room


class Disks:
    def __init__(self, **used: int) -> None:
        self.used = used

    def room(self, path: Path) -> Room:
        if path.name not in self.used:
            raise OSError("gone")
        return Room(1000 - self.used[path.name], None, 1000)


def test_it_is_said_once_and_again_after_it_was_emptied() -> None:
    disks = Disks(out=899)
    filling = Filling([Path("/out")], disks.room)
    assert filling.look() == []
    disks.used["out"] = 905
    (text,) = filling.look()
    assert "the disk of /out is 90% full, 95 B are free" in text
    assert filling.look() == []
    disks.used["out"] = 880  # near it: not yet
    assert filling.look() == []
    disks.used["out"] = 950
    assert filling.look() == []
    disks.used["out"] = 100
    assert filling.look() == []
    disks.used["out"] = 950
    assert len(filling.look()) == 1


def test_two_directories_of_one_disk_are_one() -> None:
    assert len(Filling([Path("/a"), Path("/b")], Disks(a=950, b=950).room).look()) == 1
    assert len(Filling([Path("/a"), Path("/b")], Disks(a=950, b=960).room).look()) == 2


def test_a_directory_that_cannot_be_looked_at_keeps_nothing_from_the_others() -> None:
    assert len(Filling([Path("/gone"), Path("/b")], Disks(b=960).room).look()) == 1
