"""Entity tags and conditional requests (RFC 7644 section 3.14, RFC 9110 sections 8.8.3 and 13)."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from app.control import Access
from tests.api.expect import new_user, refused, unchanged
from tests.support.service import ENTERPRISE, GROUP, PATCH_OP, USER, Client, Service

STALE = 'W/"an-older-version"'
PAST = format_datetime(datetime.now(UTC) - timedelta(days=30), usegmt=True)
FUTURE = format_datetime(datetime.now(UTC) + timedelta(days=30), usegmt=True)
METHODS = ("GET", "HEAD", "PUT", "PATCH", "DELETE")
WRITES = METHODS[2:]


@pytest.fixture
def user(client: Client, name: str) -> str:
    """The path of a fresh user."""
    return new_user(client, name)


def tag_of(client: Client, path: str) -> str:
    return client.get(path).headers["ETag"]


def request(client: Client, method: str, path: str, **headers: str) -> httpx.Response:
    """A request that would succeed and, where it writes, change something, if the headers allow it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if method == "PUT":
        body: dict[str, Any] = {"schemas": [USER], "userName": f"put-{path[-36:]}", "title": "Pilot"}
        return client.put(path, json=body, headers=named)
    if method == "PATCH":
        operation = {"op": "add", "path": "title", "value": "Pilot"}
        return client.change(path, operation, **named)
    return client.request(method, path, headers=named)


def expect(client: Client, method: str, path: str, outcome: str, **headers: str) -> None:
    """Send the request; `outcome` is "done", "412" or "304" (for a read; 412 for a write)."""
    before = client.get(path)
    response = request(client, method, path, **headers)
    if outcome == "done":
        assert response.status_code == (204 if method == "DELETE" else 200), response.text
        assert client.get(path).status_code == (404 if method == "DELETE" else 200)
        return
    if outcome == "304" and method in ("GET", "HEAD"):
        assert response.status_code == 304
        assert response.content == b""
        assert response.headers["ETag"] == before.headers["ETag"]
    elif method == "HEAD":
        assert (response.status_code, response.content) == (412, b"")
    else:
        refused(response, 412)
    after = client.get(path)
    assert after.json() == before.json()
    assert after.headers["ETag"] == before.headers["ETag"]


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
def test_a_visible_change_changes_the_tag_once(client: Client, user: str, name: str, operation: dict[str, Any]) -> None:
    if isinstance(operation["value"], str):
        operation = {**operation, "value": operation["value"].format(name)}
    before = client.get(user)
    changed = client.change(user, operation)
    assert changed.headers["ETag"] != before.headers["ETag"]
    assert changed.json()["meta"]["lastModified"] > before.json()["meta"]["lastModified"]
    with unchanged(client, user):
        assert client.change(user, operation).headers["ETag"] == changed.headers["ETag"]
        document = client.get(user).json()
        assert client.put(user, json=document).headers["ETag"] == changed.headers["ETag"]


@pytest.mark.req("P-3.14-06")
def test_a_version_never_comes_back(client: Client, user: str) -> None:
    changes = [{"op": "replace", "path": "title", "value": value} for value in ("a", "b", "a", "b")]
    tags = {tag_of(client, user), *(client.change(user, change).headers["ETag"] for change in changes)}
    assert len(tags) == 5


@pytest.mark.req("P-3.14-06")
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


# --- dates ---


@pytest.mark.req("H-13.1.3-01", "H-13.1.2-02")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("date", "outcome"),
    [
        (FUTURE, "304"),
        (PAST, "done"),
        ("yesterday", "done"),
        ("2020-13-45", "done"),
        ("", "done"),
        ("Sun, 99 Nov 1994 08:49:37 GMT", "done"),
        ("Sun, 06 Nov 99999999 08:49:37 GMT", "done"),
    ],
)
def test_if_modified_since_is_for_reads(client: Client, user: str, method: str, date: str, outcome: str) -> None:
    expect(client, method, user, "done" if method in WRITES else outcome, If_Modified_Since=date)


