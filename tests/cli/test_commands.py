"""`landfall` before and beside the running service."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from app.control import Access, ControlStore
from tests.cli.conftest import Landfall


def store_of(landfall: Landfall) -> ControlStore:
    return ControlStore(f"sqlite:///{landfall.home / 'control.db'}")


def test_an_integration_is_created_before_the_first_start(landfall: Landfall) -> None:
    created = landfall.json("integration", "create", "Entra ID", "--access", "full", "--bearer")
    assert created["tenant_url"] == "http://127.0.0.1:8000/scim/v2"
    assert created["token_endpoint"] == "http://127.0.0.1:8000/oauth/token"
    assert (created["name"], created["access"], created["dialect"]) == ("Entra ID", "full", "rfc")
    assert created["client_secret_expires_at"] is None
    assert created["bearer_token_expires_at"] is not None
    store = store_of(landfall)
    secret = store.verify_secret(created["client_id"], created["client_secret"])
    grant = store.verify_bearer(created["bearer_token"])
    store.close()
    assert secret is not None
    assert grant is not None
    assert grant.integration == secret.integration
    assert grant.integration.access is Access.FULL
    assert landfall.home.stat().st_mode & 0o777 == 0o700
    assert (landfall.home / "control.db").stat().st_mode & 0o777 == 0o600


def test_the_life_of_an_integration(landfall: Landfall) -> None:
    created = landfall.json("integration", "create", "hr", "--access", "read-only", "--dialect", "entra")
    assert "bearer_token" not in created
    changed = landfall.json("integration", "set-access", "HR", "full")
    assert (changed["client_id"], changed["access"]) == (created["client_id"], "full")
    rotated = landfall.json("integration", "rotate", "hr", "--overlap-hours", "0", "--expires-days", "30")
    assert rotated["client_secret"] != created["client_secret"]
    assert rotated["client_secret_expires_at"] > rotated["previous_valid_until"]
    store = store_of(landfall)
    assert store.verify_secret(created["client_id"], created["client_secret"]) is None
    assert store.verify_secret(created["client_id"], rotated["client_secret"]) is not None
    shown = landfall.json("integration", "show", "hr")
    assert [(item["kind"], item["live"]) for item in shown["credentials"]].count(("secret", True)) == 1
    assert shown["dialect"] == "entra"
    text = landfall.output("integration", "show", created["client_id"])
    assert rotated["client_secret"][-4:] in text
    assert rotated["client_secret"] not in text
    (live,) = [item["id"] for item in shown["credentials"] if item["live"]]
    landfall.output("integration", "revoke", "hr", "--credential", live)
    assert store.verify_secret(created["client_id"], rotated["client_secret"]) is None
    assert landfall.output("integration", "revoke", "hr") == "hr is revoked.\n"
    store.close()
    (listed,) = landfall.json("integration", "list")
    assert listed["revoked_at"] is not None
    assert "revoked" in landfall.output("integration", "list")


def test_rotating_a_bearer_token_keeps_the_old_one_for_a_week(landfall: Landfall) -> None:
    created = landfall.json("integration", "create", "hr", "--access", "full", "--bearer", "--expires-days", "0")
    assert created["bearer_token_expires_at"] is None
    rotated = landfall.json("integration", "rotate", "hr", "--bearer")
    store = store_of(landfall)
    old, new = (store.verify_bearer(item["bearer_token"]) for item in (created, rotated))
    store.close()
    assert old is not None
    assert old.expires_at is not None
    assert old.expires_at.isoformat().replace("+00:00", "Z") == rotated["previous_valid_until"]
    assert new is not None


def test_the_end_of_what_is_rotated_is_the_one_that_holds(landfall: Landfall) -> None:
    """The overlap lengthens no life, and where there was nothing nothing ends."""
    created = landfall.json("integration", "create", "hr", "--access", "full", "--bearer", "--expires-days", "1")
    rotated = landfall.json("integration", "rotate", "hr", "--bearer")
    assert rotated["previous_valid_until"] == created["bearer_token_expires_at"]
    landfall.output("integration", "create", "it", "--access", "full")
    assert "Nothing was valid before." in landfall.output("integration", "rotate", "it", "--bearer")


def test_of_more_access_it_is_said_when_it_begins(landfall: Landfall) -> None:
    """A token keeps the scopes that it was issued with."""
    landfall.output("integration", "create", "hr", "--access", "full")
    said = [landfall.output("integration", "set-access", "hr", level) for level in ("read-only", "full", "full")]
    assert [("An access token issued before" in text) for text in said] == [False, True, False]


def test_tables_show_what_people_need(landfall: Landfall) -> None:
    assert "no integration yet" in landfall.output("integration", "list")
    created = landfall.output("integration", "create", "Größe & [bold]Maß", "--access", "read-only")
    assert "lfs_" in created
    assert "http://127.0.0.1:8000/scim/v2" in created
    listed = landfall.output("integration", "list")
    assert "Größe & [bold]Maß" in listed
    assert "read-only" in listed
    assert "lfs_" not in listed
    assert "ends at" in landfall.output("integration", "rotate", "Größe & [bold]Maß")


@pytest.mark.parametrize(
    "arguments",
    [
        ("integration", "show", "nobody"),
        ("integration", "rotate", "nobody"),
        ("integration", "revoke", "nobody"),
        ("integration", "set-access", "nobody", "full"),
    ],
)
def test_an_unknown_integration_is_one_clear_sentence(landfall: Landfall, arguments: tuple[str, ...]) -> None:
    message = landfall.refusal(*arguments)
    assert message.startswith("landfall: there is no integration 'nobody'")
    assert message.count("\n") == 1


@pytest.mark.parametrize("command", [("show",), ("revoke",), ("rotate",), ("set",), ("set-access", "full")])
def test_of_a_revoked_integration_it_is_said_that_it_is_revoked(landfall: Landfall, command: tuple[str, ...]) -> None:
    """By its name, which another one may have by now; its client id is for ever its own."""
    created = landfall.json("integration", "create", "Rv", "--access", "full")
    landfall.output("integration", "revoke", "Rv")
    name, *rest = command
    message = landfall.refusal("integration", name, "rV", *rest)
    id = created["client_id"]
    assert message == f"landfall: 'rV' is revoked; name it by its client id to see it: {id}\n"
    if name == "show":
        assert landfall.json("integration", name, id)["revoked_at"] is not None
    else:
        message = landfall.refusal("integration", name, id, *rest)
        assert message == "landfall: 'Rv' is revoked, which is for ever\n"
    again = landfall.json("integration", "create", "RV", "--access", "full")
    assert landfall.json("integration", "show", "rv")["client_id"] == again["client_id"]


@pytest.mark.parametrize("there", ["junk", "directory"])
def test_a_file_that_is_no_database_is_named(landfall: Landfall, there: str) -> None:
    landfall.home.mkdir()
    file = landfall.home / "landfall.db"
    if there == "junk":
        file.write_bytes(b"This is no database. " * 100)
    else:
        file.mkdir()
    sentence = f"{file} cannot be used as a SQLite database ("
    assert landfall.refusal("db", "upgrade").startswith(f"landfall: {sentence}")
    assert landfall.refusal("users", "list").startswith(f"landfall: {sentence}")
    done = landfall.run("check", "--json")
    assert done.returncode == 1
    (finding,) = [one for one in json.loads(done.stdout) if one["subject"] == "backend"]
    assert (finding["state"], finding["message"].startswith(sentence)) == ("fault", True)


def test_what_cannot_be_created_is_refused(landfall: Landfall) -> None:
    create = ("integration", "create")
    landfall.output(*create, "hr", "--access", "full")
    assert "already called" in landfall.refusal(*create, "HR", "--access", "full")
    assert "printable" in landfall.refusal(*create, " ", "--access", "full")
    assert "--access" in landfall.refusal(*create, "new", status=2)
    assert "read-only" in landfall.refusal(*create, "new", "--access", "admin", status=2)
    assert "no live credential" in landfall.refusal("integration", "revoke", "hr", "--credential", "x")
    assert len(landfall.json("integration", "list")) == 1


def test_keys(landfall: Landfall) -> None:
    assert landfall.json("keys", "list") == []
    (first,) = landfall.json("keys", "rotate")
    second, retired = landfall.json("keys", "rotate")
    assert (retired["kid"], retired["signing"], second["signing"]) == (first["kid"], False, True)
    listed = landfall.output("keys", "list")
    assert second["kid"] in listed
    assert "verifies until" in listed
    assert "PRIVATE" not in listed


def test_databases_are_upgraded_and_checked(landfall: Landfall) -> None:
    before = landfall.run("check")
    assert before.returncode == 1
    assert "landfall db upgrade" in before.stdout
    assert landfall.output("db", "upgrade") == "Both databases are up to date.\n"
    assert landfall.output("db", "upgrade") == "Both databases are up to date.\n"
    states = {finding["subject"]: finding["state"] for finding in landfall.json("check")}
    assert states == {"configuration": "ok", "public_url": "ok", "control": "warning", "backend": "ok"}
    landfall.output("keys", "rotate")
    assert {finding["state"] for finding in landfall.json("check")} == {"ok"}
    assert landfall.json("users", "list") == {"total": 0, "items": []}
    assert landfall.json("groups", "list", "--count", "0") == {"total": 0, "items": []}
    assert "nothing to show" in landfall.output("users", "list")


def test_an_old_control_store_is_told_once_what_to_do(landfall: Landfall) -> None:
    landfall.output("db", "upgrade")
    with closing(sqlite3.connect(landfall.home / "control.db")) as connection, connection:
        connection.execute("UPDATE control_version SET version_num = '0001'")
    checked = landfall.run("check")
    assert checked.returncode == 1
    assert checked.stdout.count("landfall db upgrade") == 1


@pytest.mark.parametrize("part", ["", "audit"])
def test_a_home_that_can_not_be_written_is_a_fault(landfall: Landfall, part: str) -> None:
    """Both databases are elsewhere: the service would start, and refuse every write because it can't tell of it."""
    databases = {
        variable: f"sqlite:///{landfall.directory / file}"
        for variable, file in (("LANDFALL_SQL_URL", "users.db"), ("LANDFALL_CONTROL_URL", "control.db"))
    }
    closed = landfall.home / part
    closed.mkdir(parents=True)
    environ = {**landfall.environ, **databases}
    assert landfall.run("db", "upgrade", **databases).returncode == 0
    assert "can't be written" not in landfall.run("check", **databases).stdout
    closed.chmod(0o500)
    # Rights hold for root too when it is without this capability.
    ordinary = ["setpriv", "--bounding-set", "-dac_override"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*ordinary, *landfall.command.words, "check", "--json"], env=environ, capture_output=True, text=True, timeout=60
    )
    closed.chmod(0o700)
    (finding,) = [one for one in json.loads(done.stdout) if one["subject"] == "home"]
    assert (done.returncode, finding["state"]) == (1, "fault")
    assert finding["message"] == f"{closed} can't be written: Permission denied"
    assert "LANDFALL_HOME" in finding["mend"]
    assert list(closed.iterdir()) == []


