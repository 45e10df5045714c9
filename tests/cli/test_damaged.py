"""`landfall audit …` and `landfall undo` where somebody has tampered with records: what is left is evidence."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from app.control import ControlStore, Entry, upgrade
from tests.cli.conftest import Landfall

AT = 1_790_000_000_000_000
SOUND = Entry(
    record=f"{1:032x}",
    at=AT,
    integration_id="22222222-2222-2222-2222-222222222222",
    actor="entra",
    operation="patch",
    kind="User",
    resource_id="id-mira",
    name="mira",
    outcome="done",
    version="2",
    changes='{"before":{"title":"Pilot"},"after":{"title":"Captain"}}',
)
DEEP = '{"after":{"title":' + "[" * 300 + "]" * 300 + "}}"
DAMAGES = [
    pytest.param("changes = 'nonsense'", "changes", "nonsense", id="no-json"),
    pytest.param("changes = '[1]'", "changes", "[1]", id="no-object"),
    pytest.param("changes = '{\"after\":7}'", "changes", '{"after":7}', id="no-values"),
    pytest.param("changes = '{\"notes\":[1]}'", "changes", '{"notes":[1]}', id="no-notes"),
    pytest.param('changes = \'{"members":{"m":{}}}\'', "changes", '{"members":{"m":{}}}', id="no-members"),
    pytest.param("changes = '{\"omitted\":{}}'", "changes", '{"omitted":{}}', id="no-digest"),
    pytest.param(f"changes = '{DEEP}'", "changes", DEEP, id="too-deep"),
    pytest.param("changes = x'ff00'", "changes", r"\xff\x00", id="octets-for-json"),
    pytest.param("changes = CAST(x'7b22ff227d' AS TEXT)", "changes", r'{"\xff"}', id="no-utf8-for-json"),
    pytest.param("name = CAST(x'c3' AS TEXT)", "name", r"\xc3", id="no-utf8-for-name"),
    pytest.param("at = 'abc'", "at", "abc", id="text-for-time"),
    pytest.param("at = 9223372036854775807", "at", 9223372036854775807, id="time-beyond-all"),
    pytest.param("at = 1e300", "at", "1e+300", id="fraction-for-time"),
    pytest.param("actor = x'ff'", "actor", r"\xff", id="octets-for-actor"),
    pytest.param("outcome = x'646f6e65'", "outcome", "done", id="octets-for-outcome"),
    pytest.param("name = x'c3'", "name", r"\xc3", id="octets-for-name"),
    pytest.param("hash = x'00'", "hash", r"\x00", id="octets-for-hash"),
]
SHOWN = {"at": "time", "actor": "integration"}


@pytest.fixture(autouse=True)
def filled(landfall: Landfall) -> None:
    """Three sound records of one user."""
    landfall.home.mkdir()
    url = f"sqlite:///{landfall.home / 'control.db'}"
    upgrade(url)
    with closing(ControlStore(url)) as store:
        store.audit.append([replace(SOUND, record=f"{n:032x}", at=AT + n) for n in (1, 2, 3)])


def spoil(landfall: Landfall, assignment: str, number: int = 2) -> None:
    with closing(sqlite3.connect(landfall.home / "control.db")) as connection:
        connection.execute(f"UPDATE audit SET {assignment} WHERE seq = {number}")
        connection.commit()


@pytest.mark.parametrize(("assignment", "column", "raw"), DAMAGES)
def test_a_damaged_record_is_exported_as_it_is(
    landfall: Landfall, assignment: str, column: str, raw: str | int
) -> None:
    whole = [json.loads(line) for line in landfall.output("audit", "export").splitlines()]
    spoil(landfall, assignment)
    exported = [json.loads(line) for line in landfall.output("audit", "export").splitlines()]
    assert (exported[0], exported[2]) == (whole[0], whole[2])
    assert exported[1] == {**whole[1], SHOWN.get(column, column): said(raw), "damaged": [column]}
    table = list(csv.DictReader(io.StringIO(landfall.output("audit", "export", "--format", "csv"))))
    assert [row["damaged"] for row in table] == ["", column, ""]
    assert table[1][SHOWN.get(column, column)] == str(said(raw))
    assert landfall.json("audit", "list") == exported[::-1]
    assert landfall.json("audit", "show", "2") == exported[1]


def said(raw: str | int) -> str | int:
    """JSON and CSV keep a NUL, which is text."""
    return raw.replace(r"\x00", "\0") if isinstance(raw, str) else raw


@pytest.mark.parametrize(("assignment", "column", "raw"), DAMAGES)
def test_a_damaged_record_is_shown_and_not_undone(
    landfall: Landfall, assignment: str, column: str, raw: str | int
) -> None:
    landfall.output("db", "upgrade")
    spoil(landfall, assignment)
    rows = landfall.output("audit", "list").splitlines()
    assert [f"(damaged: {column})" in row for row in rows] == [False, False, True, False]
    text = landfall.output("audit", "show", "2")
    assert f"{column}: run `landfall audit verify`" in text
    assert str(raw) in text
    assert landfall.run("audit", "verify", "--json").returncode == 1
    refused = landfall.refusal("undo", "2", "--dry-run")
    assert refused == "landfall: record 2 is damaged; run `landfall audit verify`\n"


def test_nothing_is_undone_that_a_damaged_record_may_tell_of(landfall: Landfall) -> None:
    landfall.output("db", "upgrade")
    spoil(landfall, "changes = 'nonsense'")
    assert "record 2 is damaged" in landfall.refusal("undo", "3", "--dry-run")


def test_damaged_times_do_not_narrow_what_is_undone(landfall: Landfall) -> None:
    landfall.output("db", "upgrade")
    created = landfall.json("integration", "create", "entra", "--access", "full")["client_id"]
    for number in (1, 2, 3):
        spoil(landfall, f"integration_id = '{created}'", number)
    spoil(landfall, "at = 'abc'")
    options = ("--since", "2020-01-01", "--until", "2100-01-01", "--integration", "entra", "--dry-run")
    assert "record 2 is damaged" in landfall.refusal("undo", *options)


def test_what_was_put_into_a_record_does_not_steer_the_terminal(landfall: Landfall) -> None:
    steering = json.dumps({"members": {"\x1b[2J": {"add": ["a"], "remove": [], "clear": False}}})
    spoil(landfall, f"changes = '{steering}'")
    assert r"\x1b[2J + a" in landfall.output("audit", "show", "2").splitlines()


def test_records_with_numbers_that_no_record_has_are_exported(landfall: Landfall) -> None:
    for number, tampered in ((1, "-5"), (2, "0"), (3, "'abc'")):
        spoil(landfall, f"seq = {tampered}", number)
    exported = [json.loads(line) for line in landfall.output("audit", "export").splitlines()]
    assert [(record["seq"], record.get("damaged")) for record in exported] == [(-5, None), (0, None), ("abc", ["seq"])]
    assert landfall.json("audit", "list") == exported[::-1]
