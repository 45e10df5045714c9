"""Turns of the processes of one machine, in place of the row locks that SQLite has not."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zlib import crc32

from app.control.errors import ControlUnavailable

_TURNS = 64
"""How many are had at once at most; two things that share one wait for each other without need."""


class Turns:
    """Who has the turn of a thing has it alone, among all threads and processes that use the same directory, which is
    made when it is first needed. A turn ends with its process at the latest."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextmanager
    def of(self, thing: str) -> Iterator[None]:
        """The turn of a thing, as soon as the one before has ended. A thread has one at a time. Raises
        ControlUnavailable where no file can be made."""
        number = crc32(thing.encode()) % _TURNS
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            # Each has a description of its own, so that threads of one process wait for each other too.
            descriptor = os.open(self._directory / str(number), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ControlUnavailable(f"{self._directory} cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