def test_a_home_below_a_file_is_a_fault(landfall: Landfall) -> None:
    landfall.home.write_text("in the way")
    below = str(landfall.home / "below")
    checked = landfall.run("check", "--json", LANDFALL_HOME=below)
    (finding,) = [one for one in json.loads(checked.stdout) if one["subject"] == "home"]
    assert finding["message"] == f"{landfall.home} can't be written: Not a directory"


@pytest.mark.parametrize(
    ("file", "table", "whose"),
    [
        ("control.db", "control_version", "the control store"),
        ("landfall.db", "store_version", "the database of users and groups"),
    ],
)
def test_a_database_of_a_newer_program_is_left_alone(landfall: Landfall, file: str, table: str, whose: str) -> None:
    landfall.output("db", "upgrade")
    with closing(sqlite3.connect(landfall.home / file)) as connection, connection:
        connection.execute(f"UPDATE {table} SET version_num = '9999'")
    for command in (("db", "upgrade"), ("serve",)):
        message = landfall.refusal(*command)
        assert message.startswith(f"landfall: {whose} has schema 9999, that of a later Landfall, ")
        assert len(message.splitlines()) == 1
    with closing(sqlite3.connect(landfall.home / file)) as connection:
        assert connection.execute(f"SELECT version_num FROM {table}").fetchall() == [("9999",)]


