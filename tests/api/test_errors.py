"""Error responses (RFC 7644 section 3.12): the body, and a request for each keyword."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.api.errors import TABLE
from app.scim import errors as core
from app.scim.query import Page, Query, Stamp
from app.scim.registry import Registry
from backends import errors as store
from tests.api.expect import new_user, refused, unchanged
from tests.api.schemas import TRAITS
from tests.support.reference import ReferenceBackend
from tests.support.service import GROUP, PATCH_OP, SCIM_JSON, SEARCH_REQUEST, USER, Client, Service, running

Make = Callable[[Client, str, str], httpx.Response]


def _patch(operation: dict[str, Any]) -> Make:
    return lambda client, path, _: client.change(path, operation)


def _filter(text: str) -> Make:
    return lambda client, _, __: client.search("/Users", text)


def _posted_filter(text: str) -> Make:
    body = {"schemas": [SEARCH_REQUEST], "filter": text}
    return lambda client, _, __: client.post("/Users/.search", json=body)


def _create(document: Any) -> Make:
    return lambda client, _, __: client.post("/Users", json=document, headers={"Content-Type": SCIM_JSON})


def _put(**attributes: Any) -> Make:
    return lambda client, path, name: client.put(path, json={"schemas": [USER], "userName": name, **attributes})


def _content(method: str, content: bytes) -> Make:
    headers = {"Content-Type": SCIM_JSON}
    return lambda client, path, _: client.request(
        method, path if method in ("PUT", "PATCH") else "/Users", content=content, headers=headers
    )


_ROWS: list[tuple[str, int, str | None, Make]] = [
    ("filter", 400, "invalidFilter", _filter("title eq")),
    ("posted filter", 400, "invalidFilter", _posted_filter('active gt "x"')),
    ("filter in a path", 400, "invalidFilter", _patch({"op": "remove", "path": "emails[type eq]"})),
    ("body that is no JSON, POST", 400, "invalidSyntax", _content("POST", b"{")),
    ("body that is no JSON, PUT", 400, "invalidSyntax", _content("PUT", b"")),
    ("body that is no JSON, PATCH", 400, "invalidSyntax", _content("PATCH", b"nothing")),
    ("body that is an array", 400, "invalidSyntax", _create([{"schemas": [USER], "userName": "x"}])),
    ("message without schemas", 400, "invalidSyntax", lambda c, _, __: c.post("/.search", json={"filter": "title pr"})),
    ("resource without schemas", 400, "invalidSyntax", _create({"userName": "x"})),
    ("path", 400, "invalidPath", _patch({"op": "replace", "path": "emails[0]", "value": "x"})),
    ("unknown path", 400, "invalidPath", _patch({"op": "replace", "path": "colour", "value": "x"})),
    ("sort path", 400, "invalidPath", lambda c, _, __: c.get("/Users", params={"sortBy": "colour"})),
    ("remove without path", 400, "noTarget", _patch({"op": "remove"})),
    (
        "no match",
        400,
        "noTarget",
        _patch({"op": "replace", "path": 'emails[type eq "home"].value', "value": "x"}),
    ),
    ("no value", 400, "invalidValue", _patch({"op": "add", "path": "title"})),
    ("required value missing", 400, "invalidValue", _create({"schemas": [USER], "title": "x"})),
    ("wrong type, POST", 400, "invalidValue", _create({"schemas": [USER], "userName": "x", "active": {}})),
    ("wrong type, PUT", 400, "invalidValue", _put(active=[1])),
    ("wrong type, PATCH", 400, "invalidValue", _patch({"op": "replace", "path": "active", "value": {}})),
    ("count", 400, "invalidValue", lambda c, _, __: c.get("/Users", params={"count": "many"})),
    ("read-only", 400, "mutability", _patch({"op": "replace", "path": "id", "value": "x"})),
    ("required", 400, "mutability", _patch({"op": "remove", "path": "userName"})),
    ("immutable, PATCH", 400, "mutability", _patch({"op": "replace", "path": f"{TRAITS}:birthPlace", "value": "Oslo"})),
    ("immutable, PUT", 400, "mutability", _put(**{TRAITS: {"birthPlace": "Oslo"}})),
    ("version", 400, "invalidVers", lambda c, _, __: c.get(c.base.removesuffix("v2") + "v3/Users")),
    ("secret in a filter", 403, "sensitive", _filter('password eq "x"')),
    ("secret in a posted filter", 403, "sensitive", _posted_filter("password pr")),
    ("secret in sortBy", 403, "sensitive", lambda c, _, __: c.get("/Users", params={"sortBy": "password"})),
    (
        "duplicate, POST",
        409,
        "uniqueness",
        lambda c, _, name: c.create("/Users", {"schemas": [USER], "userName": name}),
    ),
    (
        "duplicate, PUT",
        409,
        "uniqueness",
        lambda c, path, name: c.put(path, json={"schemas": [USER], "userName": f"OTHER-{name}"}),
    ),
    (
        "duplicate, PATCH",
        409,
        "uniqueness",
        lambda c, path, name: c.change(path, {"op": "replace", "path": "userName", "value": f"other-{name}"}),
    ),
    ("unknown member", 400, "invalidValue", lambda c, _, name: c.create("/Groups", _group_of(name, "nobody"))),
    ("unknown endpoint", 404, None, lambda c, _, __: c.get("/Nope")),
    ("unknown resource", 404, None, lambda c, _, __: c.get("/Users/nobody")),
    ("method", 405, None, lambda c, _, __: c.delete("/Users")),
    ("precondition", 412, None, lambda c, path, _: c.delete(path, headers={"If-Match": 'W/"old"'})),
    ("media type", 415, None, lambda c, path, _: c.put(path, content=b"x", headers={"Content-Type": "text/xml"})),
    ("bulk", 501, None, lambda c, _, __: c.post("/Bulk", json={})),
    ("me", 501, None, lambda c, _, __: c.get("/Me")),
]


def _group_of(name: str, *members: str) -> dict[str, Any]:
    return {"schemas": [GROUP], "displayName": f"G {name}", "members": [{"value": member} for member in members]}


@pytest.mark.req(
    *("P-3.12-01", "P-3.12-02", "P-3.12-04", "P-3.12-06", "P-3.12-08", "P-3.12-09", "P-3.12-10"),
    *("P-3.12-13", "P-3.12-15", "P-3.12-16", "P-3.12-17", "P-3.12-18", "P-3.12-19", "P-3.12-20"),
    *("P-3.12-21", "P-3.12-22", "P-7.5.2-01"),
)
@pytest.mark.parametrize(("status", "scim_type", "make"), [r[1:] for r in _ROWS], ids=[r[0] for r in _ROWS])
def test_each_error(client: Client, name: str, status: int, scim_type: str | None, make: Make) -> None:
    """The status as text, the keyword where one fits, one string of detail, and nothing has changed."""
    path = new_user(client, name, emails=[{"type": "work", "value": f"w-{name}"}], **{TRAITS: {"birthPlace": "Bergen"}})
    other = new_user(client, f"other-{name}")
    total = client.get("/", params={"count": "0"}).json()["totalResults"]
    with unchanged(client, path, other):
        detail = refused(make(client, path, name), status, scim_type)
    assert client.get("/", params={"count": "0"}).json()["totalResults"] == total
    assert "Traceback" not in detail
    assert len(detail) < 500


@pytest.mark.req("P-3.12-02")
@pytest.mark.parametrize("member", ["userName", "active", "emails", "name.givenName"])
def test_the_detail_names_the_attribute(client: Client, name: str, member: str) -> None:
    bad: dict[str, Any] = {"userName": 7, "active": "perhaps", "emails": [7], "name": {"givenName": 7}}
    top = member.partition(".")[0]
    document = {"schemas": [USER], "userName": name, top: bad[top]}
    assert member in refused(client.create("/Users", document), 400, "invalidValue")


@pytest.mark.req("P-3.12-02")
def test_unknown_members_are_named(client: Client, name: str) -> None:
    known = client.user(name)["id"]
    detail = refused(client.create("/Groups", _group_of(name, "ghost-1", known, "ghost-2")), 400, "invalidValue")
    assert "ghost-1" in detail
    assert "ghost-2" in detail
    assert known not in detail


def test_many_unknown_members_are_not_all_named(client: Client, name: str) -> None:
    detail = refused(
        client.create("/Groups", _group_of(name, *(f"ghost-{n}" for n in range(500)))), 400, "invalidValue"
    )
    assert len(detail) < 2000


@pytest.mark.req("P-3.12-01")
def test_an_error_in_a_head_request_has_no_body(client: Client) -> None:
    response = client.head("/Users/nobody")
    assert (response.status_code, response.content) == (404, b"")


# --- what only a store can report ---


class _ReportingStore(ReferenceBackend):
    """Reports `error` for every search and every write."""

    error: Exception = store.Unavailable()

    def search(self, kind: str, query: Query) -> Page:
        raise self.error

    def update(self, *args: Any, **kwargs: Any) -> Stamp:
        raise self.error


@pytest.fixture
def reporting(registry: Registry, tmp_path: Path) -> Iterator[tuple[_ReportingStore, Service]]:
    backend = _ReportingStore(registry)
    with running(backend, registry, tmp_path) as service:
        yield backend, service


@pytest.mark.req("P-3.12-02", "P-3.12-03", "P-3.12-12", "P-3.12-14", "P-3.12-15", "P-3.12-20", "H-10.2.3-01")
def test_what_a_store_reports(reporting: tuple[_ReportingStore, Service]) -> None:
    backend, service = reporting
    client = service.client()
    path = new_user(client, "mira@tern.example")
    rows: list[tuple[Exception, int, str | None, str]] = [
        (store.TooManyCandidates(), 400, "tooMany", "narrow"),
        (store.RejectedValue("title", "is longer than 255 characters"), 400, "invalidValue", "title: is longer"),
        (store.Duplicate("userName"), 409, "uniqueness", "userName"),
        (store.UnknownReference("members", ["ghost"]), 400, "invalidValue", "ghost"),
        (store.ReadOnly(), 403, None, "no changes"),
        (store.Protected(), 403, None, "protected"),
        (store.NotFound("User"), 404, None, "no such resource"),
        (store.Unavailable(retry_after=30), 503, None, "try again"),
        (ValueError("INSERT INTO users"), 500, None, "incident"),
    ]
    for error, status, scim_type, words in rows:
        backend.error = error
        operation = {"op": "replace", "path": "title", "value": "x"}
        for response in (client.get("/Users"), client.change(path, operation)):
            detail = refused(response, status, scim_type)
            assert words in detail
            assert "INSERT" not in detail
            assert response.headers.get("Retry-After") == ("30" if status == 503 else None)


@pytest.mark.req("P-3.12-12")
def test_a_resource_that_always_changes_in_between_is_503(reporting: tuple[_ReportingStore, Service]) -> None:
    backend, service = reporting
    client = service.client()
    path = new_user(client, "mira@tern.example", emails=[{"value": "a"}])
    backend.error = store.VersionMismatch("User")
    operation = {"op": "add", "path": "emails", "value": [{"value": "b"}]}
    response = client.change(path, operation)
    refused(response, 503)
    assert int(response.headers["Retry-After"]) > 0
    tag = client.get(path).headers["ETag"]
    refused(client.change(path, operation, **{"If-Match": tag}), 412)


@pytest.mark.req("P-3.12-02")
def test_every_class_of_error_has_a_row() -> None:
    reported = {
        found
        for module in (core, store)
        for _, found in inspect.getmembers(module, inspect.isclass)
        if issubclass(found, Exception) and found.__module__ == module.__name__ and found.__subclasses__() == []
    }
    assert reported
    assert {found for found in reported if found not in TABLE} == set()
    for found, row in TABLE.items():
        assert row.scim_type is None or row.status in (400, 403, 409), found


@pytest.mark.req("P-3.12-14")
def test_a_sorted_search_over_all_types_too_far_in_is_too_many(client: Client) -> None:
    refused(client.get("/", params={"sortBy": "id", "startIndex": "1000000"}), 400, "tooMany")


@pytest.mark.req("P-3.12-14")
def test_a_patch_of_too_many_changes_is_too_many(client: Client, name: str) -> None:
    path = new_user(client, name)
    body = {
        "schemas": [PATCH_OP],
        "Operations": [{"op": "replace", "path": f'emails[value eq "{n}"].value', "value": "x"} for n in range(600)],
    }
    with unchanged(client, path):
        refused(client.patch(path, json=body), 400, "tooMany")
