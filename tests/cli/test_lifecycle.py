"""The commands about those who come and go: adoption, retired and brakes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import PIPE

import pytest

from app.control import ControlStore
from app.control.models import Spent
from app.scim.query import Change, Draft
from app.scim.registry import load
from backends.sql.backend import SqlBackend
from tests.cli.conftest import Landfall


@contextmanager
def store(landfall: Landfall) -> Iterator[SqlBackend]:
    """The users of that home, beside the command."""
    backend = SqlBackend(f"sqlite:///{landfall.home / 'landfall.db'}", load())
    yield backend
    backend.close()


@contextmanager
def control(landfall: Landfall) -> Iterator[ControlStore]:
    """Its control store."""
    opened = ControlStore(f"sqlite:///{landfall.home / 'control.db'}")
    yield opened
    opened.close()


def test_retired_users(landfall: Landfall) -> None:
    """They are listed, one comes back, the others are removed; the audit knows of it."""
    landfall.output("db", "upgrade")
    assert "Nobody is retired" in landfall.output("retired", "list")
    with store(landfall) as backend:
        ids = [backend.create("User", Draft({"userName": f"u{n}@corp.example", "title": "Dr"})).id for n in range(3)]
        for id in ids:
            backend.retire("User", id)
    listed = landfall.json("retired", "list")
    assert (listed["total"], [user["id"] for user in listed["items"]]) == (3, ids)
    assert "2 of 3" in landfall.output("retired", "list", "--start", "2")
    assert "u0@corp.example is back" in landfall.output("retired", "restore", ids[0])
    with store(landfall) as backend:
        assert backend.get("User", ids[0], frozenset({"title"})).values == {"title": "Dr"}
    assert "nobody with the id" in landfall.refusal("retired", "restore", ids[0])
    assert "Nobody left so long ago" in landfall.output("retired", "purge", "--older-than", "90d", "--yes")
    assert "Removed: 2" in landfall.output("retired", "purge", "--older-than", "0d", "--yes")
    assert landfall.json("retired", "list")["total"] == 0
    records = landfall.json("audit", "list")
    assert [(r["operation"], r["outcome"]) for r in records] == [
        ("delete", "done"),
        ("delete", "done"),
        ("restore", "NotFound"),
        ("restore", "done"),
    ]
    assert {record["integration"] for record in records} == {"operator"}
    assert {record["name"] for record in records[:2]} == {"u1@corp.example", "u2@corp.example"}
    assert [(record["name"], record["version"]) for record in records[2:]] == [(None, None), ("u0@corp.example", "2")]
    assert all(record["changes"]["before"]["title"] == "Dr" for record in records[:2])
    landfall.output("audit", "verify")


def test_only_what_was_listed_is_purged(landfall: Landfall) -> None:
    """While the question waits for its answer one comes back and leaves again, another comes back, a third leaves."""
    landfall.output("db", "upgrade")
    with store(landfall) as backend:
        ids = [backend.create("User", Draft({"userName": f"u{n}@corp.example"})).id for n in range(5)]
        *listed, late = ids
        for id in listed:
            backend.retire("User", id)
        command = [*landfall.command.words, "retired", "purge", "--older-than", "0d"]
        with subprocess.Popen(
            command, env=landfall.environ, cwd=landfall.directory, stdin=PIPE, stdout=PIPE, stderr=PIPE
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            asked = b""
            while not asked.endswith(b"[y/N]: "):
                asked += process.stdout.read(1) or pytest.fail(asked.decode())
            for id in listed[:2]:
                backend.restore("User", id, Change({}))
            for id in (listed[0], late):
                backend.retire("User", id)
            said, error = process.communicate(b"y\n", timeout=60)
        assert (asked, error, process.returncode) == (b"Remove 4 users for ever? [y/N]: ", b"", 0)
        assert said.decode().split("\n")[-3:-1] == [
            "Removed: 2.",
            "Left alone, because they have come back or gone since they were listed: 2.",
        ]
        assert backend.get("User", listed[1], frozenset()).id == listed[1]
    assert {user["id"] for user in landfall.json("retired", "list")["items"]} == {listed[0], late}
    records = landfall.json("audit", "list")
    assert {(r["operation"], r["outcome"], r["name"]) for r in records} == {
        ("delete", "done", f"u{n}@corp.example") for n in (2, 3)
    }


def test_adoption(landfall: Landfall) -> None:
    assert "No account waits" in landfall.output("adoption", "list")
    made = landfall.json("integration", "create", "entra", "--access", "full")
    with control(landfall) as opened:
        opened.managed.ask("User", "id-1", "ann@corp.example", made["client_id"])
    (waiting,) = landfall.json("adoption", "list")
    assert {k: waiting[k] for k in ("kind", "id", "name", "integration", "approved")} == {
        "kind": "User",
        "id": "id-1",
        "name": "ann@corp.example",
        "integration": "entra",
        "approved": False,
    }
    assert "waits" in landfall.output("adoption", "list")
    assert "no client has asked" in landfall.refusal("adoption", "approve", "id-2")
    assert "Approved" in landfall.output("adoption", "approve", "id-1")
    assert landfall.json("adoption", "list")[0]["approved"] is True


def test_brakes(landfall: Landfall) -> None:
    assert "No brake is applied" in landfall.output("brakes", "show")
    made = landfall.json("integration", "create", "entra", "--access", "full")
    with control(landfall) as opened:
        spent = opened.brakes.spend(made["client_id"], "member_removals", 9, limit=5, minutes=60)
    assert spent is Spent.APPLIES
    (brake,) = landfall.json("brakes", "show")
    assert (brake["integration"], brake["effect"], brake["limit"]) == ("entra", "member_removals", 5)
    assert "member removals" in landfall.output("brakes", "show")
    assert "No brake of entra" in landfall.output("brakes", "release", "entra", "--effect", "deletions")
    assert "Released: 1" in landfall.output("brakes", "release", "entra")
    assert landfall.json("brakes", "show") == []
    assert "there is no integration" in landfall.refusal("brakes", "release", "nobody")
