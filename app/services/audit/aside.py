"""What can't come into the trail is kept beside the spools, so that nothing else waits for it."""

from __future__ import annotations

import os
from pathlib import Path

import structlog

_NAME = "set-aside.jsonl"
_log = structlog.get_logger("landfall.audit")


class Aside:
    """A file of lines in a directory of spools, made with the first of them. Nothing is removed from it."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / _NAME

    def keep(self, line: bytes, reason: str) -> None:
        """The line is in the file, once, and on the disk; the log says so when it was not there. Raises OSError."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with open(descriptor, "rb+", buffering=0) as file:  # noqa: PTH123 - it was made with its mode
            present = file.read()
            if line in present.splitlines():
                return
            # What was written in part ends here.
            whole = line + b"\n" if present.endswith(b"\n") or not present else b"\n" + line + b"\n"
            if file.write(whole) != len(whole):
                raise OSError("no room")
            os.fdatasync(descriptor)
        _log.error("a record can't come into the trail and is set aside", path=str(self.path), reason=reason)

    def count(self) -> int:
        """How many lines there are. Raises OSError."""
        try:
            return len(self.path.read_bytes().splitlines())
        except FileNotFoundError:
            return 0
