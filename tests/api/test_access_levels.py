"""What integrations of each access level may do, and that a change of it holds at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.control import Access
from tests.api.expect import new_user, refused, unchanged
from tests.support.service import GROUP, PATCH_OP, SEARCH_REQUEST, USER, Client, Service


def writes(client: httpx.Client, user: str, group: str, name: str) -> Iterator[httpx.Response]:
    """The answer to each kind of write."""
    title = {"schemas": [PATCH_OP], "Operations": [{"op": "replace", "path": "title", "value": "x"}]}
    rename = {"schemas": [PATCH_OP], "Operations": [{"op": "replace", "path": "displayName", "value": f"N {name}"}]}
    clear = {"schemas": [PATCH_OP], "Operations": [{"op": "remove", "path": "members"}]}
    nothing: dict[str, Any] = {"schemas": [PATCH_OP], "Operations": []}
    yield client.post("/Users", json={"schemas": [USER], "userName": f"new-{name}"})
    yield client.post("/Groups", json={"schemas": [GROUP], "displayName": f"new-{name}"})
    yield client.put(user, json={"schemas": [USER], "userName": f"put-{name}"})
    yield client.put(group, json={"schemas": [GROUP], "displayName": f"put-{name}"})
    yield client.patch(user, json=title)
    yield client.patch(user, json=nothing)
    yield client.patch(group, json=rename)
    yield client.patch(group, json=clear)
    yield client.delete(user)
    yield client.delete(group)
    yield client.delete("/Users/nobody")
    yield client.post("/Bulk", json={})
    yield client.delete("/Users/.search")
    yield client.put("/Users/.search", json={"schemas": [USER], "userName": "x"})
    yield client.post("/Users", content=b"no JSON", headers={"Content-Type": "text/plain"})


@pytest.mark.req("P-7.7-02")
def test_read_only_sees_everything(client: Client, reader: Client, name: str) -> None:
    user = new_user(client, name, title="Pilot")
    group = f"/Groups/{client.group(name, user.removeprefix('/Users/'))['id']}"
    search = {"schemas": [SEARCH_REQUEST], "filter": f'userName eq "{name}"'}
    for path in (user, group, f"/Users?filter=userName%20eq%20%22{name}%22", f"/?filter=id%20eq%20%22{user[7:]}%22"):
        assert reader.get(path).json() == client.get(path).json()
        assert reader.head(path).status_code == 200
    for endpoint in ("/.search", "/Users/.search"):
        assert reader.post(endpoint, json=search).json() == client.post(endpoint, json=search).json()
        assert reader.post(f"{endpoint}/", json=search).status_code == 200
    refused(reader.get("/Users/nobody"), 404)


@pytest.mark.req("P-7.7-02", "P-3.12-07")
def test_a_write_of_read_only_is_403_and_changes_nothing(client: Client, reader: Client, name: str) -> None:
    user = new_user(client, name, title="Pilot")
    group = f"/Groups/{client.group(name, user.removeprefix('/Users/'))['id']}"
    with unchanged(client, user, group, "/?count=0"):
        for response in writes(reader, user, group, name):
            refused(response, 403)
            assert 'error="insufficient_scope"' in response.headers["WWW-Authenticate"]
            assert 'scope="scim.write"' in response.headers["WWW-Authenticate"]
    assert client.found("/", f'userName eq "new-{name}" or displayName eq "new-{name}"') == set()


@pytest.mark.req("P-7.7-02")
def test_full_access_writes(client: Client, name: str) -> None:
    user, group = new_user(client, name), f"/Groups/{client.group(name)['id']}"
    statuses = [response.status_code for response in writes(client, user, group, name)]
    assert statuses == [201, 201, 200, 200, 200, 200, 204, 204, 204, 204, 404, 501, 405, 405, 415]


@pytest.mark.req("P-3.12-07")
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic dTpw"}])
def test_without_a_good_token_everything_is_401(
    client: Client, service: Service, name: str, headers: dict[str, str]
) -> None:
    user, group = new_user(client, name), f"/Groups/{client.group(name)['id']}"
    with service.anonymous as anonymous, unchanged(client, user, group, "/?count=0"):
        anonymous.headers.update(headers)
        answers = [*writes(anonymous, user, group, name), *(anonymous.get(p) for p in (user, group, "/", "/Users"))]
        for response in answers:
            refused(response, 401)
            assert response.headers["WWW-Authenticate"].startswith("Bearer ")


def own_client(service: Service, name: str, access: Access) -> tuple[str, Client]:
    """The id of an integration of its own, and a client that speaks for it."""
    integration = service.control.create_integration(name, access)
    return integration.id, Client(service.settings.scim_url, service.control.add_bearer(integration.id, None).value)


@pytest.mark.req("P-7.7-02")
def test_a_downgrade_and_an_upgrade_hold_for_the_next_request(service: Service, client: Client, name: str) -> None:
    user = new_user(client, name)
    id, own = own_client(service, name, Access.FULL)
    operation = {"op": "replace", "path": "title", "value": "x"}
    assert own.change(user, operation).status_code == 200
    service.control.set_access(id, Access.READ_ONLY)
    refused(own.change(user, {**operation, "value": "y"}), 403)
    assert own.get(user).json()["title"] == "x"
    service.control.set_access(id, Access.FULL)
    assert own.change(user, {**operation, "value": "z"}).status_code == 200


@pytest.mark.req("P-7.7-02")
def test_a_revoked_integration_is_out_at_the_next_request(service: Service, client: Client, name: str) -> None:
    user = new_user(client, name)
    id, own = own_client(service, name, Access.FULL)
    assert own.get(user).status_code == 200
    service.control.revoke_integration(id)
    refused(own.get(user), 401)
    with unchanged(client, user):
        refused(own.delete(user), 401)
