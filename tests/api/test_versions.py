"""Entity tags, If-Match and If-None-Match (RFC 7644 section 3.14, RFC 9110 sections 8.8.3 and 13.1)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.api.conditional import METHODS, STALE, expect, request, tag_of
from tests.api.expect import new_user, refused, unchanged
from tests.support.directories import DIRECTORY_SERVERS
from tests.support.service import ENTERPRISE, GROUP, PATCH_OP, USER, Client


@pytest.fixture
def user(client: Client, name: str) -> str:
    """The path of a fresh user."""
    return new_user(client, name)


# --- the tags ---


@pytest.mark.req("P-3.14-01", "P-3.14-02", "H-8.8.3-01")
def test_every_answer_with_one_resource_has_its_tag(client: Client, name: str) -> None:
    assert client.get("/ServiceProviderConfig").json()["etag"] == {"supported": True}
    created = client.create("/Users", {"schemas": [USER], "userName": name})
    path = f"/Users/{created.json()['id']}"
    answers = [created, *(request(client, method, path) for method in ("GET", "PUT", "PATCH", "GET"))]
    for answer in answers:
        assert re.fullmatch(r'W/"[\x21\x23-\x7e]+"', answer.headers["ETag"]), answer.headers["ETag"]
        assert answer.headers["ETag"] == answer.json()["meta"]["version"]
    assert client.head(path).headers["ETag"] == answers[-1].headers["ETag"]


@pytest.mark.req("P-3.14-02")
def test_a_204_has_the_tag_too(client: Client, name: str) -> None:
    path = f"/Groups/{client.group(name)['id']}"
    before = tag_of(client, path)
    answer = client.change(path, {"op": "replace", "path": "externalId", "value": "x"})
    assert answer.status_code == 204
    assert answer.headers["ETag"] == tag_of(client, path) != before


@pytest.mark.req("P-3.14-02")
def test_resources_in_a_list_have_meta_version(client: Client, user: str) -> None:
    found = client.search("/Users", f'id eq "{user.removeprefix("/Users/")}"').json()["Resources"]
    assert [resource["meta"]["version"] for resource in found] == [tag_of(client, user)]


@pytest.mark.req("P-3.14-06")
@pytest.mark.parametrize(
    "operation",
    [
        {"op": "add", "path": "title", "value": "Pilot"},
        {"op": "replace", "path": "active", "value": False},
        {"op": "add", "path": "emails", "value": [{"value": "x@tern.example"}]},
        {"op": "add", "path": f"{ENTERPRISE}:department", "value": "Pilotage"},
        {"op": "replace", "path": "userName", "value": "renamed-{}"},
    ],
)
@pytest.mark.every_store
def test_a_visible_change_changes_the_tag_once(
    client: Client, user: str, name: str, operation: dict[str, Any], store_name: str
) -> None:
    """The time of the change moves as well, if it is not in whole seconds."""
    if isinstance(operation["value"], str):
        operation = {**operation, "value": operation["value"].format(name)}
    before = client.get(user)
    changed = client.change(user, operation)
    assert changed.headers["ETag"] != before.headers["ETag"]
    earlier, later = (answer.json()["meta"]["lastModified"] for answer in (before, changed))
    assert earlier <= later if store_name in DIRECTORY_SERVERS else earlier < later
    with unchanged(client, user):
        assert client.change(user, operation).headers["ETag"] == changed.headers["ETag"]
        document = client.get(user).json()
        assert client.put(user, json=document).headers["ETag"] == changed.headers["ETag"]


@pytest.mark.req("P-3.14-06")
@pytest.mark.every_store
def test_a_version_never_comes_back(client: Client, user: str) -> None:
    changes = [{"op": "replace", "path": "title", "value": value} for value in ("a", "b", "a", "b")]
    tags = {tag_of(client, user), *(client.change(user, change).headers["ETag"] for change in changes)}
    assert len(tags) == 5


@pytest.mark.req("P-3.14-06")
@pytest.mark.every_store
def test_membership_changes_the_version_of_the_group_only(client: Client, name: str, user: str) -> None:
    """`groups` of a user is the view of another resource's attribute: neither joining a group nor its new name is a
    change of the user, so that a client's If-Match on a user does not fail over groups."""
    group = f"/Groups/{client.group(name)['id']}"
    mine = client.get(user).json()["meta"]
    before = tag_of(client, group)
    client.change(group, {"op": "add", "path": "members", "value": [{"value": user.removeprefix("/Users/")}]})
    assert tag_of(client, group) != before
    assert client.get(user).json()["groups"][0]["value"] == group.removeprefix("/Groups/")
    client.change(group, {"op": "replace", "path": "displayName", "value": f"N {name}"})
    assert client.get(user).json()["groups"][0]["display"] == f"N {name}"
    assert client.get(user).json()["meta"] == mine


# --- If-Match ---

