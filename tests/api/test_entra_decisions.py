"""The twelve decisions on what the main client needs, one test or more for each."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.control import Access, Dialect
from tests.api.expect import new_user, refused, unchanged
from tests.support.service import ENTERPRISE, GROUP, USER, Client, Service

pytestmark = pytest.mark.every_store

MANAGER = f"{ENTERPRISE}:manager"
HOME = {"type": "home", "value": "mira@home.example"}


@pytest.fixture
def entra(service: Service) -> Client:
    """A client of an integration in Entra's dialect."""
    return service.client(dialect=Dialect.ENTRA)


def op(name: str, path: str | None = None, value: Any = None) -> dict[str, Any]:
    return {"op": name, **({"path": path} if path else {}), "value": value}


def test_decision_1_both_flag_styles_in_one_request(client: Client, entra: Client, name: str) -> None:
    for number, each in enumerate((client, entra)):
        path = new_user(each, f"{number}{name}", active=True)
        response = each.change(
            path,
            op("Replace", "active", "False"),
            op("Add", f"{ENTERPRISE}:department", "Pilotage"),
            op("replace", None, {"name.givenName": "Mira", f"{ENTERPRISE}:division": "North", "active": True}),
            op("add", 'emails[type eq "work"].value', "w@tern.example"),
        )
        read = response.json()
        assert (read["active"], read["name"]) == (True, {"givenName": "Mira"})
        assert read[ENTERPRISE] == {"department": "Pilotage", "division": "North"}
        assert read["emails"] == [{"type": "work", "value": "w@tern.example"}]


@pytest.mark.parametrize("verb", ["Add", "add", "Replace", "replace"])
def test_decision_2_a_sub_attribute_of_a_typed_value_is_upserted(entra: Client, name: str, verb: str) -> None:
    path = new_user(entra, name, emails=[HOME])
    changes = [op(verb, 'emails[type eq "work"].value', "w"), op(verb, 'emails[type eq "work"].display', "W")]
    assert entra.change(path, *changes).json()["emails"] == [HOME, {"type": "work", "value": "w", "display": "W"}]
    for filter in ('type ne "home" and type ne "work"', 'type co "z"', 'type eq "x" or type eq "y"', "not (type pr)"):
        with unchanged(entra, path):
            refused(entra.change(path, op(verb, f"emails[{filter}].value", "w")), 400, "noTarget")


@pytest.mark.req("P-3.5.2.3-07")
def test_decision_2_other_clients_get_no_target_for_a_replace(client: Client, name: str) -> None:
    path = new_user(client, name, emails=[HOME])
    with unchanged(client, path):
        refused(client.change(path, op("replace", 'emails[type eq "work"].value', "w")), 400, "noTarget")


@pytest.mark.parametrize("blank", ["", None])
def test_decision_3_blank_unassigns_and_a_bare_text_is_the_value(client: Client, name: str, blank: str | None) -> None:
    path = new_user(client, name, title="Pilot", emails=[HOME])
    read = client.change(path, op("replace", MANAGER, "boss"), op("replace", "title", blank)).json()
    assert read[ENTERPRISE] == {"manager": {"value": "boss"}}
    assert "title" not in read
    read = client.change(path, op("replace", MANAGER, blank), op("replace", "emails", blank)).json()
    assert read.keys() == {"schemas", "id", "userName", "meta"}


@pytest.mark.parametrize(("text", "value"), [("True", True), ("true", True), ("TRUE", True), ("False", False)])
def test_decision_4_booleans_in_text_everywhere(client: Client, name: str, text: str, value: bool) -> None:
    path = new_user(client, name, active=text, roles=[{"value": "Pilot", "primary": text}])
    id = path.removeprefix("/Users/")
    read = client.get(path).json()
    assert read["active"] is value
    assert read["roles"][0]["primary"] is value
    assert client.found("/Users", f'id eq "{id}" and active eq "{text}"') == {id}
    assert client.found("/Users", f'id eq "{id}" and roles[primary eq "{text}"]') == {id}
    assert client.found("/Users", f'id eq "{id}" and active ne "{text}"') == set()
    read = client.change(path, op("replace", "active", not value), op("replace", "active", text)).json()
    assert read["active"] is value
    document = {"schemas": [USER], "userName": name, "active": text}
    assert client.put(path, json=document).json()["active"] is value
    client.change(path, op("replace", "title", "True"))
    assert client.get(path).json()["title"] == "True"


def test_decision_5_member_changes_are_deltas(entra: Client, name: str) -> None:
    ids = [new_user(entra, f"{n}{name}").removeprefix("/Users/") for n in range(20)]
    group = f"/Groups/{entra.group(name, *ids[:10])['id']}"

    def swap(pair: tuple[str, str]) -> list[int]:
        leaving, joining = pair
        return [
            entra.change(group, op("Remove", "members", [{"value": leaving}])).status_code,
            entra.change(group, op("Add", "members", [{"value": joining}])).status_code,
            entra.change(group, op("Add", "members", [{"value": joining}])).status_code,
        ]

    with ThreadPoolExecutor(5) as pool:
        answers = [status for statuses in pool.map(swap, zip(ids[:10], ids[10:], strict=True)) for status in statuses]
    assert answers == [204] * 30
    assert {m["value"] for m in entra.get(group).json()["members"]} == set(ids[10:])


