"""Control stores as new ones are. To migrate one takes longer than most tests, so that it is done once for many.

That migrations do what they should is shown in tests/control/test_upgrade.py.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, select
from sqlalchemy.pool import NullPool

from app.control import upgrade
from app.control.tables import metadata


@cache
def _migrated() -> bytes:
    """The file of a control store that has just been made."""
    with tempfile.TemporaryDirectory(prefix="landfall-control-") as directory:
        path = Path(directory, "control.db")
        upgrade(f"sqlite:///{path}")
        return path.read_bytes()


def new_control(path: Path) -> str:
    """Make a control store in a SQLite file, where there is none, and return its SQLAlchemy address."""
    if not path.exists():
        path.touch(0o600)
        path.write_bytes(_migrated())
    return f"sqlite:///{path}"


class Renewable:
    """A control store on a database server that can be made as new again. Nobody uses it meanwhile."""

    def __init__(self, url: str) -> None:
        upgrade(url)
        self.url = url
        self._engine = create_engine(url, poolclass=NullPool)
        self._new: dict[str, list[Mapping[str, Any]]] = {}
        with self._engine.begin() as connection:
            for table in metadata.sorted_tables:
                self._new[table.name] = [dict(row) for row in connection.execute(select(table)).mappings()]

    def renew(self) -> str:
        """Afterwards every table has the rows that the migrations gave it. The address of the store."""
        with self._engine.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(table.delete())
            for table in metadata.sorted_tables:
                if rows := self._new[table.name]:
                    connection.execute(table.insert(), rows)
        return self.url
