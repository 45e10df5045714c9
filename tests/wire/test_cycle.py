"""The whole way over a real server: from the command that makes a client to what is stored."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from scim2_tester import Status, check_server

from app.demo.wire import Wire
from config.settings import Settings
from tests.support.service import ENTERPRISE, PATCH_OP, USER, Client
from tests.wire.landfall import Landfall, access_token, serving
from tests.wire.scim_client import HttpxClient


def test_a_new_integration_works_at_once(service: Landfall, name: str) -> None:
    """The command prints one JSON object while the service runs, and its secret and bearer token are good."""
    created = service.integration(name, "full", "--bearer")
    assert created["tenant_url"] == service.scim_url
    for token in (access_token(created), created["bearer_token"]):
        assert service.speak(token).get("/Users", params={"count": "0"}).status_code == 200
    answer = httpx.post(
        created["token_endpoint"],
        data={
            "grant_type": "client_credentials",
            "client_id": created["client_id"],
            "client_secret": created["client_secret"],
        },
    )
    assert answer.status_code == 200
    assert 3600 <= answer.json()["expires_in"] <= 21600


@pytest.mark.req("P-3.3-05")
def test_what_is_sent_is_stored_and_shown_by_the_command(service: Landfall, client: Client, name: str) -> None:
    """Create, read, change, list and delete."""
    sent = {
        "schemas": [USER, ENTERPRISE],
        "userName": f"{name}@tern.example",
        "name": {"givenName": "Mira", "familyName": "Østergård"},
        "emails": [{"type": "work", "value": f"{name}@tern.example", "primary": True}],
        ENTERPRISE: {"department": "Pilotage"},
    }
    created = client.create("/Users", sent)
    assert created.status_code == 201
    user = created.json()
    assert created.headers["Location"] == user["meta"]["location"] == f"{service.scim_url}/Users/{user['id']}"
    assert sent.items() <= user.items()
    assert client.get(f"/Users/{user['id']}").json() == user
    changed = client.change(f"/Users/{user['id']}", {"op": "Replace", "path": "active", "value": "False"})
    assert changed.json()["active"] is False
    listed = service.report("users", "list", "--count", "1000")["items"]
    assert [u["active"] for u in listed if u["id"] == user["id"]] == [False]
    assert client.delete(f"/Users/{user['id']}").status_code == 204
    assert client.get(f"/Users/{user['id']}").status_code == 404


def test_the_flag_in_the_tenant_url_is_ignored(client: Client, name: str) -> None:
    """Identity providers append a parameter without a value to every address."""
    body = {"schemas": [USER], "userName": f"{name}@tern.example"}
    user = client.post("/Users?aadOptscim062020", json=body)
    assert user.status_code == 201
    path = f"/Users/{user.json()['id']}?aadOptscim062020"
    assert client.patch(path, json={"schemas": [PATCH_OP], "Operations": []}).status_code == 200
    assert client.get(path).status_code == 200


def test_scim2_tester_finds_no_error(service: Landfall, name: str) -> None:
    """Every check of the tester on every resource type."""
    results = check_server(HttpxClient(service.client(name)))
    bad = [r for r in results if r.status in (Status.ERROR, Status.CRITICAL, Status.DEVIATION)]
    assert [(r.title, r.resource_type, r.reason) for r in bad] == []
    assert {"User", "Group"} <= {r.resource_type for r in results if r.status is Status.SUCCESS}


def test_the_demo_succeeds(service: Landfall, client: Client) -> None:
    """Twice, for the second run meets what the first one kept; what it reports as stored is there."""
    before = client.get("/Groups", params={"count": "0"}).json()["totalResults"]
    kept = service.run("demo", "--keep")
    assert kept.returncode == 0, kept.stdout
    assert client.get("/Groups", params={"count": "0"}).json()["totalResults"] == before + 8
    removed = service.run("demo")
    assert removed.returncode == 0, removed.stdout
    assert client.get("/Groups", params={"count": "0"}).json()["totalResults"] == before + 8
    demos = [i for i in service.report("integration", "list") if i["name"].startswith("demo-")]
    assert len(demos) == 2
    assert all(i["revoked_at"] for i in demos)


def test_the_demo_opens_a_connection_again_that_was_idle_too_long(tmp_path: Path) -> None:
    """On a slow machine one of its connections waits longer than the service keeps it."""
    landfall = Landfall(tmp_path / "home", {"GUNICORN_CMD_ARGS": "--keep-alive 1"})
    with serving(landfall), closing(Wire(Settings(bind=f"127.0.0.1:{landfall.port}"))) as wire:
        answers = [wire.request("GET", "/healthz", {})]
        time.sleep(4)
        answers.append(wire.request("GET", "/healthz", {}))
    assert [(answer.status, answer.fault) for answer in answers] == [(200, "")] * 2


def test_the_demo_says_what_to_do_when_no_service_runs(service: Landfall) -> None:
    """A newcomer may run it first."""
    stopped = Landfall(service.home, service.variables).run("demo")
    assert stopped.returncode == 1
    assert "make run" in stopped.stdout
    assert "Traceback" not in stopped.stdout + stopped.stderr
