"""Requests as Microsoft Entra ID puts them on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from tests.support.service import ENTERPRISE, PATCH_OP, SCIM_JSON, USER, Client

MEDIA_TYPE = "application/scim+json; charset=utf-8"
AD_GROUP = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"
MANAGER = f"{ENTERPRISE}:manager"


def asked(client: Client, endpoint: str, filter: str, **parameters: str) -> httpx.Response:
    """A query as .NET puts it on the wire: space as +, without Content-Type and User-Agent."""
    value = str(httpx.QueryParams({"filter": filter})).removeprefix("filter=")
    more = "".join(f"{name}={text}&" for name, text in parameters.items())
    request = client.build_request("GET", f"{client.base}{endpoint}?{more}filter={value}")
    del request.headers["User-Agent"]
    assert "Content-Type" not in request.headers
    return client.send(request)


def only(response: httpx.Response) -> dict[str, Any]:
    """The one resource of a list response."""
    assert response.status_code == 200, response.text
    body = response.json()
    assert body["totalResults"] == body["itemsPerPage"] == len(body["Resources"]) == 1, body
    found: dict[str, Any] = body["Resources"][0]
    return found


def found(client: Client, endpoint: str, filter: str) -> str:
    """The path of the one resource that a filter finds."""
    return f"{endpoint}/{only(asked(client, endpoint, filter))['id']}"


def post(client: Client, endpoint: str, document: Mapping[str, Any]) -> httpx.Response:
    return client.post(endpoint, json=document, headers={"Content-Type": MEDIA_TYPE})


def created(client: Client, endpoint: str, document: Mapping[str, Any]) -> str:
    """The path of the new resource."""
    response = post(client, endpoint, document)
    assert response.status_code == 201, response.text
    assert response.headers["Content-Type"] == SCIM_JSON
    id = response.json()["id"]
    assert isinstance(id, str)
    assert id
    return f"{endpoint}/{id}"


def user(client: Client, user_name: str, /, **attributes: Any) -> str:
    return created(client, "/Users", {"schemas": [USER], "userName": user_name, **attributes})


def patched(client: Client, path: str, *operations: Mapping[str, Any]) -> dict[str, Any]:
    """Send a PATCH as Entra does; the resource as it is read back."""
    body = {"schemas": [PATCH_OP], "Operations": list(operations)}
    response = client.patch(path, json=body, headers={"Content-Type": MEDIA_TYPE})
    assert response.status_code in (200, 204), response.text
    read: dict[str, Any] = client.get(path).json()
    if response.status_code == 200:
        assert response.json() == read
    return read


def op(name: str, path: str | None = None, value: Any = ...) -> dict[str, Any]:
    made: dict[str, Any] = {"op": name}
    if path is not None:
        made["path"] = path
    if value is not ...:
        made["value"] = value
    return made


def mapped(user_name: str, manager: str | None = None) -> dict[str, Any]:
    """A user with every attribute of the default mapping."""
    enterprise: dict[str, Any] = {"employeeNumber": "70113", "department": "Pilotage"}
    if manager:
        enterprise["manager"] = manager
    return {
        "schemas": [USER, ENTERPRISE],
        "externalId": f"nick-{user_name}",
        "userName": user_name,
        "active": True,
        "displayName": "Mira  Solberg ",
        "title": "Harbour Pilot",
        "preferredLanguage": "nb-NO",
        "emails": [{"primary": True, "type": "work", "value": "Mira.Solberg@Tern.example"}],
        "meta": {"resourceType": "User"},
        "name": {"formatted": "Mira Solberg", "familyName": "Solberg", "givenName": "Mira"},
        "addresses": [
            {
                "type": "work",
                "formatted": "18/2111",
                "streetAddress": "Bryggen 1\nHus B",
                "locality": "Bergen",
                "region": "Vestland",
                "postalCode": "5003",
                "country": "Norway",
            }
        ],
        "phoneNumbers": [
            {"primary": True, "type": "work", "value": "+47 5550 1122"},
            {"type": "mobile", "value": "4790011223"},
            {"type": "fax", "value": "(0047) 5550-1199"},
        ],
        "roles": [],
        ENTERPRISE: enterprise,
    }


def members(client: Client, group: str) -> set[str]:
    return {m["value"] for m in client.get(group).json().get("members", ())}
