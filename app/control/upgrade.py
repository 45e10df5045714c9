"""Making and changing the schema of the control store (Alembic, run from here and never from its command
line).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from app.control import sqlite
from app.control.database import make_engine, translated
from app.control.errors import ControlUnavailable
from app.control.revision import VERSION_TABLE, require_known, stored
from app.control.tables import metadata
from config.sql_url import sqlite_file

_LOCK = "landfall_control"
_LOCK_NUMBER = 0x6C616E64
_LOCK_SECONDS = 600
_STATEMENT_SECONDS = 3600


def upgrade(url: str) -> None:
    """Bring the schema of the control store at `url` to this program's, creating a SQLite file where there is
    none.

    Safe when several processes start at once: one works, the others wait and find it done. On SQLite and
    PostgreSQL an upgrade that fails changes nothing. Raises ControlUnavailable, also for the schema of a later program.
    """
    path = sqlite_file(url)
    with _alone_with_file(path):
        engine = make_engine(url, statement_seconds=_STATEMENT_SECONDS)
        try:
            with translated(), engine.begin() as connection, _alone_in_database(connection):
                require_known(connection)
                _migrate(connection)
        finally:
            engine.dispose()


def upgrade_if_new(url: str) -> None:
    """Make the schema where there is none at all; a store that has one, of whatever age, is left as it is.

    Raises ControlUnavailable.
    """
    path = sqlite_file(url)
    if path is None or Path(path).exists():
        engine = make_engine(url)
        try:
            with translated(), engine.begin() as connection:
                found = stored(connection)
        finally:
            engine.dispose()
        if found is not None:
            return
    upgrade(url)


def pending_difference(connection: Connection) -> list[Any]:
    """What Alembic would still have to change to get from the stored schema to the declared tables."""
    # Alembic is loaded where it works: most commands do without.
    from alembic.autogenerate import compare_metadata  # noqa: PLC0415
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415

    context = MigrationContext.configure(connection, opts={**options(), "compare_type": True})
    return list(compare_metadata(context, metadata))


def options() -> dict[str, Any]:
    """What every Alembic context of this store is configured with.

    The store may share a database with other tables, so only its own are looked at.
    """
    return {"version_table": VERSION_TABLE, "include_name": _is_ours, "target_metadata": metadata}


def _is_ours(name: str | None, kind: str, parents: Any) -> bool:
    return kind != "table" or name in metadata.tables


def _migrate(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


@contextmanager
def _alone_with_file(path: str | None) -> Iterator[None]:
    """Hold the directory of a SQLite file: turning on write-ahead logging does not wait for its turn by
    itself.
    """
    if path is None:
        yield
        return
    try:
        directory = Path(path).absolute().parent
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise ControlUnavailable(f"the directory of {path} cannot be used: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        _prepare_file(path)
        yield
    finally:
        os.close(descriptor)


def _prepare_file(path: str) -> None:
    try:
        connection = sqlite.connect(path, create=True)
        try:
            Path(path).chmod(0o600)
            connection.execute("PRAGMA journal_mode=WAL")
        finally:
            connection.close()
    except (sqlite3.Error, OSError) as error:
        raise ControlUnavailable(f"{path} cannot be opened as a SQLite database") from error


@contextmanager
def _alone_in_database(connection: Connection) -> Iterator[None]:
    """On SQLite the lock of the directory has seen to it."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK_NUMBER})
        yield
    elif connection.dialect.name == "sqlite":
        yield
    else:
        # Named locks belong to the server, not to one of its databases.
        name = {"name": f"{_LOCK}.{connection.engine.url.database}"[:64]}
        wait = {**name, "seconds": _LOCK_SECONDS}
        if connection.execute(text("SELECT GET_LOCK(:name, :seconds)"), wait).scalar_one() != 1:
            raise ControlUnavailable("another upgrade of the control store is taking too long")
        try:
            yield
        finally:
            connection.execute(text("SELECT RELEASE_LOCK(:name)"), name)
