"""Making and changing the tables by migrations (Alembic, run from here and never from its command line)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, text

from backends.errors import StoreError, Unavailable
from backends.sql.database import Database
from backends.sql.dialects import Timeouts
from backends.sql.faults import Faults

VERSION_TABLE = "store_version"
_LOCK = "landfall_store"
_LOCK_NUMBER = 0x73746F72
_TIMEOUTS = Timeouts(connect=10, statement=3600)
_LOCK_SECONDS = 600


def upgrade(url: str) -> None:
    """Bring the tables of users and groups in the database at `url` to this program's, creating a SQLite file where
    there is none.

    Safe when several processes start at once: one works, the others wait and find it done. On SQLite and PostgreSQL
    an upgrade that fails changes nothing. Raises Unavailable, ReadOnly, or StoreError with the cause, also for tables
    of a later program.
    """
    database = Database(url, Faults({}, {}), _TIMEOUTS, pool_size=1)
    try:
        database.migrate(_run)
    finally:
        database.engine.dispose()


def pending_difference(connection: Connection, metadata: MetaData) -> list[Any]:
    """What Alembic would still have to change to get from the tables in the database to those that are declared."""

    def is_ours(name: str | None, kind: str, parents: Any) -> bool:
        return kind != "table" or name in metadata.tables

    options = {"version_table": VERSION_TABLE, "compare_type": True, "include_name": is_ours}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))


def _run(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    config.attributes["version_table"] = VERSION_TABLE
    with _alone(connection):
        _require_known(connection, ScriptDirectory.from_config(config))
        command.upgrade(config, "head")


def _require_known(connection: Connection, scripts: ScriptDirectory) -> None:
    found = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()
    if found is not None and found not in {script.revision for script in scripts.walk_revisions()}:
        raise StoreError(
            f"the database of users and groups has schema {found}, that of a later Landfall, and this one knows "
            f"{scripts.get_current_head()}: install the later one again, or put back the backup that was made before it"
        )


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """On SQLite the transaction itself lets no other in."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK_NUMBER})
        yield
    elif connection.dialect.name == "sqlite":
        yield
    else:
        # Named locks are the server's, not the database's.
        name = {"name": f"{_LOCK}.{connection.engine.url.database}"[:64]}
        if connection.execute(text("SELECT GET_LOCK(:name, :wait)"), {**name, "wait": _LOCK_SECONDS}).scalar() != 1:
            raise Unavailable
        try:
            yield
        finally:
            connection.execute(text("SELECT RELEASE_LOCK(:name)"), name)