@pytest.mark.req("H-13.1.4-01")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("date", "outcome"), [(PAST, "412"), (FUTURE, "done"), ("yesterday", "done"), ("", "done")])
def test_if_unmodified_since(client: Client, user: str, method: str, date: str, outcome: str) -> None:
    expect(client, method, user, outcome, If_Unmodified_Since=date)


@pytest.mark.req("H-13.1.3-01", "H-13.1.4-01")
def test_dates_count_whole_seconds(client: Client, user: str) -> None:
    modified = datetime.fromisoformat(client.get(user).json()["meta"]["lastModified"])
    date = format_datetime(modified.astimezone(UTC), usegmt=True)
    expect(client, "GET", user, "304", If_Modified_Since=date)
    expect(client, "GET", user, "done", If_Unmodified_Since=date)
    earlier = format_datetime(modified.astimezone(UTC) - timedelta(seconds=1), usegmt=True)
    expect(client, "GET", user, "done", If_Modified_Since=earlier)
    expect(client, "GET", user, "412", If_Unmodified_Since=earlier)


# --- several conditions: which one decides, and when they are looked at ---


@pytest.mark.req("H-13.2.2-01", "H-13.1.3-01", "H-13.1.4-01")
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.parametrize("if_match", ["current", "stale", None])
@pytest.mark.parametrize("if_unmodified_since", [PAST, FUTURE, None])
@pytest.mark.parametrize("if_none_match", ["current", "stale", None])
@pytest.mark.parametrize("if_modified_since", [PAST, FUTURE, None])
def test_the_order_of_evaluation(
    client: Client,
    user: str,
    method: str,
    if_match: str | None,
    if_unmodified_since: str | None,
    if_none_match: str | None,
    if_modified_since: str | None,
) -> None:
    tags = {"current": tag_of(client, user), "stale": STALE}
    given = {
        "If_Match": tags.get(if_match or ""),
        "If_Unmodified_Since": if_unmodified_since,
        "If_None_Match": tags.get(if_none_match or ""),
        "If_Modified_Since": if_modified_since,
    }
    outcome = _decided(method, if_match, if_unmodified_since, if_none_match, if_modified_since)
    expect(client, method, user, outcome, **{name: value for name, value in given.items() if value is not None})


def _decided(method: str, im: str | None, ius: str | None, inm: str | None, ims: str | None) -> str:
    """RFC 9110 section 13.2.2, step by step."""
    if im is not None:
        if im == "stale":
            return "412"
    elif ius == PAST:
        return "412"
    if inm is not None:
        return "304" if inm == "current" else "done"
    if method in ("GET", "HEAD") and ims == FUTURE:
        return "304"
    return "done"


@pytest.mark.req("H-13.2.1-01")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("header", [{"If-Match": STALE}, {"If-Match": "*"}, {"If-None-Match": "*"}])
def test_a_missing_resource_is_404_whatever_the_conditions(client: Client, method: str, header: dict[str, str]) -> None:
    path = "/Users/6b0c4a0e-0000-4000-8000-000000000000"
    response = request(client, method, path, **{k.replace("-", "_"): v for k, v in header.items()})
    assert response.status_code == 404


@pytest.mark.req("H-13.2.1-01")
@pytest.mark.parametrize("method", WRITES)
def test_permission_comes_before_conditions(client: Client, service: Service, user: str, method: str) -> None:
    with unchanged(client, user):
        refused(request(service.client(Access.READ_ONLY), method, user, If_Match=STALE), 403)
        assert service.anonymous.request(method, user, headers={"If-Match": STALE}).status_code == 401


@pytest.mark.req("H-13.2.1-01")
def test_the_body_comes_before_conditions(client: Client, user: str) -> None:
    headers = {"If-Match": STALE, "Content-Type": "application/scim+json"}
    with unchanged(client, user):
        refused(client.put(user, content=b"{", headers=headers), 400, "invalidSyntax")
        refused(client.patch(user, json={"schemas": [USER]}, headers={"If-Match": STALE}), 400, "invalidSyntax")
        refused(client.put(user, content=b"{}", headers={**headers, "Content-Type": "text/plain"}), 415)