def test_faults_of_the_configuration_are_named_all_at_once(landfall: Landfall) -> None:
    faulty = {"LANDFALL_BIND": "nowhere", "LANDFALL_SERVER_WORKERS": "0"}
    message = landfall.refusal("keys", "list", status=2, environ=faulty)
    assert "bind" in message
    assert "server.workers" in message
    checked = landfall.run("check", **faulty)
    assert checked.returncode == 1
    assert "bind" in checked.stdout
    assert "server.workers" in checked.stdout


def test_variables_that_are_not_text_are_faults(landfall: Landfall) -> None:
    """Python passes octets that it can't decode as halves of surrogate pairs, and back as these octets."""
    for variable in ("LANDFALL_HOME", "LANDFALL_SQL_URL", "LANDFALL_AUDIT_SYSLOG"):
        faulty = {variable: "sqlite:////tmp/\udcff\udcfe"}
        for command in (("keys", "list"), ("serve",), ("db", "upgrade")):
            message = landfall.refusal(*command, status=2, environ=faulty)
            assert message == f"landfall: 1 fault in the configuration\n  {variable}: is not UTF-8 text\n"
        checked = landfall.run("check", "--json", **faulty)
        assert (checked.returncode, checked.stderr) == (1, "")
        (finding,) = json.loads(checked.stdout)
        assert (finding["subject"], finding["message"]) == (variable, "is not UTF-8 text")


