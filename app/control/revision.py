"""Which schema a control store has. Alembic is not asked: to load it takes longer than most commands need to run."""

from __future__ import annotations

from sqlalchemy import Connection, inspect, text

from app.control.errors import ControlUnavailable

VERSION_TABLE = "control_version"
CURRENT = "0006"
"""The revision of this program: the last one in `migrations`."""


def stored(connection: Connection) -> str | None:
    """The revision of the store; None where it has none."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found: str | None = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608
    return found


def require_known(connection: Connection) -> None:
    """Return when the schema is this program's or can be brought to it. Raises ControlUnavailable with what to do."""
    found = stored(connection)
    if found is not None and found > CURRENT:
        raise ControlUnavailable(
            f"the control store has schema {found}, that of a later Landfall, and this one knows {CURRENT}: install "
            "the later one again, or put back the backup that was made before it"
        )


def require_current(connection: Connection) -> None:
    """Return when the schema is this program's. Raises ControlUnavailable with what to do."""
    require_known(connection)
    if stored(connection) != CURRENT:
        raise ControlUnavailable("the schema of the control store is not current: run `landfall db upgrade`")
