"""Media types, UTF-8, projection and attribute notation (RFC 7644 sections 3.8 to 3.10)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.scim.query import Page, Query, Resource, ResourceId, Slot
from app.scim.registry import Registry
from backends.errors import Unavailable
from config.settings import LimitsSettings
from tests.api.expect import new_user, refused, unchanged
from tests.api.schemas import TRAITS
from tests.support.reference import ReferenceBackend
from tests.support.service import ENTERPRISE, GROUP, PATCH_OP, SCIM_JSON, SEARCH_REQUEST, USER, Client, Service, running

NAMES = ["Zoë Ångström", "山田 太郎", "محمد", "Ж", "\U0001f6a2", "e\u0301", "\u2028", "'\"\\/\b\f\n\t"]


# --- JSON in UTF-8 ---


@pytest.mark.req("P-3.8-01")
@pytest.mark.parametrize("text", NAMES)
@pytest.mark.parametrize("escaped", [True, False])
@pytest.mark.parametrize("media_type", [SCIM_JSON, f"{SCIM_JSON}; charset=utf-8", f'{SCIM_JSON};charset="UTF-8"'])
def test_text_of_any_script_comes_back_as_it_was_sent(
    client: Client, name: str, text: str, escaped: bool, media_type: str
) -> None:
    document = {"schemas": [USER], "userName": name, "displayName": text}
    body = json.dumps(document, ensure_ascii=escaped).encode("utf-8")
    created = client.post("/Users", content=body, headers={"Content-Type": media_type})
    assert created.status_code == 201, created.text
    read = client.get(f"/Users/{created.json()['id']}")
    assert json.loads(read.content.decode("utf-8"))["displayName"] == text


@pytest.mark.req("P-3.8-01")
@pytest.mark.parametrize("octets", [b"\xff", b"\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"Zo\xeb"])
def test_a_body_that_is_not_utf_8_is_invalid_syntax(client: Client, name: str, octets: bytes) -> None:
    path = new_user(client, name)
    headers = {"Content-Type": SCIM_JSON}
    document = b'{"schemas":["%s"],"userName":"x%s","displayName":"%s"}'
    with unchanged(client, path):
        body = document % (USER.encode(), name.encode(), octets)
        refused(client.post("/Users", content=body, headers=headers), 400, "invalidSyntax")
        refused(client.put(path, content=body, headers=headers), 400, "invalidSyntax")
    assert client.found("/Users", f'userName eq "x{name}"') == set()


@pytest.mark.req("P-3.8-01")
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_another_encoding_is_invalid_syntax_whatever_the_header_says(client: Client, name: str, encoding: str) -> None:
    body = json.dumps({"schemas": [USER], "userName": name}).encode(encoding)
    for media_type in (SCIM_JSON, f"{SCIM_JSON}; charset={encoding}"):
        refused(client.post("/Users", content=body, headers={"Content-Type": media_type}), 400, "invalidSyntax")


# --- media types ---


@pytest.mark.req("P-3.8-02", "P-3.8-03", "P-3.8-04")
@pytest.mark.parametrize(
    "accept",
    [
        None,
        "application/scim+json",
        "application/json",
        "*/*",
        "application/*",
        "application/scim+json;q=0.1, text/html",
        "APPLICATION/SCIM+JSON; charset=utf-8",
        "text/html",
        "",
        "no media type",
    ],
)
def test_the_answer_is_scim_json_whatever_is_accepted(client: Client, name: str, accept: str | None) -> None:
    """Nothing else can be given; a client that accepts only text/html gets it too rather than a 406."""
    path = new_user(client, name)
    request = client.build_request("GET", path)
    del request.headers["Accept"]
    if accept is not None:
        request.headers["Accept"] = accept
    response = client.send(request)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == SCIM_JSON
    assert response.json()["userName"] == name


@pytest.mark.req("P-3.8-05")
@pytest.mark.parametrize(
    "media_type",
    [
        "application/scim+json",
        "application/json",
        "application/scim+json; charset=utf-8",
        "application/json;charset=UTF-8",
        "application/scim+json; profile=x; charset=utf-8",
        "Application/SCIM+JSON",
        "application/json; odata.metadata=minimal",
    ],
)
def test_media_types_of_request_bodies(client: Client, name: str, media_type: str) -> None:
    headers = {"Content-Type": media_type}
    document = {"schemas": [USER], "userName": name}
    created = client.post("/Users", content=json.dumps(document), headers=headers)
    assert created.status_code == 201
    path = f"/Users/{created.json()['id']}"
    patch = {"schemas": [PATCH_OP], "Operations": [{"op": "add", "path": "title", "value": "Pilot"}]}
    assert client.patch(path, content=json.dumps(patch), headers=headers).json()["title"] == "Pilot"
    assert "title" not in client.put(path, content=json.dumps(document), headers=headers).json()
    search = {"schemas": [SEARCH_REQUEST], "filter": f'userName eq "{name}"'}
    assert client.post("/.search", content=json.dumps(search), headers=headers).json()["totalResults"] == 1


@pytest.mark.req("P-3.8-06")
def test_a_suffix_is_part_of_the_id(client: Client, name: str) -> None:
    refused(client.get(f"{new_user(client, name)}.scim"), 404)


@pytest.mark.req("P-3.8-07")
def test_every_success_with_a_body_is_scim_json(client: Client, name: str) -> None:
    path = new_user(client, name)
    search = {"schemas": [SEARCH_REQUEST]}
    responses = [
        client.create("/Users", {"schemas": [USER], "userName": f"x{name}"}),
        client.get(path),
        client.put(path, json={"schemas": [USER], "userName": name}),
        client.change(path, {"op": "add", "path": "title", "value": "Pilot"}),
        client.get("/Users"),
        client.get("/"),
        client.post("/.search", json=search),
        client.post("/Users/.search", json=search),
        *(client.get(f"/{p}") for p in ("ServiceProviderConfig", "Schemas", "ResourceTypes", "ResourceTypes/User")),
    ]
    for response in responses:
        assert response.status_code in (200, 201)
        assert response.headers["Content-Type"] == SCIM_JSON
        assert isinstance(response.json()["schemas"], list)


class _FailingStore(ReferenceBackend):
    """A store that fails in the way that `failure` says."""

    failure: Exception = RuntimeError("SELECT * FROM secrets at 10.1.2.3")

    def get(self, kind: str, id: ResourceId, want: frozenset[Slot]) -> Resource:
        raise self.failure

    def search(self, kind: str, query: Query) -> Page:
        raise self.failure


@pytest.fixture
def failing(registry: Registry, tmp_path: Path) -> Iterator[tuple[_FailingStore, Service]]:
    store = _FailingStore(registry)
    with running(store, registry, tmp_path, LimitsSettings(max_body_bytes=1000)) as service:
        yield store, service


@pytest.mark.req("P-3.8-07", "P-3.12-01", "P-3.12-04")
def test_every_error_is_scim_json(failing: tuple[_FailingStore, Service]) -> None:
    store, service = failing
    client = service.client()
    refused(service.anonymous.get("/Users"), 401)
    refused(client.get("/Nope"), 404)
    refused(client.put("/Users"), 405)
    refused(client.create("/Users", {"schemas": [USER], "userName": "x" * 1000}), 413)
    refused(client.post("/Users", content=b"x", headers={"Content-Type": "text/plain"}), 415)
    refused(client.post("/Bulk", json={}), 501)
    detail = refused(client.get("/Users/x"), 500)
    assert re.fullmatch("an unexpected error; the log tells more of incident [0-9a-f]{12}", detail)
    store.failure = Unavailable(retry_after=7)
    response = client.get("/Users")
    refused(response, 503)
    assert response.headers["Retry-After"] == "7"


# --- projection ---


def named(client: Client, path: str, **parameters: str) -> dict[str, Any]:
    response = client.get(path, params=parameters)
    assert response.status_code == 200, response.text
    document: dict[str, Any] = response.json()
    return document


@pytest.mark.req("P-3.9-01")
def test_the_minimum_is_in_every_representation(client: Client, name: str) -> None:
    document = {
        "schemas": [USER, TRAITS],
        "userName": name,
        "title": "Pilot",
        TRAITS: {"realm": "north", "plain": "p", "clearance": "high"},
    }
    id = client.create("/Users", document).json()["id"]
    minimum = {"schemas": [USER, TRAITS], "id": id, TRAITS: {"realm": "north"}}
    patch = {"schemas": [PATCH_OP], "Operations": [{"op": "add", "path": "nickName", "value": "Mi"}]}
    for parameters in ({"attributes": "nothing"}, {"attributes": "id"}):
        answers = [
            client.get(f"/Users/{id}", params=parameters).json(),
            client.get("/Users", params={"filter": f'id eq "{id}"', **parameters}).json()["Resources"][0],
            client.patch(f"/Users/{id}", json=patch, params=parameters).json(),
            client.put(f"/Users/{id}", json=document, params=parameters).json(),
        ]
        assert answers == [minimum] * len(answers)
    excluded = named(client, f"/Users/{id}", excludedAttributes=f"id,schemas,{TRAITS}:realm,{TRAITS}:plain,title,meta")
    assert excluded == {**minimum, "userName": name}


@pytest.mark.req("P-3.9-01")
def test_by_default_everything_with_a_value_but_what_is_on_request(client: Client, name: str) -> None:
    document = {
        "schemas": [USER, ENTERPRISE, TRAITS],
        "userName": name,
        "title": "Pilot",
        "password": "correct horse",
        ENTERPRISE: {"department": "Pilotage"},
        TRAITS: {"clearance": "high", "plain": "p"},
    }
    id = client.create("/Users", document).json()["id"]
    read = named(client, f"/Users/{id}")
    assert read.keys() == {"schemas", "id", "userName", "title", "meta", ENTERPRISE, TRAITS}
    assert read[TRAITS] == {"plain": "p"}
    assert named(client, f"/Users/{id}", attributes=f"{TRAITS}:clearance")[TRAITS] == {"clearance": "high"}
    for parameters in ({"attributes": "password"}, {"attributes": "password,title"}, {"excludedAttributes": "title"}):
        assert "password" not in named(client, f"/Users/{id}", **parameters)


@pytest.mark.req("P-3.9-02")
def test_attributes_and_excluded_attributes_exclude_each_other(client: Client, name: str) -> None:
    path = new_user(client, name)
    both = {"attributes": "userName", "excludedAttributes": "title"}
    document = {"schemas": [USER], "userName": f"x{name}"}
    search = {"schemas": [SEARCH_REQUEST], "attributes": ["userName"], "excludedAttributes": ["title"]}
    with unchanged(client, path):
        for response in (
            client.get(path, params=both),
            client.get("/Users", params=both),
            client.get("/", params=both),
            client.put(path, json=document, params=both),
            client.post("/Users", json=document, params=both),
            client.post("/Users/.search", json=search),
            client.post("/.search", json=search),
        ):
            refused(response, 400, "invalidValue")
    assert client.found("/Users", f'userName eq "x{name}"') == set()


# --- notation ---

_NOTATIONS = [
    "title",
    "TITLE",
    "urn:ietf:params:scim:schemas:core:2.0:User:title",
    "URN:IETF:PARAMS:SCIM:SCHEMAS:CORE:2.0:USER:TITLE",
    "name.familyName",
    "Name.FAMILYname",
    "urn:ietf:params:scim:schemas:core:2.0:User:name.familyName",
    "emails.value",
    "urn:ietf:params:scim:schemas:core:2.0:user:EMAILS.VALUE",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
    "URN:IETF:PARAMS:SCIM:SCHEMAS:EXTENSION:ENTERPRISE:2.0:USER:DEPARTMENT",
]


@pytest.mark.req("P-3.10-01")
@pytest.mark.parametrize("notation", _NOTATIONS)
def test_full_notation_wherever_a_path_stands(client: Client, name: str, notation: str) -> None:
    value = f"v-{name}"
    document = {
        "schemas": [USER, ENTERPRISE],
        "userName": name,
        "title": value,
        "name": {"familyName": value},
        "emails": [{"value": value}],
        ENTERPRISE: {"department": value},
    }
    id = client.create("/Users", document).json()["id"]
    key = next(k for k in ("title", "name", "emails", ENTERPRISE) if k.lower() in notation.lower())
    assert client.found("/Users", f'{notation} eq "{value}"') == {id}
    assert client.found("/Users", f'id eq "{id}" and {notation} pr') == {id}
    assert named(client, f"/Users/{id}", attributes=notation).keys() == {"schemas", "id", key}
    assert key not in named(client, f"/Users/{id}", excludedAttributes=notation)
    listed = client.get("/Users", params={"filter": f'id eq "{id}"', "sortBy": notation})
    assert listed.json()["totalResults"] == 1
    patched = client.change(f"/Users/{id}", {"op": "replace", "path": notation, "value": "new"})
    assert patched.status_code == 200, patched.text
    assert client.found("/Users", f'id eq "{id}" and {notation} eq "new"') == {id}


@pytest.mark.req("P-3.10-01")
def test_full_notation_on_groups(client: Client, name: str) -> None:
    member = client.user(name)["id"]
    group = client.group(name, member)["id"]
    for notation in ("members", "MEMBERS", f"{GROUP}:members", f"{GROUP}:members.value"):
        assert client.found("/Groups", f'{notation} eq "{member}"') == {group}
        shown = named(client, f"/Groups/{group}", attributes=notation)
        assert [m["value"] for m in shown["members"]] == [member]
        assert "members" not in named(client, f"/Groups/{group}", excludedAttributes=notation.removesuffix(".value"))


@pytest.mark.req("P-3.10-01")
@pytest.mark.parametrize("notation", [f"{USER}:department", "urn:x:title", f"{ENTERPRISE}.department", f"{USER}:"])
def test_a_name_under_the_wrong_uri_is_no_attribute(client: Client, name: str, notation: str) -> None:
    path = new_user(client, name, title="x")
    response = client.search("/Users", f'{notation} eq "x"')
    assert response.status_code == 400 or response.json()["totalResults"] == 0
    refused(client.change(path, {"op": "replace", "path": notation, "value": "x"}), 400, "invalidPath")


@pytest.mark.req("P-3.10-02")
def test_an_unqualified_extension_attribute_is_found_where_it_is_unambiguous(client: Client, name: str) -> None:
    id = client.user(name, **{ENTERPRISE: {"department": f"d-{name}"}})["id"]
    assert client.found("/Users", f'department eq "d-{name}"') == {id}
