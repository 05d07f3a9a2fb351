"""This rank's segment: made when the first state comes, made anew when a state of another form comes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ma_training.devices import memory_limits
from ma_training.snapshot import Choice, Copy, Schema, Segment, SnapshotError, decide, file_room, room
from ma_training.snapshot.capacity import META_ROOM

from .copying import Copier
from .flat import Leaves
from .speech import say, say_here
from .surroundings import Surroundings


class Memory:
    """Never raises for lack of room: a state is then not kept, and that is said once."""

    def __init__(self, here: Surroundings, places: Sequence[Path]) -> None:
        """``places``: where the segment may be, shared memory first; none where there can be none."""
        self._here, self._places = here, places
        self._segment: Segment | None = None
        self._copier: Copier | None = None
        self._found: dict[Path, Segment] = {}
        self._off = not places or here.mode == "off"

    @property
    def off(self) -> bool:
        return self._off

    def adopt(self, found: Mapping[Path, Segment]) -> None:
        """Segments that were opened to restore from: this rank's is mapped already, to be written to."""
        if self._segment is None:
            self._found = {path: segment for path, segment in found.items() if path in self._places}

    def write(self, step: int, parts: Sequence[Leaves], private: int, meta: bytes) -> bool:
        """Keeps a state; False where there was no room, or no free slot. ``private`` parts come last."""
        if self._off:
            return False
        if self._copier is None or not self._copier.fits(parts):
            return self._begin_anew(step, parts, private, meta)
        if self._segment is None or len(meta) > self._segment.layout.meta_capacity:
            return self._begin_anew(step, parts, private, meta)
        return self._write(self._segment, step, meta)

    def close(self) -> None:
        self._let_go()
        for segment in self._found.values():
            segment.close()
        self._found = {}

    def _let_go(self) -> None:
        if self._copier:
            self._copier.forget()
        if self._segment:
            self._segment.close()
        self._segment = self._copier = None

    def _write(self, segment: Segment, step: int, meta: bytes) -> bool:
        slot = segment.begin(step)
        if slot is None or self._copier is None:
            return False
        self._copier.copy(slot)
        slot.publish(meta)
        return True

    def _begin_anew(self, step: int, parts: Sequence[Leaves], private: int, meta: bytes) -> bool:
        self._let_go()
        self._copier = Copier(parts)
        schema = self._copier.schema
        try:
            if (written := self._go_on(schema, step, meta)) is not None:
                return written
            small = sum(spec.nbytes for specs in self._copier.specs[len(parts) - private :] for spec in specs)
            choice, path = self._place(
                Copy(schema.data_bytes, len(meta), len(schema.to_json())), Copy(small, len(meta))
            )
            if path is not None:
                return self._make(path, schema, choice.slots, step, meta)
            self._give_up(choice.why)
        except (SnapshotError, OSError) as error:
            self._give_up(str(error))
        return False

    def _go_on(self, schema: Schema, step: int, meta: bytes) -> bool | None:
        """In the file that a predecessor has left; None where there is none of the same form."""
        for path in self._places:
            try:
                found = self._found.pop(path, None)
                segment = found if found and found.is_there() else Segment.open(path)
                if segment.schema == schema and len(meta) + META_ROOM // 2 <= segment.layout.meta_capacity:
                    self._segment = segment
                    return self._write(segment, step, meta)
                segment.close()
            except SnapshotError:  # none, damaged, or a predecessor that could not be killed still has it
                self._segment = None
        return None

    def _make(self, path: Path, schema: Schema, slots: int, step: int, meta: bytes) -> bool:
        # Under another name until a state is in it: a kill in between is not to cost the older one.
        unfinished = path.with_name(f".{path.name}.next")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._segment = Segment.create(
            unfinished,
            schema,
            slots=slots,
            meta_capacity=len(meta) + META_ROOM,
            rank=self._here.rank,
            attempt=self._here.attempt,
            job=self._here.job,
        )
        try:
            written = self._write(self._segment, step, meta)
            unfinished.rename(path)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
        return written

    def _place(self, own_copy: Copy, private: Copy) -> tuple[Choice, Path | None]:
        """All ranks of a node decide apart: who has the large part counts the small ones of the others."""
        here, own = self._here, self._places[0]
        others = here.local_world_size - 1
        copies = [own_copy, *([private] * others if here.writes_shared else [])]
        choice = self._choice(copies)
        if choice.where == "off" and own.exists():  # for two there is no room: better a moment without
            own.unlink()
            choice = self._choice(copies)
        if choice.where == "off":
            return choice, None
        if (choice.where != "shm" or choice.slots < 3) and here.rank == 0:
            say(f"snapshots: {choice.where}, {choice.slots} copies: {choice.why}")
        return choice, self._places[-1] if choice.where == "disk" else own

    def _choice(self, copies: Sequence[Copy]) -> Choice:
        shm, disk = room(file_room(self._places[0].parent), memory_limits()), self._here.disk
        return decide(copies, shm, room(file_room(_existing(disk))) if disk else None, self._here.mode)

    def _give_up(self, why: str) -> None:
        self._off = True
        self.close()
        say_here(f"no snapshots of rank {self._here.rank}: {why}")


def _existing(directory: Path) -> Path:
    """It, or the nearest above it that is there: the same file system."""
    return next(path for path in (directory, *directory.parents) if path.exists())
