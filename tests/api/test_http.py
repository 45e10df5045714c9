"""Methods, statuses and headers (RFC 9110)."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.scim.registry import Registry
from backends.base import Backend
from tests.api.expect import new_user, refused, unchanged
from tests.api.published import published
from tests.api.raw import send
from tests.support.service import GROUP, SCIM_JSON, SEARCH_REQUEST, USER, Client

ABSENT = "/Users/6b0c4a0e-0000-4000-8000-000000000000"


def authorization(client: Client) -> tuple[str, str]:
    return ("Authorization", client.headers["Authorization"])


@pytest.mark.req("H-9.1-01")
@pytest.mark.parametrize(
    "path", ["{user}", "/Users", "/Users?count=1", "/", "/Schemas", "/ResourceTypes/User", "/ServiceProviderConfig"]
)
def test_head_answers_as_get_without_the_body(client: Client, name: str, path: str) -> None:
    path = path.format(user=new_user(client, name))
    full, short = client.get(path), client.head(path)
    assert short.status_code == full.status_code == 200
    assert short.content == b""
    for header in ("Content-Type", "ETag", "Cache-Control", "Content-Length"):
        assert short.headers.get(header) == full.headers.get(header)


@pytest.mark.req("H-9.1-01")
def test_head_of_what_is_absent_is_404_without_a_body(client: Client) -> None:
    for path in (ABSENT, "/Nope"):
        answer = send(client.base, "HEAD", path, headers=[authorization(client)])
        assert (answer.status, answer.body) == (404, b"")


@pytest.mark.req("H-15.5.6-01")
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/Users", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("PATCH", "/Groups", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("POST", ABSENT, {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "PUT"}),
        ("POST", "/", {"GET", "HEAD", "OPTIONS"}),
        ("POST", "/Schemas", {"GET", "HEAD", "OPTIONS"}),
        ("DELETE", "/ServiceProviderConfig", {"GET", "HEAD", "OPTIONS"}),
        ("GET", "/Bulk", {"OPTIONS", "POST"}),
        ("GET", "/.search", {"OPTIONS", "POST"}),
        ("PROPFIND", "/Users", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("TRACE", "/Users", {"GET", "HEAD", "OPTIONS", "POST"}),
    ],
)
def test_405_names_the_allowed_methods(client: Client, method: str, path: str, allowed: set[str]) -> None:
    answer = send(client.base, method, path, headers=[authorization(client)])
    assert answer.status == 405
    assert answer.json()["status"] == "405"
    assert set(answer.headers["allow"].split(", ")) == allowed


def test_options_names_the_allowed_methods(client: Client, name: str) -> None:
    response = client.options(new_user(client, name))
    assert response.status_code in (200, 204)
    assert set(response.headers["Allow"].split(", ")) == {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "PUT"}
    assert response.content == b""


@pytest.mark.req("H-15.3.5-01")
def test_what_has_no_body_has_no_octet_of_it(client: Client, name: str) -> None:
    path = new_user(client, name)
    tag = client.get(path).headers["ETag"]
    for method, target, headers, status in (
        ("GET", path, [("If-None-Match", tag)], 304),
        ("DELETE", path, [], 204),
    ):
        answer = send(client.base, method, target, headers=[authorization(client), *headers])
        assert (answer.status, answer.body) == (status, b"")
        assert answer.headers.get("content-length", "0") == "0"
        assert "transfer-encoding" not in answer.headers


@pytest.mark.req("H-15.3.2-01")
def test_location_leads_to_the_new_resource(client: Client, name: str) -> None:
    for endpoint, document in (
        ("/Users", {"schemas": [USER], "userName": name}),
        ("/Groups", {"schemas": [GROUP], "displayName": name}),
    ):
        created = client.create(endpoint, document)
        assert created.status_code == 201
        location = created.headers["Location"]
        assert location == f"{client.base}{endpoint}/{created.json()['id']}" == created.json()["meta"]["location"]
        assert client.get(location).json() == created.json()


@pytest.mark.req("H-15.3.2-01")
def test_behind_a_proxy_location_is_below_the_public_url(
    backend: Backend, registry: Registry, tmp_path: Path, name: str
) -> None:
    with published(backend, registry, tmp_path, "https://idm.tern.example/identity") as service:
        created = service.send("POST", "/scim/v2/Users", {"schemas": [USER], "userName": name})
        id = created.json["id"] if created.json else ""
        assert created.headers["Location"] == f"https://idm.tern.example/identity/scim/v2/Users/{id}"
        read = service.send("GET", f"/scim/v2/Users/{id}").json
        assert read
        assert read["meta"]["location"] == created.headers["Location"]


@pytest.mark.req("H-15.5.16-01", "P-3.8-05")
@pytest.mark.parametrize(
    "media_type",
    [
        "text/plain",
        "text/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "application/jsonx",
        "application/scim",
        "application/json-patch+json",
        "application/merge-patch+json",
        "json",
        ";",
        "",
    ],
)
def test_another_media_type_of_a_body_is_415(client: Client, name: str, media_type: str) -> None:
    path = new_user(client, name)
    body = b'{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"x"}'
    with unchanged(client, path):
        for method, target in (
            ("POST", "/Users"),
            ("PUT", path),
            ("PATCH", path),
            ("POST", "/Users/.search"),
            ("POST", "/.search"),
        ):
            headers = [authorization(client), ("Content-Type", media_type)]
            answer = send(client.base, method, target, headers=headers, body=body)
            assert answer.status == 415
            assert answer.json()["status"] == "415"
    assert client.found("/Users", 'userName eq "x"') == set()


@pytest.mark.parametrize("media_type", ["text/plain", "application/xml"])
def test_a_request_without_a_body_may_carry_any_media_type(client: Client, name: str, media_type: str) -> None:
    """Some clients set Content-Type on every request."""
    path, headers = new_user(client, name), {"Content-Type": media_type}
    assert client.get(path, headers=headers).status_code == 200
    assert client.delete(path, headers=headers).status_code == 204


def test_a_body_where_none_is_due_is_ignored(client: Client, name: str) -> None:
    path, content = new_user(client, name), b'{"active": false'
    for method, status in (("GET", 200), ("DELETE", 204)):
        assert client.request(method, path, content=content, headers={"Content-Type": SCIM_JSON}).status_code == status


# --- messages whose length is told in odd ways ---


@pytest.mark.parametrize("length", ["abc", "-1", "+5", "1e3", "0x10", "1,1", " ", "99999999999999999999999", "1.0"])
def test_a_broken_content_length_is_no_fault_of_the_service(client: Client, name: str, length: str) -> None:
    body = b'{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"%s"}' % name.encode()
    headers = [authorization(client), ("Content-Type", SCIM_JSON)]
    answer = send(client.base, "POST", "/Users", headers=headers, body=body, length=length)
    assert 400 <= answer.status < 500
    assert answer.json()["status"] == str(answer.status)
    assert client.found("/Users", f'userName eq "{name}"') == set()


@pytest.mark.parametrize("length", [None, "0"])
def test_without_a_body_there_is_nothing_to_read(client: Client, length: str | None) -> None:
    headers = [authorization(client), ("Content-Type", SCIM_JSON)]
    for method, target in (("POST", "/Users"), ("PUT", ABSENT), ("PATCH", ABSENT), ("POST", "/.search")):
        answer = send(client.base, method, target, headers=headers, length=length)
        assert answer.status == 400
        assert answer.json()["scimType"] == "invalidSyntax"


def test_a_body_in_chunks(client: Client, name: str) -> None:
    body = b'{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"%s"}' % name.encode()

    def pieces() -> object:
        yield body[:10]
        yield body[10:]

    response = client.post("/Users", content=pieces(), headers={"Content-Type": SCIM_JSON})  # type: ignore[arg-type]
    assert response.status_code == 201, response.text
    assert response.json()["userName"] == name


def test_a_search_in_chunks(client: Client, name: str) -> None:
    client.user(name)
    body = f'{{"schemas":["{SEARCH_REQUEST}"],"filter":"userName eq \\"{name}\\""}}'.encode()
    response = client.post("/Users/.search", content=iter([body]), headers={"Content-Type": SCIM_JSON})
    assert response.json()["totalResults"] == 1


# --- ids, and what they must not do to a response ---


@pytest.mark.parametrize(
    "id",
    [
        "x%0d%0aX-Evil:%20yes",
        "x%0aX-Evil:%20yes",
        "x%0dX-Evil:%20yes",
        "%0d%0a%0d%0a<html>",
        "x%E2%80%A8X-Evil",
        "x%C4%8A%C4%8DX-Evil",
    ],
)
def test_encoded_line_breaks_in_an_id_reach_no_header(client: Client, id: str) -> None:
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        body = b'{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"x"}'
        headers = [authorization(client), ("Content-Type", SCIM_JSON), ("If-None-Match", '"x"')]
        answer = send(client.base, method, f"/Users/{id}", headers=headers, body=body)
        assert 400 <= answer.status < 500
        assert "x-evil" not in answer.headers
        assert answer.json()["status"] == str(answer.status)


def test_errors_are_not_stored_by_caches(client: Client) -> None:
    for response in (client.get(ABSENT), client.get("/Nope"), client.post("/Users", content=b"x")):
        assert "private" in response.headers["Cache-Control"]


def test_an_unknown_endpoint_is_404(client: Client) -> None:
    for path in ("/Nope", "/users", "/Users/a/b", "/Schemas/a/b", "/Groups/x/members"):
        refused(client.get(path), 404)
