"""What the operator changes holds for the next request, whichever worker answers it."""

from __future__ import annotations

import json
from http.client import HTTPConnection

import pytest

from tests.support.service import ERROR, USER
from tests.wire.landfall import Landfall, access_token


def _write(connection: HTTPConnection, token: str, name: str) -> int:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"}
    connection.request("POST", "/scim/v2/Users", json.dumps({"schemas": [USER], "userName": name}), headers)
    response = connection.getresponse()
    document = json.loads(response.read())
    if response.status != 201:
        assert document["schemas"] == [ERROR]
        assert document["status"] == str(response.status)
    return response.status


def _read(connection: HTTPConnection, token: str) -> int:
    connection.request("GET", "/scim/v2/Users?count=0", headers={"Authorization": f"Bearer {token}"})
    response = connection.getresponse()
    response.read()
    return response.status


@pytest.mark.parametrize("kind", ["access token", "bearer token"])
@pytest.mark.req("P-2-02")
def test_downgrading_and_revoking_hold_on_every_worker(service: Landfall, name: str, kind: str) -> None:
    """Each worker has accepted the token before, and may have remembered that."""
    created = service.integration(name, "full", "--bearer")
    token = access_token(created) if kind == "access token" else created["bearer_token"]
    connections = service.connections()
    assert len(connections) == 2
    assert [_write(c, token, f"{name}-{n}a") for n, c in enumerate(connections)] == [201, 201]
    assert service.run("integration", "set-access", name, "read-only").returncode == 0
    assert [_write(c, token, f"{name}-{n}b") for n, c in enumerate(connections)] == [403, 403]
    assert [_read(c, token) for c in connections] == [200, 200]
    assert service.run("integration", "set-access", name, "full").returncode == 0
    assert [_write(c, token, f"{name}-{n}c") for n, c in enumerate(connections)] == [201, 201]
    assert service.run("integration", "revoke", name).returncode == 0
    assert [_read(c, token) for c in connections] == [401, 401]
    assert [_write(c, token, f"{name}-{n}d") for n, c in enumerate(connections)] == [401, 401]
    for connection in connections:
        connection.close()


@pytest.mark.req("R-2-01", "R-2.1-02")
def test_a_token_revoked_by_its_client_is_refused_by_every_worker(service: Landfall, name: str) -> None:
    """RFC 7009; another token of the same client stays good."""
    created = service.integration(name)
    token, other = access_token(created), access_token(created)
    connections = service.connections()
    assert [_read(c, t) for c in connections for t in (token, other)] == [200] * 4
    revoked = service.speak("unused").post(
        f"{service.url}/oauth/revoke",
        data={"token": token},
        auth=(created["client_id"], created["client_secret"]),
    )
    assert revoked.status_code == 200
    assert [_read(c, t) for c in connections for t in (token, other)] == [401, 200] * 2
    for connection in connections:
        connection.close()


def test_secrets_overlap_when_one_is_replaced(service: Landfall, name: str) -> None:
    """Both are good for the time between, so that nothing stops while the new one is put in place."""
    created = service.integration(name)
    rotated = service.report("integration", "rotate", name)
    assert rotated["client_secret"] != created["client_secret"]
    for secret in (created["client_secret"], rotated["client_secret"]):
        assert access_token({**created, "client_secret": secret})
