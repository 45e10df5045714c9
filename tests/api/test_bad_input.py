"""Bodies that no client should send: a SCIM error in the 4xx range, nothing changed, nothing hung."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.api.expect import new_user, refused, unchanged
from tests.api.hostile import JSON, assert_refused, sent
from tests.api.raw import Answer
from tests.support.service import ENTERPRISE, GROUP, PATCH_OP, SEARCH_REQUEST, USER, Client

pytestmark = pytest.mark.every_store(directories=False)


def posts(client: Client, user: str, group: str, content: bytes) -> Iterator[httpx.Response]:
    """The content as the body of every request that takes one."""
    for method, path in (
        ("POST", "/Users"),
        ("POST", "/Groups"),
        ("PUT", user),
        ("PUT", group),
        ("PATCH", user),
        ("PATCH", group),
        ("POST", "/.search"),
        ("POST", "/Users/.search"),
        ("POST", "/Groups/.search"),
    ):
        yield client.request(method, path, content=content, headers=JSON)


@pytest.fixture
def user(client: Client, name: str) -> str:
    return new_user(client, name, title="Pilot", emails=[{"type": "work", "value": f"mira-{name}"}])


@pytest.fixture
def group(client: Client, name: str, user: str) -> str:
    return f"/Groups/{client.group(name, user.removeprefix('/Users/'))['id']}"


_NO_JSON: dict[str, bytes] = {
    "empty": b"",
    "space": b" \r\n\t",
    "open": b"{",
    "closed": b"}",
    "word": b"hello",
    "single quotes": b"{'schemas': []}",
    "trailing comma": b'{"schemas": ["x"],}',
    "comment": b'{"schemas": ["x"] /* x */}',
    "two values": b"{} {}",
    "NaN": b'{"schemas": ["x"], "userName": NaN}',
    "Infinity": b'{"schemas": ["x"], "userName": -Infinity}',
    "octal": b'{"schemas": ["x"], "userName": 017}',
    "plus": b'{"schemas": ["x"], "userName": +1}',
    "cut escape": b'{"schemas": ["x"], "userName": "\\u00',
    "bad escape": b'{"schemas": ["x"], "userName": "\\x41"}',
    "raw line break": b'{"schemas": ["x"], "userName": "a\nb"}',
    "raw NUL": b'{"schemas": ["x"], "userName": "a\x00b"}',
    "NUL alone": b"\x00",
    "byte order mark": b'\xef\xbb\xbf{"schemas": []}',
    "invalid UTF-8": b'{"schemas": ["\xff"]}',
    "raw surrogate": b'{"schemas": ["\xed\xa0\x80"]}',
    "form": b"userName=x&password=y",
    "XML": b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>',
    "brackets": b"[" * 10_000,
    "braces": b'{"a":' * 10_000,
    "balanced brackets": b"[" * 10_000 + b"]" * 10_000,
    "balanced braces": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "number without end": b'{"schemas": ["x"], "userName": ' + b"9" * 100_000 + b"}",
}


@pytest.mark.parametrize("content", _NO_JSON.values(), ids=_NO_JSON)
def test_what_is_no_json_is_invalid_syntax(client: Client, user: str, group: str, content: bytes) -> None:
    with unchanged(client, user, group, "/?count=0"):
        for response in posts(client, user, group, content):
            refused(response, 400, "invalidSyntax")


@pytest.mark.parametrize("content", [b"null", b"true", b"7", b'"text"', b"[]", b"[{}]", b"{}", b"1e999"])
def test_json_that_is_no_message_is_invalid_syntax(client: Client, user: str, group: str, content: bytes) -> None:
    with unchanged(client, user, group, "/?count=0"):
        for response in posts(client, user, group, content):
            refused(response, 400, "invalidSyntax")


def test_json_10_000_deep_inside_an_attribute(client: Client, user: str, group: str) -> None:
    for value in (b"[" * 10_000 + b"]" * 10_000, b'{"a":' * 10_000 + b"1" + b"}" * 10_000):
        for member in (b"title", b"emails", b"unknown", b"name", ENTERPRISE.encode()):
            body = b'{"schemas":["%s"],"userName":"x","%s":%s}' % (USER.encode(), member, value)
            operation = b'{"op":"add","path":"title","value":%s}' % value
            patch = b'{"schemas":["%s"],"Operations":[%s]}' % (PATCH_OP.encode(), operation)
            with unchanged(client, user, "/?count=0"):
                refused(client.post("/Users", content=body, headers=JSON), 400, "invalidSyntax")
                refused(client.put(user, content=body, headers=JSON), 400, "invalidSyntax")
                refused(client.patch(user, content=patch, headers=JSON), 400, "invalidSyntax")


@pytest.mark.req("P-3.12-17")
@pytest.mark.parametrize(
    "members",
    [
        '"userName":"a","userName":"b"',
        '"userName":"a","USERNAME":"b"',
        '"userName":"a","emails":[{"value":"x","value":"y"}]',
        '"userName":"a","emails":[{"value":"x","Value":"y"}]',
        '"userName":"a","name":{"givenName":"x","givenName":"y"}',
        '"userName":"a","unknown":{"x":1,"x":2}',
        '"userName":"a","schemas":["x"]',
        f'"userName":"a","{ENTERPRISE}":{{"department":"x","department":"y"}}',
        f'"userName":"a","{ENTERPRISE}":{{"department":"x"}},"{ENTERPRISE.upper()}":{{"department":"y"}}',
    ],
)
def test_a_member_given_twice_is_invalid_syntax(client: Client, user: str, members: str) -> None:
    """JSON leaves open which one counts, so that two readers may see two documents."""
    content = f'{{"schemas":["{USER}"],{members}}}'
    with unchanged(client, user, "/?count=0"):
        refused(client.post("/Users", content=content, headers=JSON), 400, "invalidSyntax")
        refused(client.put(user, content=content, headers=JSON), 400, "invalidSyntax")


@pytest.mark.parametrize(
    "content",
    [
        f'{{"schemas":["{PATCH_OP}"],"Operations":[],"Operations":[{{"op":"remove","path":"title"}}]}}',
        f'{{"schemas":["{PATCH_OP}"],"operations":[],"Operations":[{{"op":"remove","path":"title"}}]}}',
        f'{{"schemas":["{PATCH_OP}"],"Operations":[{{"op":"add","op":"remove","path":"title"}}]}}',
        f'{{"schemas":["{PATCH_OP}"],"Operations":[{{"op":"remove","path":"nickName","Path":"title"}}]}}',
        f'{{"schemas":["{PATCH_OP}"],"Operations":[{{"op":"replace","value":{{"title":"a","TITLE":"b","title":"c"}}}}]}}',
    ],
)
def test_a_member_of_a_patch_given_twice_is_invalid_syntax(client: Client, user: str, content: str) -> None:
    with unchanged(client, user):
        refused(client.patch(user, content=content, headers=JSON), 400, "invalidSyntax")


_TYPES: list[tuple[str, list[Any]]] = [
    ("userName", [7, True, [], ["x"], {}, {"value": "x"}, None, ""]),
    ("active", [0, 1, "yes", "1", [True], {"value": True}, 0.0]),
    ("title", [7, False, ["a", "b"], {"value": "x"}]),
    ("emails", ["x", 7, True, {"value": 7}, [7], [True], [["x"]], [{"value": 7}], [{"value": ["x"]}]]),
    ("emails", [[{"value": "x", "primary": "yes"}], [{"value": "x", "primary": 1}], [{"value": "x", "type": 7}]]),
    ("name", ["x", 7, True, [{"givenName": "a"}, {"givenName": "b"}], {"givenName": 7}, {"givenName": {"x": "y"}}]),
    ("externalId", [7, True, ["x"], {"value": "x"}]),
    ("x509Certificates", [[{"value": "not base64!"}], [{"value": 7}]]),
    ("profileUrl", [7, ["x"], {"value": "x"}]),
    (ENTERPRISE, ["x", 7, [{}], True]),
    (f"{ENTERPRISE}#", [{"department": 7}, {"manager": 7}, {"manager": {"value": 7}}, {"manager": [{}, {}]}]),
    ("password", [7, True, ["x"], {"value": "x"}]),
]


@pytest.mark.req("P-3.12-20")
@pytest.mark.parametrize(
    ("member", "value"), [(member.removesuffix("#"), value) for member, values in _TYPES for value in values]
)
def test_a_value_of_the_wrong_type_is_invalid_value(client: Client, name: str, member: str, value: Any) -> None:
    path = new_user(client, name)
    document = {"schemas": [USER], "userName": f"x{name}", member: value}
    with unchanged(client, path, "/?count=0"):
        refused(client.create("/Users", document), 400, "invalidValue")
        refused(client.put(path, json=document), 400, "invalidValue")


@pytest.mark.req("P-3.12-20")
@pytest.mark.parametrize(
    ("member", "value"),
    [(member, value) for member, values in _TYPES if ":" not in member for value in values if value not in (None, "")],
)
def test_a_value_of_the_wrong_type_below_the_uri_of_its_schema(
    client: Client, name: str, member: str, value: Any
) -> None:
    """What stands under the URI of the base schema is looked at as what stands at the top."""
    path = new_user(client, name)
    top = {} if member == "userName" else {"userName": f"x{name}"}
    document = {"schemas": [USER], USER: {member: value}, **top}
    with unchanged(client, path, "/?count=0"):
        refused(client.create("/Users", document), 400, "invalidValue")
        refused(client.put(path, json=document), 400, "invalidValue")


def test_a_value_at_the_top_and_below_the_uri_of_its_schema(client: Client, name: str) -> None:
    path = new_user(client, name)
    document = {"schemas": [USER], "userName": f"x{name}", USER: {"USERNAME": f"y{name}"}}
    with unchanged(client, path, "/?count=0"):
        refused(client.create("/Users", document), 400, "invalidSyntax")
        refused(client.put(path, json=document), 400, "invalidSyntax")


def test_values_below_the_uri_of_their_schema(client: Client, name: str) -> None:
    """They are those of the base schema, checked and prepared as at the top."""
    document = {"schemas": [USER], USER: {"userName": f"x{name}", "title": "Pilot", "name": {"givenName": "Mira"}}}
    made = client.create("/Users", document).json()
    assert (made["userName"], made["title"], made["name"]) == (f"x{name}", "Pilot", {"givenName": "Mira"})
    assert made["schemas"] == [USER]
    assert USER not in made


@pytest.mark.every_store
@pytest.mark.parametrize(
    "members",
    [7, "x", [7], ["x", 7], [{"value": 7}], [{"value": ["x"]}], [[]], [True], [{"display": "x"}], {"value": 1}],
)
def test_members_of_the_wrong_type(client: Client, name: str, members: Any) -> None:
    document = {"schemas": [GROUP], "displayName": name, "members": members}
    with unchanged(client, "/?count=0"):
        refused(client.create("/Groups", document), 400, "invalidValue")


@pytest.mark.parametrize("schemas", [None, USER, {}, [], [7], [None], [[USER]], [GROUP], ["x"], ["User"], 7])
def test_unknown_schemas_are_invalid_syntax(client: Client, user: str, name: str, schemas: Any) -> None:
    document = {"schemas": schemas, "userName": f"x{name}"}
    with unchanged(client, user, "/?count=0"):
        refused(client.create("/Users", document), 400, "invalidSyntax")
        refused(client.put(user, json=document), 400, "invalidSyntax")


@pytest.mark.parametrize("character", ["\\u0000", "\\ud800", "\\udfff", "\\udc00\\ud800", "\\uD800x", "a\\u0000"])
@pytest.mark.parametrize("member", ["userName", "displayName", "externalId", "password", "unknown"])
def test_nul_and_lone_surrogates_in_escapes(client: Client, user: str, character: str, member: str) -> None:
    content = f'{{"schemas":["{USER}"],"userName":"x","{member}x":1,"{member}":"{character}"}}'
    if member == "userName":
        content = f'{{"schemas":["{USER}"],"userName":"{character}"}}'
    patch = f'{{"schemas":["{PATCH_OP}"],"Operations":[{{"op":"add","path":"{member}","value":"{character}"}}]}}'
    search = f'{{"schemas":["{SEARCH_REQUEST}"],"filter":"{member} eq \\"{character}\\""}}'
    key = f'{{"schemas":["{USER}"],"userName":"x","{character}":"x"}}'
    with unchanged(client, user, "/?count=0"):
        refused(client.post("/Users", content=content, headers=JSON), 400, "invalidValue")
        refused(client.put(user, content=content, headers=JSON), 400, "invalidValue")
        refused(client.patch(user, content=patch, headers=JSON), 400, "invalidValue")
        refused(client.post("/Users/.search", content=search, headers=JSON), 400, "invalidValue")
        refused(client.post("/Users", content=key, headers=JSON), 400, "invalidValue")


def test_an_escaped_pair_is_a_character(client: Client, name: str) -> None:
    content = f'{{"schemas":["{USER}"],"userName":"{name}","displayName":"\\ud83d\\udea2"}}'
    assert client.post("/Users", content=content, headers=JSON).json()["displayName"] == "\U0001f6a2"


def test_a_body_over_the_limit(client: Client, user: str, name: str) -> None:
    large = f'{{"schemas":["{USER}"],"userName":"x{name}","displayName":"{"x" * 11_000_000}"}}'.encode()

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(large), 1_000_000):
            yield large[start : start + 1_000_000]

    with unchanged(client, user, "/?count=0"):
        for method, path in (("POST", "/Users"), ("PUT", user), ("PATCH", user), ("POST", "/.search")):
            assert_refused_as(sent(client, method, path, large), 413)
            response = client.request(method, path, content=chunks(), headers=JSON)
            assert response.status_code == 413, response.text


def assert_refused_as(answer: Answer, status: int) -> None:
    assert answer.status == status
    assert_refused(answer)


def test_a_very_long_value(client: Client, user: str, name: str) -> None:
    """A store holds it or says that it does not."""
    for member in ("userName", "displayName", "externalId", "title"):
        document = {"schemas": [USER], "userName": f"{member}-{name}", member: f"{name}{'x' * 100_000}"}
        response = client.create("/Users", document)
        if response.status_code == 201:
            assert client.get(f"/Users/{response.json()['id']}").json()[member] == document[member]
        else:
            refused(response, 400, "invalidValue")


def test_many_values_and_operations(client: Client, user: str, name: str) -> None:
    emails = [{"value": f"{n}@tern.example", "type": "other"} for n in range(2000)]
    response = client.create("/Users", {"schemas": [USER], "userName": f"x{name}", "emails": emails})
    assert response.status_code == 201 or refused(response, 400, "invalidValue")
    operations = [{"op": "add", "path": "title", "value": "x"}] * 5000
    with unchanged(client, user):
        refused(client.change(user, *operations), 400, "invalidValue")
