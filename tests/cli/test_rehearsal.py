"""`landfall rehearsal …`, without a service beside it."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager

from app.control import ControlStore
from app.scim.query import Change, Delta, Draft
from app.scim.registry import load
from app.services.rehearsal import Rehearsing
from backends.base import Backend
from backends.sql.backend import SqlBackend
from tests.cli.conftest import Landfall


@contextmanager
def opened(landfall: Landfall) -> Iterator[tuple[Backend, Backend]]:
    """The store of that home and what a rehearsal makes of it, beside the commands."""
    store = SqlBackend(f"sqlite:///{landfall.home / 'landfall.db'}", load())
    control = ControlStore(f"sqlite:///{landfall.home / 'control.db'}")
    yield store, Rehearsing(store, control.rehearsal)
    control.close()
    store.close()


def test_nothing_was_rehearsed(landfall: Landfall) -> None:
    """Every command says so, and nothing fails."""
    landfall.output("db", "upgrade")
    assert "Nothing was rehearsed" in landfall.output("rehearsal", "show")
    assert "Done: 0. Not done: 0." in landfall.output("rehearsal", "apply")
    assert "Forgotten: 0" in landfall.output("rehearsal", "discard", "--yes")


def test_changes_are_shown_before_and_after(landfall: Landfall) -> None:
    """The table has each change with what was and what would be, and JSON the same whole."""
    landfall.output("db", "upgrade")
    with opened(landfall) as (store, view):
        ann, bob = (store.create("User", Draft({"userName": name, "title": "Clerk"})).id for name in ("ann", "bob"))
        team = store.create("Group", Draft({"displayName": "Team"}, {"members": (bob,)})).id
        view.update("User", ann, Change({"title": "Head", "nickName": "A", "password": "correct-horse"}))
        view.update("Group", team, Change(relations={"members": Delta((ann,), (bob,))}))
        view.create("User", Draft({"userName": "cid", "emails": [{"value": "c@x.example"}, {"value": "d@x.example"}]}))
        dot = store.create("User", Draft({"userName": "dot", "password": "correct-horse"})).id
        view.update("User", dot, Change({"password": None}))
        view.delete("User", bob)
    lines = landfall.output("rehearsal", "show").splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [
        ["create", "User", "cid"],
        ["update", "User", "ann"],
        ["update", "User", "dot"],
        ["update", "Group", "Team"],
        ["delete", "User", "bob"],
    ]
    assert "emails: c@x.example, d@x.example" in lines[1]
    assert "title: Clerk → Head; nickName: nothing → A; password: set" in lines[2]
    assert "password: nothing" in lines[3]
    assert "members: +1" in lines[4]
    told = {item["name"]: item for item in landfall.json("rehearsal", "show")}
    assert (told["ann"]["before"], told["ann"]["after"]) == (
        {"title": "Clerk", "nickName": None},
        {"title": "Head", "nickName": "A"},
    )
    assert told["ann"]["secrets"] == ["password"]
    assert told["Team"]["relations"] == {"members": {"add": [ann], "remove": []}}
    assert told["bob"]["before"] == {"userName": "bob", "title": "Clerk"}
    assert "correct-horse" not in str(told)
    statements = landfall.output("rehearsal", "show", "--format", "sql")
    assert "-- update User ann\n-- not kept, and would have been set: password\nUPDATE scim_users SET" in statements
    refusal = landfall.refusal("rehearsal", "show", "--format", "ldif")
    assert "LDIF is for a directory, and users and groups are in a database: see --format sql" in refusal


def test_what_cannot_be_applied_is_told(landfall: Landfall) -> None:
    """It is listed with why, stays, and makes the status 1; a password has to be sent again."""
    landfall.output("db", "upgrade")
    with opened(landfall) as (store, view):
        ann = store.create("User", Draft({"userName": "ann"})).id
        view.update("User", ann, Change({"title": "rehearsed"}))
        view.create("User", Draft({"userName": "bob", "password": "correct-horse"}))
        store.update("User", ann, Change({"title": "real"}))
    assert landfall.run("rehearsal", "apply").returncode == 1
    done = landfall.run("rehearsal", "apply", "--yes")
    assert (done.returncode, done.stderr) == (1, "")
    assert "Done: 1. Not done: 1." in done.stdout
    assert "password was not kept: it has to be sent again" in done.stdout
    assert "it was changed in the store since it was rehearsed" in done.stdout
    assert [item["name"] for item in landfall.json("rehearsal", "show")] == ["ann"]
    assert "Forgotten: 1" in landfall.output("rehearsal", "discard", "--yes")
    with opened(landfall) as (store, view):
        title = frozenset({"title"})
        assert view.get("User", ann, title) == store.get("User", ann, title)


def test_a_script_is_made_before_it_is_read(landfall: Landfall) -> None:
    """Whoever looks through it, with most of it still in the pipe, keeps nobody off the store."""
    landfall.output("db", "upgrade")
    with opened(landfall) as (store, view):
        for number in range(200):
            view.create("User", Draft({"userName": f"u{number}", "title": "x" * 1000}))
        command = [*landfall.command.words, "rehearsal", "show", "--format", "sql"]
        with subprocess.Popen(command, env=landfall.environ, cwd=landfall.directory, stdout=subprocess.PIPE) as showing:
            assert showing.stdout is not None
            assert showing.stdout.readline() == b"-- create User u0\n"
            store.create("User", Draft({"userName": "others"}))
            assert showing.stdout.read().count(b"INSERT INTO scim_users") == 200
        assert showing.returncode == 0


def test_applying_stops_without_a_store(landfall: Landfall) -> None:
    """What was done is listed, with what the store did not answer to any more; nothing else is tried."""
    landfall.output("db", "upgrade")
    with opened(landfall) as (_, view):
        for name in ("ann", "bob", "cid"):
            view.create("User", Draft({"userName": name}))
        with closing(sqlite3.connect(landfall.home / "landfall.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            done = landfall.run("rehearsal", "apply", "--yes", LANDFALL_SQL_STATEMENT_TIMEOUT_SECONDS="1")
    assert (done.returncode, "the store is not available" in done.stderr, "Traceback" in done.stderr) == (
        1,
        True,
        False,
    )
    assert "Done: 0. Not done: 1." in done.stdout
    assert [line.split()[:4] for line in done.stdout.splitlines()[2:]] == [["refused", "create", "User", "ann"]]
    assert len(landfall.json("rehearsal", "show")) == 3


def test_check_tells_of_a_rehearsal(landfall: Landfall) -> None:
    """In rehearse mode there is a warning; otherwise only what waits to be applied is told of."""
    landfall.output("db", "upgrade")

    def found(**environ: str) -> dict[str, tuple[str, str]]:
        done = landfall.run("check", "--json", **environ)
        return {f["subject"]: (f["state"], f["message"]) for f in json.loads(done.stdout)}

    assert "mode" not in found()
    state, message = found(LANDFALL_MODE="rehearse")["mode"]
    assert (state, "nothing was rehearsed yet" in message) == ("warning", True)
    with opened(landfall) as (_, view):
        view.create("User", Draft({"userName": "ann"}))
    state, message = found()["mode"]
    assert (state, "1 user or group" in message) == ("ok", True)
    assert "mode: must be one of" in landfall.refusal("users", "list", status=2, environ={"LANDFALL_MODE": "dry"})
