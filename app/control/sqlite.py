"""Connections to a SQLite file, all opened the same way."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

BUSY_SECONDS = 5


def connect(path: str, *, create: bool = False) -> sqlite3.Connection:
    """A connection in which the caller begins transactions, and that other threads may use after this one.

    A new file can be read by its owner alone. Without `create` a missing file is a fault, not a new, empty
    store. Raises sqlite3.Error or OSError.
    """
    if create:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(
        f"file:{quote(str(Path(path).absolute()))}?mode=rw",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA foreign_keys=ON")
    # What a statement needs to take itself back would be in a file elsewhere.
    connection.execute("PRAGMA temp_store=MEMORY")
    return connection
