"""The files in which records of writes wait for the trail, one for each process, held by it for its life."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import socket
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import structlog

from app.services.audit.aside import Aside
from app.services.audit.lines import Story, take_in

_NAME = "spool-*.jsonl"
_READ = 4 * 1024 * 1024
"""Octets that are taken from a spool at a time."""
_log = structlog.get_logger("landfall.audit")

Missing = Callable[[Sequence[str]], Collection[str]]


class Spool:
    """A new file of this process, to which lines are appended. Safe for use by several threads.

    Whoever finds it unlocked knows that its process is no more. Raises OSError.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        self._lock = Lock()
        self.path, self._descriptor = _make(directory)
        self._taken = 0
        self._torn = False

    def append(self, line: bytes, *, sync: bool = False) -> None:
        """The line is in the file; with `sync` it is on the disk. Raises OSError."""
        with self._lock:
            descriptor = self._descriptor
            # What was written in part ends here.
            whole = b"\n" + line if self._torn else line
            self._torn = True
            if os.write(descriptor, whole) != len(whole):
                raise OSError("no room")
            self._torn = False
            if sync:
                os.fdatasync(descriptor)

    def take(self) -> list[bytes]:
        """Whole lines that have not been taken yet, the oldest first; not all of them when they are many."""
        found = os.pread(self._descriptor, _READ, self._taken)
        end = found.rfind(b"\n") + 1
        if not end and len(found) == _READ:
            found = os.pread(self._descriptor, os.fstat(self._descriptor).st_size, self._taken)
            end = found.rfind(b"\n") + 1
        self._taken += end
        return found[:end].splitlines()

    @property
    def size(self) -> int:
        """Octets that have been taken and are still there."""
        return self._taken

    def compact(self, kept: list[bytes]) -> bool:
        """Of the lines taken so far only `kept` is still in the file. Does nothing, and says so, when there are more
        lines that have not been taken."""
        with self._lock:
            if os.fstat(self._descriptor).st_size != self._taken:
                return False
            if not kept:
                os.ftruncate(self._descriptor, 0)
                self._taken = 0
                return True
            path, descriptor = _make(self._directory)
            content = b"".join(kept)
            if os.write(descriptor, content) != len(content):
                path.unlink()
                os.close(descriptor)
                raise OSError("no room")
            os.fdatasync(descriptor)
            self.path.unlink()
            os.close(self._descriptor)
            self.path, self._descriptor, self._taken = path, descriptor, len(content)
            return True

    def close(self) -> None:
        """The file is let go; it is removed when there is nothing in it."""
        with self._lock:
            if os.fstat(self._descriptor).st_size == 0:
                self.path.unlink(missing_ok=True)
            os.close(self._descriptor)


@dataclass(frozen=True, slots=True)
class State:
    """How many writes are under way, how many records wait for the trail, and how many writes have no outcome although
    their process is no more."""

    under_way: int = 0
    waiting: int = 0
    without_outcome: int = 0


class Spools:
    """All the spools in `directory`: those in use, and those that were left. `aside` has what can't come into the
    trail from any of them."""

    def __init__(self, directory: Path) -> None:
        self.aside = Aside(directory)
        self.directory = directory

    def open(self) -> Spool:
        """A spool for this process."""
        return Spool(self.directory)

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """False when another process has just begun to look after what was left; nobody waits for it."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield _held(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def left(self) -> Iterator[list[tuple[Path, list[bytes]]]]:
        """The spools whose processes are no more, each with its lines; nobody else has them until the block ends. One
        that can't be read is passed over."""
        with ExitStack() as stack:
            found: list[tuple[Path, list[bytes]]] = []
            for path in self._paths():
                with _passing_over(path):
                    file = stack.enter_context(path.open("r+b"))
                    if _held(file.fileno()) and _is_there(file.fileno()):
                        found.append((path, file.read().splitlines()))
            yield found

    def state(self, missing: Missing = list) -> State:
        """What is in the spools at this moment, without those that can't be read. `missing` gives those of some records
        that are not in the trail; the others may be in a spool for as long as a write is under way there."""
        under_way: list[Story] = []
        waiting: list[Story] = []
        without_outcome: list[Story] = []
        for left, ended, begun in self._told():
            waiting += ended
            (without_outcome if left else under_way).extend(begun)
        late = set(missing([story.record for story in (*waiting, *without_outcome)]))
        return State(
            len(under_way),
            sum(story.record in late for story in waiting),
            sum(story.record in late for story in without_outcome),
        )

    def waiting(self, before: int | None = None) -> list[Story]:
        """The stories of writes that have ended, or whose process has; of those from before that time (in microseconds)
        only, where one is given. Some may have come into the trail already: a process does not take each out of its
        spool at once."""
        found = (story for left, ended, begun in self._told() for story in (*ended, *(begun if left else ())))
        return [story for story in found if before is None or story.at < before]

    def _told(self) -> Iterator[tuple[bool, list[Story], list[Story]]]:
        """Of each spool that can be read whether it was left, and which stories have ended and which have not."""
        for path in self._paths():
            with _passing_over(path), closing(path.open("rb")) as file:
                left = _held(file.fileno(), fcntl.LOCK_SH)
                if _is_there(file.fileno()):
                    begun: dict[str, Story] = {}
                    ended = take_in(file.read().splitlines(), begun)
                    yield left, ended, list(begun.values())

    def _paths(self) -> list[Path]:
        return sorted(self.directory.glob(_NAME))


def _make(directory: Path) -> tuple[Path, int]:
    node = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:64]
    while True:
        path = directory / f"spool-{node}-{os.getpid()}-{secrets.token_hex(4)}.jsonl"
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Between the two steps it looked like one that was left, and may have been removed.
        if _is_there(descriptor):
            return path, descriptor
        os.close(descriptor)


@contextmanager
def _passing_over(path: Path) -> Iterator[None]:
    """One file that can't be judged, such as one of another account, keeps nobody from the others."""
    try:
        yield
    except FileNotFoundError:
        pass
    except OSError as error:
        _log.error("a spool of the audit is passed over", path=str(path), reason=str(error))


def _is_there(descriptor: int) -> bool:
    """False for a file that was removed since it was opened: its process may live and go on in another one."""
    return os.fstat(descriptor).st_nlink > 0


def _held(descriptor: int, how: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
