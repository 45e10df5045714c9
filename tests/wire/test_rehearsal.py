"""A rehearsal with the program as it is installed: two workers, and the commands of an operator beside them."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from app.control import AuditRecord, ControlStore, Wanted
from app.scim.registry import load
from backends.sql.backend import SqlBackend
from tests.conftest import selected_backends
from tests.support.provisioning import provision, settle, snapshot
from tests.wire.landfall import Landfall, access_token, serving

_LONG_AGO = "2020-02-02 02:02:02.000000"


def _settled(url: str) -> None:
    """People and groups who have been there for long."""
    with closing(SqlBackend(url, load())) as backend:
        settle(backend)
        with backend.engine.connect() as connection:
            for table in ("scim_users", "scim_groups"):
                connection.exec_driver_sql(f"UPDATE {table} SET created = '{_LONG_AGO}'")


def _snapshot(url: str) -> Any:
    with closing(SqlBackend(url, load())) as backend:
        return snapshot(backend)


def _answers(landfall: Landfall, integration: dict[str, Any], query: str) -> list[dict[str, Any]]:
    """What each worker answers."""
    headers = {"Authorization": f"Bearer {access_token(integration)}"}
    answers = []
    for connection in landfall.connections():
        connection.request("GET", f"/scim/v2/{query}", headers=headers)
        answers.append(json.loads(connection.getresponse().read()))
        connection.close()
    return answers


def test_rehearse_show_apply(new_database: Callable[[str], str], tmp_path: Path) -> None:
    """In rehearse mode clients see what they wrote, on each worker and after a restart, while the store stays as it is.
    The commands show what would be done, and do it while the service runs."""
    url = new_database(selected_backends()[0])
    landfall = Landfall(tmp_path / "home", {"LANDFALL_SQL_URL": url, "LANDFALL_MODE": "rehearse"})
    assert landfall.run("db", "upgrade").returncode == 0
    _settled(url)
    before = _snapshot(url)
    with serving(landfall):
        integration = landfall.integration("Okta")
        provision(landfall.speak(access_token(integration)))
        assert "users and groups are read and never written" in landfall.output
        assert "rehearsed" in next(line for line in landfall.output.splitlines() if "retire" in line)
        assert _snapshot(url) == before
    with serving(landfall):
        for answer in _answers(landfall, integration, "Users?filter=userName%20eq%20%22eve%22"):
            assert [user["displayName"] for user in answer["Resources"]] == ["Eve"]
        found = {finding["subject"]: finding for finding in landfall.report("check")}
        assert found["mode"]["state"] == "warning"
        assert "rehearse" in found["mode"]["message"]
        items = landfall.report("rehearsal", "show")
        assert {item["integration"] for item in items} == {"Okta"}
        assert {item["action"] for item in items} == {"create", "update", "delete", "retire"}
        assert _records(landfall) == []
        assert _snapshot(url) == before
        applied = landfall.report("rehearsal", "apply", "--yes")
        assert [outcome["result"] for outcome in applied if outcome["result"] != "applied"] == []
        assert len(applied) >= len(items)
        after = _snapshot(url)
        assert after["User eve"]["displayName"] == "Eve"
        assert after["Group Everyone"]["related"] == ["User ann", "User fay"]
        (eve,) = (outcome["id"] for outcome in applied if outcome["name"] == "eve")
        for answer in _answers(landfall, integration, f"Users/{eve}"):
            assert answer["userName"] == "eve"
    assert [(record.actor, record.outcome) for record in _records(landfall)] == [("Okta", "done")] * len(applied)


def _records(landfall: Landfall) -> list[AuditRecord]:
    """What is in the audit trail, whose chain is whole. There are no records as long as something is only rehearsed."""
    with closing(ControlStore(f"sqlite:///{landfall.home / 'control.db'}")) as control:
        assert control.audit.verify().wrong is None
        records = list(control.audit.records(Wanted()))
        assert bool(control.rehearsal.counts()) is not bool(records)
        return records