def test_a_configuration_file_is_named_by_an_option(landfall: Landfall, tmp_path: Path) -> None:
    file = tmp_path / "landfall.toml"
    file.write_text('public_url = "https://scim.example/t1"\n')
    created = landfall.json("--config", str(file), "integration", "create", "hr", "--access", "full")
    assert created["tenant_url"] == "https://scim.example/t1/scim/v2"
    assert "cannot be read" in landfall.refusal("--config", str(tmp_path / "no.toml"), "keys", "list", status=2)


def test_a_store_that_does_not_answer_is_one_clear_sentence(landfall: Landfall) -> None:
    url = "postgresql://landfall:hidden-word@127.0.0.1:1/landfall"
    message = landfall.refusal("integration", "list", environ={"LANDFALL_CONTROL_URL": url})
    assert message.startswith("landfall: the control store is not available")
    assert "hidden-word" not in message
    landfall.home.write_text("in the way")
    assert "cannot be used" in landfall.refusal("integration", "list")


def test_tokens_in_the_clear_are_warned_of(landfall: Landfall) -> None:
    checked = landfall.run("check", "--json", LANDFALL_PUBLIC_URL="http://scim.example")
    assert "TLS" in checked.stdout
    assert '"warning"' in checked.stdout


def test_help_and_version(landfall: Landfall) -> None:
    assert "Start with `landfall serve`" in landfall.output("--help")
    assert "There is no" not in landfall.output("integration", "--help")
    assert "No such command" in landfall.refusal("nonsense", status=2)
