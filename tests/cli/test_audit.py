"""`landfall audit …` as an operator runs it."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.control import Access, ControlStore, Entry, upgrade
from app.control.audit_models import microseconds
from app.services.audit import lines
from app.services.audit.spool import Spool
from app.services.journal import Actor, Write
from backends.sql.upgrade import upgrade as upgrade_sql
from tests.cli.conftest import Landfall

NOW = datetime.now(UTC)


@pytest.fixture
def store(landfall: Landfall) -> Iterator[ControlStore]:
    """The control store of the commands."""
    landfall.home.mkdir()
    url = f"sqlite:///{landfall.home / 'control.db'}"
    upgrade(url)
    with closing(ControlStore(url)) as store:
        yield store


@pytest.fixture
def filled(store: ControlStore) -> ControlStore:
    """Three records: one of long ago, one that failed days ago, and one with values."""
    entra = store.create_integration("entra", Access.FULL).id
    changes = {
        "attributes": ["title", "emails"],
        "notes": ["a leniency"],
        "before": {"title": None, "active": True},
        "after": {"title": "[red]Pilot[/red]", "active": False, "emails": [{"value": "mira@tern.example"}]},
        "members": {"members": {"add": ["a1"], "remove": ["r1"], "clear": True}},
    }
    first = Entry(
        record=f"{1:032x}",
        at=microseconds(NOW - timedelta(days=20)),
        integration_id=entra,
        actor="entra",
        operation="create",
        kind="User",
        resource_id="id-mira",
        name="mira@tern.example",
        outcome="done",
        version="1",
        changes="{}",
    )
    failed = replace(
        first,
        record=f"{2:032x}",
        at=microseconds(NOW - timedelta(days=10)),
        integration_id="22222222-2222-2222-2222-222222222222",
        actor="okta",
        kind="Group",
        resource_id=None,
        name="=HYPERLINK(1)",
        outcome="Duplicate",
    )
    last = replace(first, record=f"{3:032x}", at=microseconds(NOW), operation="patch", changes=json.dumps(changes))
    store.audit.append([first, failed, last])
    return store


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    ("options", "found"),
    [
        ((), [3, 2, 1]),
        (("--count", "2"), [3, 2]),
        (("--user", "MIRA@tern.example"), [3, 1]),
        (("--user", "id-mira"), [3, 1]),
        (("--group", "=hyperlink(1)"), [2]),
        (("--user", "nobody"), []),
        (("--integration", "entra"), [3, 1]),
        (("--failed",), [2]),
        (("--since", "12d"), [3, 2]),
        (("--since", "300h", "--failed"), [2]),
        (("--since", "2880m", "--integration", "entra"), [3]),
        (("--since", (NOW - timedelta(days=12)).isoformat()), [3, 2]),
        (("--since", (NOW - timedelta(days=30)).date().isoformat()), [3, 2, 1]),
        (("--since", (NOW - timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%SZ")), [3]),
    ],
)
def test_list(landfall: Landfall, options: tuple[str, ...], found: list[int]) -> None:
    assert [record["seq"] for record in landfall.json("audit", "list", *options)] == found


@pytest.mark.usefixtures("filled")
def test_list_for_people(landfall: Landfall) -> None:
    text = landfall.output("audit", "list", "--failed")
    assert [word in text for word in ("okta", "=HYPERLINK(1)", "Duplicate", "mira")] == [True, True, True, False]
    assert "There is no such record." in landfall.output("audit", "list", "--user", "nobody")


@pytest.mark.usefixtures("filled")
def test_list_refuses_what_makes_no_sense(landfall: Landfall) -> None:
    assert "no time" in landfall.refusal("audit", "list", "--since", "yesterday", status=2)
    assert "together" in landfall.refusal("audit", "list", "--user", "a", "--group", "b", status=2)
    assert "no integration 'nobody'" in landfall.refusal("audit", "list", "--integration", "nobody")


def test_what_clients_chose_does_not_steer_the_terminal(landfall: Landfall, store: ControlStore) -> None:
    steering = "\x1b[2J\x9b1m\u202egone\n"
    entry = Entry(
        record=f"{7:032x}",
        at=microseconds(NOW),
        integration_id=store.create_integration("entra", Access.FULL).id,
        actor="entra",
        operation="patch",
        kind="Group",
        resource_id="g",
        name=steering,
        outcome="UnknownReference",
        version=None,
        changes=json.dumps(
            {"notes": [steering], "members": {"members": {"add": [steering], "remove": [], "clear": False}}}
        ),
    )
    store.audit.append([entry])
    legible = r"\x1b[2J\x9b1m\u202egone\n"
    assert legible in landfall.output("audit", "list")
    lines = landfall.output("audit", "show", "1").splitlines()
    assert {f"members + {legible}", f"note: {legible}"} <= set(lines)
    assert not any(char in text for text in lines for char in "\x1b\x9b\u202e")


def test_records_of_a_revoked_integration_are_found_by_its_name(landfall: Landfall, filled: ControlStore) -> None:
    filled.revoke_integration(filled.find_integration("entra").id)
    assert [record["seq"] for record in landfall.json("audit", "list", "--integration", "entra")] == [3, 1]


@pytest.mark.usefixtures("filled")
def test_show(landfall: Landfall) -> None:
    text = landfall.output("audit", "show", "3")
    rows = [line.split() for line in text.splitlines()]
    assert ["What", "patch", "User"] in rows
    assert ["title", "[red]Pilot[/red]"] in rows
    assert ["active", "true", "false"] in rows
    assert ["emails", "(not", "read)", '[{"value":"mira@tern.example"}]'] in rows
    assert {"members: replaced by 1", "members + a1", "members - r1", "note: a leniency"} <= set(text.splitlines())
    assert landfall.json("audit", "show", "3")["changes"]["after"]["active"] is False
    assert "no record 4" in landfall.refusal("audit", "show", "4")


@pytest.mark.usefixtures("filled")
def test_verify(landfall: Landfall) -> None:
    proof = landfall.json("audit", "verify")
    assert (proof["sound"], proof["records"], proof["last"], proof["first_wrong"]) == (True, 3, 3, None)
    assert f"The last one is 3 {proof['hash']}" in landfall.output("audit", "verify")
    with closing(sqlite3.connect(landfall.home / "control.db")) as connection:
        connection.execute("UPDATE audit SET outcome = 'done' WHERE seq = 2")
        connection.commit()
    done = landfall.run("audit", "verify")
    assert (done.returncode, done.stderr) == (1, "")
    assert "1 records are as they were written" in done.stdout
    assert "Record 2 is the first wrong one: it is not as it was written." in done.stdout
    done = landfall.run("audit", "verify", "--json")
    assert (done.returncode, json.loads(done.stdout)["first_wrong"]) == (1, 2)


@pytest.mark.usefixtures("filled")
def test_writes_without_an_outcome_are_told_and_looked_after(landfall: Landfall) -> None:
    upgrade_sql(f"sqlite:///{landfall.home / 'landfall.db'}")
    spool = Spool(landfall.home / "audit")
    write = Write(Actor("33333333-3333-3333-3333-333333333333", "entra"), "create", "User", name="late")
    write.after = {"userName": "late"}
    spool.append(lines.intent(write, microseconds(NOW - timedelta(minutes=5))))
    assert landfall.json("audit", "verify")["under_way"] == 1
    spool.close()
    done = landfall.run("audit", "verify")
    assert done.returncode == 1
    assert "landfall audit recover" in done.stdout
    assert landfall.json("audit", "recover") == {"moved": 1, "settled": 1, "waiting": 0}
    assert landfall.json("audit", "verify")["sound"]
    assert landfall.json("audit", "show", "4")["outcome"] == "not done (found after a crash)"
    assert "0 records came into the trail" in landfall.output("audit", "recover")


@pytest.mark.usefixtures("filled")
def test_export(landfall: Landfall) -> None:
    exported = [json.loads(line) for line in landfall.output("audit", "export").splitlines()]
    assert [record["seq"] for record in exported] == [1, 2, 3]
    assert exported[2] == landfall.json("audit", "show", "3")
    assert exported[1]["name"] == "=HYPERLINK(1)"
    table = list(csv.reader(io.StringIO(landfall.output("audit", "export", "--format", "csv", "--since", "15d"))))
    assert table[0][:2] == ["seq", "time"]
    assert [row[0] for row in table[1:]] == ["2", "3"]
    # No spreadsheet takes it for a formula.
    assert table[1][table[0].index("name")] == "'=HYPERLINK(1)"
    assert json.loads(table[2][table[0].index("changes")])["notes"] == ["a leniency"]


@pytest.mark.usefixtures("filled")
def test_prune(landfall: Landfall) -> None:
    assert "0 records are removed" in landfall.output("audit", "prune", "--older-than", "52w")
    assert landfall.json("audit", "prune", "--older-than", "15d") == {"removed": 1}
    proof = landfall.json("audit", "verify")
    assert (proof["sound"], proof["records"], proof["pruned"]) == (True, 2, 1)
    assert "1 before them were pruned" in landfall.output("audit", "verify")
    assert "no age" in landfall.refusal("audit", "prune", "--older-than", "soon", status=2)


def test_an_empty_trail(landfall: Landfall) -> None:
    assert landfall.json("audit", "list") == []
    assert landfall.json("audit", "verify")["sound"]
    assert landfall.output("audit", "export") == ""
    assert not Path(landfall.home / "audit").exists()


def _told(number: int, at: datetime, **fields: object) -> bytes:
    """The line of a write that has ended."""
    write = Write(Actor("11111111-1111-1111-1111-111111111111", "entra"), "patch", "Group", "g", outcome="done")
    line = json.loads(lines.outcome(write, microseconds(at)))
    return json.dumps({**line, "r": f"{number:032x}", "w": {**line["w"], **fields}}).encode() + b"\n"


def _audit_findings(landfall: Landfall) -> list[tuple[str, str, str]]:
    found = landfall.json("check")
    return [(one["state"], one["message"], one["mend"]) for one in found if one["subject"] == "audit"]


@pytest.mark.usefixtures("store")
def test_a_spool_with_odd_values_is_recovered(landfall: Landfall) -> None:
    """It was left by a process that could not take it into the trail."""
    upgrade_sql(f"sqlite:///{landfall.home / 'landfall.db'}")
    long_ago = NOW - timedelta(hours=3)
    spool = Spool(landfall.home / "audit")
    spool.append(_told(1, datetime.now(UTC)))
    assert _audit_findings(landfall) == []
    spool.append(_told(2, long_ago, name=5, after={"displayName": 5}))
    spool.append(_told(3, NOW - timedelta(hours=2)))
    ((state, message, mend),) = _audit_findings(landfall)
    assert state == "warning"
    assert message.startswith("2 records of writes not in the audit trail after 5 minutes, the oldest of ")
    assert f"{long_ago:%Y-%m-%d %H:%M} UTC" in message
    assert "landfall audit recover" in mend
    spool.append(b"5\n")
    spool.close()
    recovered = landfall.run("audit", "recover", "--json")
    assert json.loads(recovered.stdout) == {"moved": 3, "settled": 0, "waiting": 0}
    assert "set aside" in recovered.stderr
    assert [record["name"] for record in landfall.json("audit", "list")] == [None, "5", None]
    assert landfall.json("audit", "verify")["sound"]
    ((state, message, _),) = _audit_findings(landfall)
    assert (state, message.startswith(f"1 line in {landfall.home / 'audit' / 'set-aside.jsonl'} ")) == ("warning", True)
    (landfall.home / "audit" / "set-aside.jsonl").rename(landfall.home / "kept.jsonl")
    assert _audit_findings(landfall) == []


def test_verify_tells_what_did_not_come_into_the_trail(landfall: Landfall, filled: ControlStore) -> None:
    """Neither what only waits nor what was set aside makes the chain unsound."""
    told = ("waiting", "waiting_since", "set_aside")
    assert [landfall.json("audit", "verify")[name] for name in told] == [0, None, 0]
    assert "set-aside" not in landfall.output("audit", "verify")
    long_ago = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
    spool = Spool(landfall.home / "audit")
    spool.append(_told(11, long_ago))
    spool.append(_told(12, NOW))
    spool.append(_told(13, long_ago - timedelta(days=1)))
    # The process has taken it into the trail, and not yet out of its spool.
    (moved,) = lines.take_in([_told(13, long_ago - timedelta(days=1))], {})
    filled.audit.append([moved.entry()])
    aside = landfall.home / "audit" / "set-aside.jsonl"
    aside.write_text("5\n6\n")
    proof = landfall.json("audit", "verify")
    assert [proof[name] for name in ("sound", *told)] == [True, 2, "2026-03-04T05:06:00Z", 2]
    text = landfall.output("audit", "verify")
    assert "0 writes are under way, 2 records wait for the trail, the oldest of 2026-03-04 05:06 UTC." in text
    assert f"2 lines in {aside} could not come into the audit trail." in text
    spool.close()
    assert [landfall.json("audit", "verify")[name] for name in ("waiting", "without_outcome")] == [2, 0]
    aside.unlink()
    aside.mkdir()
    assert landfall.json("audit", "verify")["set_aside"] is None
    assert f"{aside} can't be read (Is a directory)." in landfall.output("audit", "verify")


def test_what_is_in_the_trail_does_not_wait(landfall: Landfall, store: ControlStore) -> None:
    """A process takes records out of its spool later than it takes them into the trail."""
    upgrade_sql(f"sqlite:///{landfall.home / 'landfall.db'}")
    line = _told(1, NOW - timedelta(hours=1))
    spool = Spool(landfall.home / "audit")
    spool.append(line)
    assert len(_audit_findings(landfall)) == 1
    store.audit.append([story.entry() for story in lines.take_in([line], {})])
    assert _audit_findings(landfall) == []
    spool.close()