_IF_MATCH: list[tuple[str, Callable[[str], str], str]] = [
    ("the weak tag of the service", lambda tag: tag, "done"),
    ("its strong spelling", lambda tag: tag.removeprefix("W/"), "done"),
    ("any version", lambda _: "*", "done"),
    ("a list that holds it", lambda tag: f'{STALE}, "b" ,{tag}', "done"),
    ("a list that holds it first", lambda tag: f'{tag},"b"', "done"),
    ("a list with empty elements", lambda tag: f', "b",, {tag} ,', "done"),
    ("an older tag", lambda _: STALE, "412"),
    ("an older strong tag", lambda _: STALE.removeprefix("W/"), "412"),
    ("a list without it", lambda _: f'{STALE}, "b"', "412"),
    ("a prefix in lower case is none", lambda tag: tag.replace("W/", "w/"), "412"),
    ("without quotes", lambda tag: tag.removeprefix("W/").strip('"'), "412"),
    ("a star in quotes is a tag", lambda _: '"*"', "412"),
    ("a weak star in quotes", lambda _: 'W/"*"', "412"),
    ("more than the tag", lambda tag: f'{tag[:-1]}x"', "412"),
    ("less than the tag", lambda _: 'W/""', "412"),
    ("nothing", lambda _: "", "412"),
]


@pytest.mark.req(
    "P-3.14-04", "P-3.14-05", "H-8.8.3.2-01", "H-13.1.1-01", "H-13.1.1-02", "P-3.12-10", "H-8.8.3-01", "H-15.4.5-01"
)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("make", "outcome"), [row[1:] for row in _IF_MATCH], ids=[row[0] for row in _IF_MATCH])
def test_if_match(client: Client, user: str, method: str, make: Callable[[str], str], outcome: str) -> None:
    """Weakly compared: the tags of this service are weak, and SCIM clients send back what they were given."""
    expect(client, method, user, outcome, If_Match=make(tag_of(client, user)))


@pytest.mark.req("H-13.1.1-01")
@pytest.mark.parametrize("method", METHODS)
def test_if_match_in_two_header_lines_is_one_list(client: Client, user: str, method: str) -> None:
    tag = tag_of(client, user)
    body = {"schemas": [PATCH_OP], "Operations": []} if method == "PATCH" else {"schemas": [USER], "userName": "two"}
    response = client.request(
        method,
        user,
        json=body if method in ("PUT", "PATCH") else None,
        headers=[("If-Match", STALE), ("If-Match", tag)],
    )
    assert response.status_code in (200, 204)


# --- If-None-Match ---

_IF_NONE_MATCH: list[tuple[str, Callable[[str], str], str]] = [
    ("the weak tag of the service", lambda tag: tag, "304"),
    ("its strong spelling", lambda tag: tag.removeprefix("W/"), "304"),
    ("any version", lambda _: "*", "304"),
    ("a list that holds it", lambda tag: f'"b", {tag}', "304"),
    ("a list with empty elements", lambda tag: f', "b",, {tag} ,', "304"),
    ("an older tag", lambda _: STALE, "done"),
    ("a list without it", lambda _: f'{STALE}, "b"', "done"),
    ("a prefix in lower case is none", lambda tag: tag.replace("W/", "w/"), "done"),
    ("without quotes", lambda tag: tag.removeprefix("W/").strip('"'), "done"),
    ("a star in quotes is a tag", lambda _: '"*"', "done"),
    ("nothing", lambda _: "", "done"),
]


@pytest.mark.req("P-3.14-03", "H-13.1.2-01", "H-13.1.2-02", "H-15.4.5-01", "H-15.3.5-01", "H-8.8.3.2-01")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("make", "outcome"), [row[1:] for row in _IF_NONE_MATCH], ids=[row[0] for row in _IF_NONE_MATCH]
)
def test_if_none_match(client: Client, user: str, method: str, make: Callable[[str], str], outcome: str) -> None:
    expect(client, method, user, outcome, If_None_Match=make(tag_of(client, user)))


@pytest.mark.req("P-3.14-03")
@pytest.mark.parametrize("parameters", [{"attributes": "userName"}, {"excludedAttributes": "emails"}])
def test_a_projected_read_is_304_too(client: Client, user: str, parameters: dict[str, str]) -> None:
    response = client.get(user, params=parameters, headers={"If-None-Match": tag_of(client, user)})
    assert response.status_code == 304
    assert response.content == b""


@pytest.mark.req("H-15.4.5-01", "H-15.3.5-01")
def test_a_304_repeats_the_headers_of_the_200(client: Client, user: str) -> None:
    full = client.get(user)
    short = client.get(user, headers={"If-None-Match": full.headers["ETag"]})
    assert short.status_code == 304
    for header in ("ETag", "Cache-Control", "Vary", "Expires", "Content-Location"):
        assert short.headers.get(header) == full.headers.get(header)
    assert "Date" in short.headers
    assert "Content-Type" not in short.headers
    assert short.headers.get("Content-Length", "0") == "0"


@pytest.mark.req("P-3.14-03", "P-3.14-04")
def test_groups_are_conditional_too(client: Client, name: str) -> None:
    path = f"/Groups/{client.group(name)['id']}"
    tag = tag_of(client, path)
    rename = {"op": "replace", "path": "displayName", "value": f"N {name}"}
    assert client.get(path, headers={"If-None-Match": tag}).status_code == 304
    assert client.change(path, rename, **{"If-Match": tag}).status_code == 204
    with unchanged(client, path):
        document = {"schemas": [GROUP], "displayName": name}
        refused(client.change(path, rename, **{"If-Match": tag}), 412)
        refused(client.put(path, json=document, headers={"If-Match": tag}), 412)
        refused(client.delete(path, headers={"If-Match": tag}), 412)
        member = {"op": "add", "path": "members", "value": [{"value": "nobody"}]}
        refused(client.change(path, member, **{"If-Match": tag}), 412)