def test_decision_6_replace_of_one_member_adds_for_entra_and_replaces_for_others(
    client: Client, entra: Client, name: str
) -> None:
    first, second, third = (new_user(client, f"{n}{name}").removeprefix("/Users/") for n in "abc")
    group = f"/Groups/{client.group(name, first)['id']}"
    for body in (op("replace", "members", [{"value": second}]), op("replace", None, {"members": [{"value": second}]})):
        assert entra.change(group, body).status_code == 204
        assert {m["value"] for m in client.get(group).json()["members"]} == {first, second}
    assert entra.change(group, op("replace", "members", [{"value": v} for v in (second, third)])).status_code == 204
    assert {m["value"] for m in client.get(group).json()["members"]} == {second, third}
    assert client.change(group, op("replace", "members", [{"value": first}])).status_code == 204
    assert {m["value"] for m in client.get(group).json()["members"]} == {first}


def test_decision_7_names_are_unique_without_case_and_409_is_what_the_query_finds(client: Client, name: str) -> None:
    user, group = new_user(client, name), f"/Groups/{client.group(name)['id']}"
    upper = name.upper()
    refused(client.create("/Users", {"schemas": [USER], "userName": upper}), 409, "uniqueness")
    refused(client.create("/Groups", {"schemas": [GROUP], "displayName": upper}), 409, "uniqueness")
    assert client.found("/Users", f'userName eq "{upper}"') == {user.removeprefix("/Users/")}
    assert client.found("/Groups", f'displayName eq "{upper}"') == {group.removeprefix("/Groups/")}


def test_decision_8_a_dangling_manager_is_kept_as_an_object(client: Client, name: str) -> None:
    path = new_user(client, name, **{ENTERPRISE: {"manager": "no-such-user"}})
    assert client.get(path).json()[ENTERPRISE] == {"manager": {"value": "no-such-user"}}


def test_decision_9_values_are_kept_verbatim_and_nothing_is_empty(client: Client, name: str) -> None:
    path = new_user(
        client,
        name,
        title="  Harbour   PILOT ",
        displayName="",
        nickName=None,
        emails=[],
        phoneNumbers=[{"value": "+47 (5550) 11-22", "type": "WORK"}],
        name={"givenName": ""},
    )
    read = client.get(path).json()
    assert read["title"] == "  Harbour   PILOT "
    assert read["phoneNumbers"] == [{"value": "+47 (5550) 11-22", "type": "WORK"}]
    assert read.keys() == {"schemas", "id", "userName", "title", "phoneNumbers", "meta"}


def test_decision_10_two_live_bearer_tokens(service: Service, name: str) -> None:
    integration = service.control.create_integration(name, Access.FULL)
    for _ in range(2):
        token = service.control.add_bearer(integration.id, timedelta(days=365)).value
        with Client(service.settings.scim_url, token) as own:
            assert own.get("/Users", params={"count": "0"}).status_code == 200


@pytest.mark.parametrize("location", ["header", "body"])
def test_decision_10_client_credentials_in_header_and_body(service: Service, name: str, location: str) -> None:
    integration = service.control.create_integration(name, Access.FULL)
    secret = service.control.add_secret(integration.id).value
    form = {"grant_type": "client_credentials"}
    url = f"{service.settings.issuer}/oauth/token"
    if location == "header":
        granted = httpx.post(url, data=form, auth=(integration.id, secret))
    else:
        granted = httpx.post(url, data={**form, "client_id": integration.id, "client_secret": secret})
    assert granted.status_code == 200
    with Client(service.settings.scim_url, granted.json()["access_token"]) as own:
        user = new_user(own, name)
        assert own.delete(user).status_code == 204


def test_decision_10_neither_user_agent_nor_if_match_is_demanded(client: Client, name: str) -> None:
    path = new_user(client, name)
    request = client.build_request("DELETE", path)
    del request.headers["User-Agent"]
    assert client.send(request).status_code == 204


def test_decision_11_a_group_can_be_empty(client: Client, name: str) -> None:
    group = f"/Groups/{client.group(name)['id']}"
    assert client.get(group).json().get("members", []) == []
    member = new_user(client, name).removeprefix("/Users/")
    client.change(group, op("add", "members", [{"value": member}]))
    assert client.change(group, op("remove", f'members[value eq "{member}"]')).status_code == 204
    assert client.get(group).json().get("members", []) == []


def test_decision_12_an_id_outlives_every_rename_and_is_never_reused(client: Client, name: str) -> None:
    path = new_user(client, name, id="chosen-by-client")
    assert path != "/Users/chosen-by-client"
    for new in (f"renamed-{name}", f"again-{name}"):
        read = client.change(path, op("replace", None, {"userName": new, "id": "other"})).json()
        assert (read["userName"], f"/Users/{read['id']}") == (new, path)
        document = {"schemas": [USER], "userName": f"put-{new}", "id": "other"}
        assert f"/Users/{client.put(path, json=document).json()['id']}" == path
    client.delete(path)
    assert new_user(client, name) != path