@pytest.mark.req("P-3.14-04")
def test_a_write_without_conditions_needs_no_tag(client: Client, user: str) -> None:
    for method in WRITES:
        expect(client, method, user, "done")


# --- check and write are one step ---


@pytest.mark.req("H-13-01")
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_of_writes_at_once_with_one_tag_one_succeeds(client: Client, user: str, method: str) -> None:
    for round in range(5):
        tag = tag_of(client, user)

        def write(number: int, tag: str = tag, round: int = round) -> int:
            title = f"{round}-{number}"
            if method == "PUT":
                body = {"schemas": [USER], "userName": f"at-once-{user[-36:]}", "title": title}
                return client.put(user, json=body, headers={"If-Match": tag}).status_code
            return client.change(user, {"op": "add", "path": "title", "value": title}, **{"If-Match": tag}).status_code

        with ThreadPoolExecutor(6) as pool:
            assert sorted(pool.map(write, range(6))) == [200, *[412] * 5]


@pytest.mark.req("H-13-01")
def test_of_member_changes_at_once_with_one_tag_one_succeeds(client: Client, name: str) -> None:
    members = [client.user(f"m{n}-{name}")["id"] for n in range(6)]
    path = f"/Groups/{client.group(name)['id']}"
    tag = tag_of(client, path)

    def add(member: str) -> int:
        operation = {"op": "add", "path": "members", "value": [{"value": member}]}
        return client.change(path, operation, **{"If-Match": tag}).status_code

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(add, members)) == [204, *[412] * 5]
    assert len(client.get(path).json()["members"]) == 1


@pytest.mark.req("H-13-01")
def test_a_delete_at_once_with_a_write_of_the_same_tag(client: Client, name: str) -> None:
    for round in range(5):
        path = new_user(client, f"{round}{name}")
        tag = tag_of(client, path)
        with ThreadPoolExecutor(2) as pool:
            deleted = pool.submit(client.delete, path, headers={"If-Match": tag})
            changed = pool.submit(request, client, "PATCH", path, If_Match=tag)
            outcomes = (deleted.result().status_code, changed.result().status_code)
        assert outcomes in ((204, 404), (204, 412), (412, 200))
        assert client.get(path).status_code == (404 if outcomes[0] == 204 else 200)


# --- the version of the protocol ---


@pytest.mark.req("P-3.13-01", "P-3.12-21")
@pytest.mark.parametrize("version", ["v1", "v3", "v0", "v10", "v02", "v999999999"])
@pytest.mark.parametrize("path", ["/Users", "/Groups/x", "", "/ServiceProviderConfig"])
def test_another_version_is_refused(client: Client, version: str, path: str) -> None:
    base = client.base.removesuffix("v2")
    assert client.get(f"{base}v2/Users").status_code == 200
    refused(client.get(f"{base}{version}{path}"), 400, "invalidVers")


@pytest.mark.req("P-3.13-01")
def test_a_write_in_another_version_changes_nothing(client: Client, user: str, name: str) -> None:
    other = client.base.removesuffix("v2") + "v1"
    with unchanged(client, user):
        refused(client.delete(f"{other}{user}"), 400, "invalidVers")
        refused(client.create(f"{other}/Users", {"schemas": [USER], "userName": f"z{name}"}), 400, "invalidVers")
    assert client.found("/Users", f'userName eq "z{name}"') == set()


@pytest.mark.req("P-3.13-01")
@pytest.mark.parametrize("segment", ["vv2", "v2.0", "V2", "v-2", "version2", "v"])
def test_what_is_no_version_is_an_unknown_endpoint(client: Client, segment: str) -> None:
    refused(client.get(f"{client.base.removesuffix('v2')}{segment}/Users"), 404)
