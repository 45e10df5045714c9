"""The audit trail of a service whose worker is killed in the midst of writing, on each database and on a directory."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest

from app.control.audit_models import FOUND_DONE, FOUND_NOT_DONE, FOUND_UNCLEAR
from tests.conftest import selected_directories
from tests.support.directories import Directory
from tests.support.service import PATCH_OP, SCIM_JSON, USER
from tests.wire.landfall import Landfall, directory_settings, serving, until

WRITERS = 8
WRITES = 125
GONE = ("delete", "retire")
"""Of each writer: a thousand together."""
SHORT = {"LANDFALL_SQL_STATEMENT_TIMEOUT_SECONDS": "8"}


class Writer(threading.Thread):
    """Makes users, renames them, lets them into a group and out of it, and deletes some, one after another. It goes on
    when a connection breaks. `sent` counts its requests, `answered` those that had an answer."""

    def __init__(self, landfall: Landfall, number: int, group: str, authorization: str) -> None:
        super().__init__()
        self.sent = 0
        self.answered: list[int] = []
        self._landfall = landfall
        self._number = number
        self._group = group
        self._headers = {"Authorization": authorization, "Content-Type": SCIM_JSON}
        self._connection: HTTPConnection | None = None

    def run(self) -> None:
        """Every write, in an order in which the last state says which of them were made."""
        turn = 0
        while self.sent < WRITES:
            name = f"writer{self._number}-{turn}"
            turn += 1
            made = self._send("POST", "/Users", {"schemas": [USER], "userName": name, "title": "0"})
            if made is None:
                continue
            path = f"/Users/{made['id']}"
            members = [{"value": made["id"]}]
            self._patch(f"/Groups/{self._group}", {"op": "add", "path": "members", "value": members})
            for title in ("1", "2", "3"):
                self._patch(path, {"op": "replace", "path": "title", "value": title})
            document = {"schemas": [USER], "userName": name, "displayName": name, "title": "4"}
            self._send("PUT", path, document)
            if turn % 3 == 0:
                self._patch(f"/Groups/{self._group}", {"op": "remove", "path": "members", "value": members})
            if turn % 3 == 1:
                self._send("DELETE", path, None)
        if self._connection is not None:
            self._connection.close()

    def _patch(self, path: str, operation: dict[str, Any]) -> None:
        self._send("PATCH", path, {"schemas": [PATCH_OP], "Operations": [operation]})

    def _send(self, method: str, path: str, document: Any) -> dict[str, Any] | None:
        """The answer; None when there was none, or no content."""
        self.sent += 1
        if self._connection is None:
            self._connection = HTTPConnection("127.0.0.1", self._landfall.port, timeout=60)
        body = None if document is None else json.dumps(document)
        try:
            self._connection.request(method, f"/scim/v2{path}", body, self._headers)
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, HTTPException):
            self._connection.close()
            self._connection = None
            return None
        self.answered.append(answer.status)
        return json.loads(content) if content and answer.status < 300 else None


def test_after_a_kill_every_write_is_done_with_a_record_or_not_done(
    database: str, new_database: Callable[[str], str], tmp_path: Path
) -> None:
    _assert_all_is_told(Landfall(tmp_path / "home", {"LANDFALL_SQL_URL": new_database(database), **SHORT}))


@pytest.mark.skipif("openldap" not in selected_directories(), reason="BACKENDS does not name openldap")
@pytest.mark.xdist_group("directory-openldap")
def test_the_same_in_a_directory(directory_servers: Callable[[str], Directory], tmp_path: Path) -> None:
    server = directory_servers("openldap")
    tree = server.new_tree()
    home = tmp_path / "home"
    settings = {**directory_settings(server, tree, home), "LANDFALL_LDAP_RESPONSE_TIMEOUT_SECONDS": "8"}
    _assert_all_is_told(Landfall(home, settings))
    server.empty(tree)


def _assert_all_is_told(stopped: Landfall) -> None:
    with serving(stopped) as landfall:
        client = landfall.client("audited")
        group = client.group("crew")["id"]
        authorization = client.headers["Authorization"]
        writers = [Writer(landfall, number, group, authorization) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        for part in (0.3, 0.6):
            until(lambda part=part: sum(writer.sent for writer in writers) > WRITERS * WRITES * part)  # type: ignore[misc]
            victim = next(iter(landfall.workers()))
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
            until(lambda dead=victim: len(landfall.workers() - {dead}) == 2)  # type: ignore[misc]
        for writer in writers:
            writer.join()
        sent = sum(writer.sent for writer in writers)
        answers = Counter(status for writer in writers for status in writer.answered)
        assert sent >= WRITERS * WRITES
        # Some were cut off, and all that were answered were answered well.
        assert sent - len(writers) * 8 <= answers.total() <= sent
        assert set(answers) <= {200, 201, 204, 404}

        until(lambda: _at_rest(landfall))
        proof = landfall.report("audit", "verify")
        assert (proof["sound"], proof["first_wrong"], proof["without_outcome"]) == (True, None, 0)
        records = [json.loads(line) for line in landfall.run("audit", "export").stdout.splitlines()]
        assert proof["records"] == len(records)
        assert len({record["record"] for record in records}) == len(records)
        outcomes = Counter(record["outcome"] for record in records)
        # Each answered write has its record, and so has each that had begun when it was cut off.
        done = outcomes["done"] + outcomes["unchanged"]
        assert done >= answers[200] + answers[201] + answers[204]
        assert answers.total() + 1 <= len(records) <= sent + 1
        assert set(outcomes) <= {"done", "unchanged", "NotFound", FOUND_DONE, FOUND_NOT_DONE, FOUND_UNCLEAR}
        assert [r for r in records if r["outcome"] == FOUND_UNCLEAR and not _overwritten(r, records)] == []

        users, members = _replayed(records, group)
        assert users == {user["id"]: _shown(user) for user in _all(client, "/Users")}
        stored = client.get(f"/Groups/{group}").json()
        assert members == {member["value"] for member in stored.get("members", [])}


def _overwritten(unclear: dict[str, Any], records: list[dict[str, Any]]) -> bool:
    """Whether the same writer went on before anyone could ask the store: then the state is the same either way."""
    later = [r for r in records if r["id"] == unclear["id"] and r["time"] > unclear["time"] and r["outcome"] == "done"]
    if unclear["kind"] == "User":
        if any(r["operation"] in GONE for r in later):
            return True
        written = [r["changes"].get("after", {}).keys() | r["changes"].get("before", {}).keys() for r in later]
        slots: set[str] = set().union(*written)
        return slots >= set(unclear["changes"]["after"])
    gone = {r["id"] for r in records if r["operation"] in GONE and r["outcome"] in ("done", FOUND_DONE)}
    moved = {*_delta(unclear)["add"], *_delta(unclear)["remove"]} - gone
    return moved <= {id for r in later for id in (*_delta(r)["add"], *_delta(r)["remove"])}


def _delta(record: dict[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = record["changes"].get("members", {}).get("members", {"add": [], "remove": []})
    return found


def _at_rest(landfall: Landfall) -> bool:
    done = landfall.run("audit", "verify", "--json")
    proof = json.loads(done.stdout)
    return not (proof["under_way"] or proof["waiting"] or proof["without_outcome"])


def _replayed(records: list[dict[str, Any]], group: str) -> tuple[dict[str, dict[str, Any]], set[str]]:
    """What the records that were done leave, from nothing on: the users, and the members of the group."""
    users: dict[str, dict[str, Any]] = {}
    members: set[str] = set()
    of: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        if record["outcome"] in ("done", FOUND_DONE):
            of[record["id"]].append(record)
    for id, mine in of.items():
        # Each user has one writer, and of the group each member has: they wrote one after another.
        for record in sorted(mine, key=lambda record: record["time"]):
            changes = record["changes"]
            if record["operation"] in GONE:
                users.pop(id)
            elif record["kind"] == "User":
                values = {**users.get(id, {}), **changes["after"]}
                users[id] = {slot: value for slot, value in values.items() if value is not None}
            elif id == group:
                delta = _delta(record)
                members = (members - set(delta["remove"])) | set(delta["add"])
    return users, members & users.keys()


def _all(client: Any, endpoint: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        page = client.get(endpoint, params={"startIndex": str(len(found) + 1), "count": "500"}).json()
        found.extend(page.get("Resources", []))
        if len(found) >= page["totalResults"]:
            return found


def _shown(user: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in user.items() if name in ("userName", "displayName", "title")}
