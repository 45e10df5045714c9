"""An audit trail in which somebody has put values of other types: SQLite lets anyone do so, other databases nobody."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.control import AuditRecord, ControlStore
from app.control.tables import audit
from tests.support.controls import new_control


@pytest.fixture
def control_url(tmp_path: Path) -> str:
    """A new control store in a SQLite file."""
    return new_control(tmp_path / "control.db")


@pytest.mark.parametrize("column", [column.name for column in audit.columns])
def test_a_column_of_another_type_is_found(
    store: ControlStore, filled: list[AuditRecord], engine: Engine, column: str
) -> None:
    for value in ("x'ff'", "CAST(x'ff' AS TEXT)", "'~'", "7.5"):
        with engine.begin() as connection:
            named = "(SELECT max(rowid) FROM audit)"
            connection.exec_driver_sql(f"UPDATE audit SET {column} = {value} WHERE rowid = {named}")
        chain = store.audit.verify()
        assert (chain.count, chain.last, chain.hash) == (4, 4, filled[3].hash)
        follows = "it does not follow on the record before it" if column == "prev_hash" else ""
        assert (chain.wrong, chain.fault) == (5, follows or "it is not as it was written")
        assert store.audit.get(1) == filled[0]


@pytest.mark.parametrize(("name", "wrong"), [("head", 6), ("anchor", 1)])
@pytest.mark.parametrize("column", ["seq", "hash"])
def test_an_end_of_another_type_is_found(
    store: ControlStore, filled: list[AuditRecord], engine: Engine, name: str, column: str, wrong: int
) -> None:
    for value in ("x'ff'", "CAST(x'ff' AS TEXT)"):
        with engine.begin() as connection:
            connection.exec_driver_sql(f"UPDATE audit_marks SET {column} = {value} WHERE name = '{name}'")
        chain = store.audit.verify()
        assert (chain.wrong, chain.hash) == (wrong, filled[4].hash if name == "head" else "")
