"""Input that no client should send: a SCIM error in the 4xx range, nothing changed, nothing hung."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.api.expect import new_user, refused, unchanged
from tests.api.raw import Answer, send
from tests.support.service import ENTERPRISE, ERROR, GROUP, PATCH_OP, SCIM_JSON, SEARCH_REQUEST, USER, Client

JSON = {"Content-Type": SCIM_JSON}
INJECTIONS = [
    "' OR '1'='1",
    "'; DROP TABLE users; --",
    '" or 1 eq 1 or "',
    "\\'; --",
    "%' OR '%'='",
    "x' UNION SELECT * FROM control --",
    "${jndi:ldap://evil.example/x}",
    "{{7*7}}",
    "<%= 7*7 %>",
    "#{7*7}",
    "*)(uid=*))(|(uid=*",
    "admin)(|(userPassword=*)",
    "\\2a\\29\\00",
    "cn=x,dc=example",
    "../../../../etc/passwd",
    "..\\..\\windows\\system32",
    "file:///etc/passwd",
    "\r\nX-Evil: yes",
    "x\r\n\r\n<html>",
    "<script>alert(1)</script>",
    "%0d%0aX-Evil:%20yes",
    "%s%n%x",
    "%",
    "_",
    "\\",
    '\\"',
    "\ufeff",
    "\u202e",
    "$where",
    "__proto__",
    "constructor",
    "'||pg_sleep(30)||'",
    "1; SELECT SLEEP(30)",
    "\U0010ffff",
]


def sent(client: Client, method: str, target: str | bytes, body: bytes = b"", **headers: str) -> Answer:
    named = [("Authorization", client.headers["Authorization"]), ("Content-Type", SCIM_JSON)]
    named += [(name.replace("_", "-"), value) for name, value in headers.items()]
    return send(client.base, method, target, headers=named, body=body)


def assert_refused(answer: Answer) -> None:
    """A well-formed SCIM error in the 4xx range."""
    assert 400 <= answer.status < 500, answer
    assert answer.headers["content-type"] == SCIM_JSON
    document = answer.json()
    assert document["schemas"] == [ERROR]
    assert document["status"] == str(answer.status)
    assert "x-evil" not in answer.headers


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
    return new_user(client, name, title="Pilot", emails=[{"type": "work", "value": "mira@tern.example"}])


@pytest.fixture
def group(client: Client, name: str, user: str) -> str:
    return f"/Groups/{client.group(name, user.removeprefix('/Users/'))['id']}"


# --- bodies ---

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


# --- queries ---


@pytest.mark.parametrize(
    "filter",
    [
        "(" * 1000 + "title pr" + ")" * 1000,
        "(" * 1000,
        ")" * 1000,
        "[" * 1000,
        "emails[" * 1000 + 'value eq "x"' + "]" * 1000,
        "not (" * 1000 + "title pr" + ")" * 1000,
        " and ".join(["title pr"] * 10_000),
        'title eq "' + "x" * 100_000 + '"',
        "x" * 100_000,
        " " * 100_000,
        '"' * 100_000,
        "\\" * 100_000,
        "title eq " + "9" * 100_000,
        "a." * 50_000 + "b pr",
        "urn:" * 25_000 + "x pr",
    ],
    ids=lambda text: f"{text[:12]}{len(text)}",
)
def test_filters_that_are_too_large(client: Client, user: str, filter: str) -> None:
    refused(client.post("/Users/.search", json={"schemas": [SEARCH_REQUEST], "filter": filter}), 400, "invalidFilter")
    refused(client.post("/.search", json={"schemas": [SEARCH_REQUEST], "filter": filter}), 400, "invalidFilter")
    if len(filter) < 50_000:
        refused(client.search("/Users", filter), 400, "invalidFilter")
    operation = {"op": "remove", "path": f"emails[{filter}]"}
    with unchanged(client, user):
        response = client.change(user, operation)
        assert response.status_code == 400
        assert response.json()["scimType"] in ("invalidFilter", "invalidPath")


@pytest.mark.parametrize("text", INJECTIONS)
def test_injections_as_filter_operands_find_nothing(client: Client, user: str, text: str) -> None:
    operand = json.dumps(text)
    for path in ("userName", "displayName", "externalId", "id", "emails.value", "meta.location", "groups.value"):
        assert client.found("/Users", f"{path} eq {operand}") == set()
    for operator in ("co", "sw", "ew"):
        assert client.found("/Users", f"title {operator} {operand}") == set()
    assert client.found("/Users", f"emails[type eq {operand} and value co {operand}]") == set()
    assert client.found("/Groups", f"members eq {operand} or displayName eq {operand}") == set()
    id = user.removeprefix("/Users/")
    assert client.found("/Users", f'id eq "{id}" and title ne {operand}') == {id}


@pytest.mark.parametrize("text", INJECTIONS)
def test_injections_as_filters_and_names_are_refused(client: Client, text: str) -> None:
    for filter in (text, f'{text} eq "x"', f"title {text} x", f"title eq {text}", f"emails[{text}]", f"not ({text})"):
        for endpoint in ("/Users", "/"):
            response = client.search(endpoint, filter)
            if response.status_code == 200:
                # Some are a good attribute name: an attribute that no schema defines has no value.
                assert response.json()["totalResults"] == 0
            else:
                refused(response, 400, "invalidFilter")
    response = client.get("/Users", params={"sortBy": text})
    refused(response, 400, "invalidPath")
    for parameter in ("attributes", "excludedAttributes"):
        assert client.get("/Users", params={parameter: text, "count": "1"}).status_code == 200
    for parameter in ("sortOrder", "startIndex", "count"):
        refused(client.get("/Users", params={parameter: text}), 400, "invalidValue")


@pytest.mark.parametrize("text", INJECTIONS)
def test_injections_as_values_are_text(client: Client, name: str, text: str) -> None:
    document = {
        "schemas": [USER, ENTERPRISE],
        "userName": name,
        "displayName": text,
        "externalId": text,
        "name": {"givenName": text},
        "emails": [{"value": text, "type": text, "display": text}],
        ENTERPRISE: {"department": text, "manager": {"value": text}},
    }
    created = client.create("/Users", document)
    assert created.status_code == 201, created.text
    read = client.get(f"/Users/{created.json()['id']}")
    assert {key: read.json()[key] for key in document} == document
    assert "x-evil" not in read.headers
    operand = json.dumps(text)
    assert created.json()["id"] in client.found("/Users", f"displayName eq {operand} and externalId eq {operand}")
    group = client.create("/Groups", {"schemas": [GROUP], "displayName": f"{name}{text}", "externalId": text})
    assert group.json()["displayName"] == f"{name}{text}"
    refused(
        client.create("/Groups", {"schemas": [GROUP], "displayName": text + name, "members": [text]}),
        400,
        "invalidValue",
    )
    client.delete(f"/Users/{created.json()['id']}")
    client.delete(f"/Groups/{group.json()['id']}")


@pytest.mark.parametrize("text", INJECTIONS)
def test_injections_as_user_names_are_text_or_refused(client: Client, name: str, text: str) -> None:
    response = client.create("/Users", {"schemas": [USER], "userName": text})
    if response.status_code == 201:
        assert response.json()["userName"] == text
        client.delete(f"/Users/{response.json()['id']}")
    else:
        refused(response, 400, "invalidValue")


@pytest.mark.parametrize("text", INJECTIONS)
def test_injections_as_patch_paths_are_refused(client: Client, user: str, text: str) -> None:
    with unchanged(client, user):
        for path in (text, f"emails[{text}].value", f'emails[type eq "work"].{text}', f"name.{text}", f"urn:{text}:x"):
            response = client.change(user, {"op": "replace", "path": path, "value": "x"})
            assert response.status_code == 400
            assert response.json()["scimType"] in ("invalidPath", "invalidFilter", "noTarget", "invalidValue")


@pytest.mark.parametrize(
    "query",
    [
        "filter=%FF",
        "filter=userName%20eq%20%22%C3%22",
        "filter=title%20eq%20%22%ED%A0%80%22",
        "%FF=x",
        "attributes=%FF",
        "sortBy=%C0%AF",
        "count=%FF",
        "filter=title%20pr&filter=active%20pr",
        "count=1&count=2",
        "attributes=a&attributes=b",
        "count=",
        "count=1.5",
        "count=1e3",
        "count=%31%00",
        "count=0x10",
        "count=one",
        "count=%D9%A3",
        "startIndex=",
        "startIndex=--1",
        "startIndex=1_0",
        "sortOrder=sideways",
        "sortBy=colour",
        "sortBy=emails%5Btype%20eq%20%22work%22%5D",
        "&".join(f"p{n}=x" for n in range(1000)),
        "filter=title%20eq%20%22%00%22",
        "filter=",
        "filter=%20",
    ],
    ids=lambda text: text[:30],
)
def test_malformed_queries(client: Client, query: str) -> None:
    for endpoint in ("/Users", "/Groups", "/"):
        assert_refused(sent(client, "GET", f"{endpoint}?{query}"))


@pytest.mark.parametrize("number", [-1, 0, -(10**30) + 1, -(2**63), -(2**63) - 1])
def test_counts_below_one(client: Client, user: str, number: int) -> None:
    for parameter, expected in (("startIndex", 1), ("count", 0)):
        answer = client.get("/Users", params={parameter: str(number)}).json()
        assert answer["startIndex"] == 1
        if expected == 0:
            assert (answer["itemsPerPage"], answer["Resources"]) == (0, [])
        body = {"schemas": [SEARCH_REQUEST], parameter: number}
        assert client.post("/Users/.search", json=body).json()["startIndex"] == 1


@pytest.mark.parametrize("number", [10**6, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, 10**30 - 1])
def test_huge_counts(client: Client, user: str, number: int) -> None:
    for endpoint in ("/Users", "/Groups", "/"):
        far = client.get(endpoint, params={"startIndex": str(number)}).json()
        assert (far["itemsPerPage"], far["Resources"]) == (0, [])
        assert far["totalResults"] >= 0
        many = client.get(endpoint, params={"count": str(number)}).json()
        assert many["itemsPerPage"] == len(many["Resources"]) <= 1000
        body = {"schemas": [SEARCH_REQUEST], "startIndex": number, "count": number}
        assert client.post(f"{endpoint.rstrip('/')}/.search", json=body).json()["Resources"] == []


@pytest.mark.parametrize("number", [10**30, -(10**30), 10**1000])
def test_numbers_beyond_all_reason(client: Client, number: int) -> None:
    for parameter in ("startIndex", "count"):
        response = client.get("/Users", params={parameter: str(number)})
        assert response.status_code in (200, 400)
        body = {"schemas": [SEARCH_REQUEST], parameter: number}
        assert client.post("/Users/.search", json=body).status_code in (200, 400)


@pytest.mark.parametrize("value", [1.0, "1", True, [1], {}, 1e400])
@pytest.mark.parametrize("member", ["count", "startIndex"])
def test_posted_numbers_are_integers(client: Client, member: str, value: Any) -> None:
    body = json.dumps({"schemas": [SEARCH_REQUEST], member: value})
    refused(client.post("/Users/.search", content=body, headers=JSON), 400, "invalidSyntax")


@pytest.mark.parametrize(
    "members",
    [
        {"filter": 7},
        {"filter": ["title pr"]},
        {"attributes": "userName"},
        {"attributes": [7]},
        {"excludedAttributes": {"a": 1}},
        {"sortBy": 7},
        {"sortOrder": True},
        {"filter": "title pr", "FILTER": "active pr"},
    ],
)
def test_malformed_search_requests(client: Client, members: Mapping[str, Any]) -> None:
    for endpoint in ("/.search", "/Users/.search"):
        refused(client.post(endpoint, json={"schemas": [SEARCH_REQUEST], **members}), 400, "invalidSyntax")


# --- ids ---

_IDS = [
    "%00",
    "x%00",
    "%0d%0aX-Evil:%20yes",
    "%0a",
    "a%2Fb",
    "%2Fb",
    "%2e%2e%2fGroups",
    "..%2f..%2fetc%2fpasswd",
    ".",
    "..",
    "...",
    "%2e",
    "%2e%2e",
    ".%2e",
    "%FF",
    "%C3%28",
    "%ED%A0%80",
    "%",
    "%zz",
    "%u0041",
    "*",
    "%2a)(uid=%2a",
    "'%20OR%20'1'='1",
    "%22",
    "%3Cscript%3E",
    "%3F",
    "%23",
    "%E5%B1%B1%E7%94%B0",
    "%F0%9F%9A%A2",
    "%F4%8F%BF%BF",
    "0",
    "-1",
    "1e308",
    "null",
    "true",
    "undefined",
    "%20",
    "x%20",
    "x" * 10_000,
    "%C3%A9" * 3_000,
    ";",
    "x;y=z",
    "x,y",
    "x@y",
    "~root",
    "x.scim",
    "{id}",
    "|",
    "^",
    "%5C",
    "%5B",
    "6B0C4A0E-0000-4000-8000-000000000000",
    "{6b0c4a0e-0000-4000-8000-000000000000}",
    "6b0c4a0e00004000800000000000000",
]


@pytest.mark.req("P-3.5.2-19", "P-3.6-05")
@pytest.mark.parametrize("id", _IDS, ids=lambda text: text[:20])
def test_ids_of_any_shape_are_not_found(client: Client, user: str, id: str) -> None:
    put = json.dumps({"schemas": [USER], "userName": "x"}).encode()
    patch = json.dumps({"schemas": [PATCH_OP], "Operations": [{"op": "add", "path": "title", "value": "x"}]}).encode()
    with unchanged(client, user, "/?count=0"):
        for method, body in (("GET", b""), ("PUT", put), ("PATCH", patch), ("DELETE", b"")):
            for endpoint in ("/Users", "/Groups"):
                assert_refused(sent(client, method, f"{endpoint}/{id}", body))


def test_an_id_is_compared_exactly(client: Client, user: str) -> None:
    id = user.removeprefix("/Users/")
    variants = [id.upper(), f"{id}%20", f"%20{id}", f"{id}%00", f"{{{id}}}", id.replace("-", ""), f"{id}%0a", f"{id}x"]
    for variant in variants:
        if variant != id:
            assert_refused(sent(client, "GET", f"/Users/{variant}"))
    encoded = "".join(f"%{ord(c):02x}" for c in id)
    assert sent(client, "GET", f"/Users/{encoded}").status == 200


def test_ids_in_filters_and_references_are_text(client: Client, user: str, name: str) -> None:
    for id in (*INJECTIONS, "x" * 7000):
        operand = json.dumps(id)
        assert client.found("/Users", f"id eq {operand}") == set()
        members = [{"value": id}]
        response = client.create("/Groups", {"schemas": [GROUP], "displayName": f"G{name}", "members": members})
        refused(response, 400, "invalidValue")


# --- headers ---


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("If-Match", '"' * 10_000),
        ("If-Match", "W/" * 5_000),
        ("If-None-Match", ",".join('"x"' for _ in range(2_000))),
        ("If-None-Match", '"\u00e9"'),
        ("If-Modified-Since", "x" * 10_000),
        ("If-Unmodified-Since", "Thu, 32 Foo 99999 99:99:99 GMT"),
        ("If-Modified-Since", "Mon, 01 Jan 0001 00:00:00 +9999"),
        ("If-Unmodified-Since", "Fri, 31 Dec 9999 23:59:59 -2359"),
        ("Accept", "x" * 10_000),
        ("Accept", ",;,;q=x"),
        ("Accept-Language", "*;q=nan"),
        ("Range", "bytes=0-1,5-2,-"),
        ("Range", "bytes=99999999999999999999-"),
        ("Expect", "something"),
        ("Cookie", "=;=;" * 1_000),
        ("X-Forwarded-For", "' OR 1=1"),
        ("X-HTTP-Method-Override", "DELETE"),
        ("Prefer", "return=minimal"),
        ("Host", "evil.example"),
        ("Origin", "https://evil.example"),
        ("User-Agent", "\u00ff" * 1_000),
        ("Content-Encoding", "gzip"),
    ],
    ids=lambda text: text[:25],
)
def test_odd_headers_do_no_harm(client: Client, user: str, header: str, value: str) -> None:
    with unchanged(client, user):
        named = [("Authorization", client.headers["Authorization"]), (header, value)]
        answer = send(client.base, "GET", user, headers=named)
        assert answer.status in (200, 304, 400, 412)
        if answer.status == 200:
            assert answer.json()["meta"]["location"] == f"{client.base}{user}"
        assert "evil" not in str(answer.headers)


@pytest.mark.parametrize("value", ["bytes=0-0", "bytes=-1"])
def test_ranges_are_not_served(client: Client, user: str, value: str) -> None:
    assert client.get(user, headers={"Range": value}).json()["id"] == user.removeprefix("/Users/")


@pytest.mark.req("P-7.7-03")
@pytest.mark.parametrize("character", ["%0d%0a", "%0a", "%0d", "%00"])
def test_path_characters_that_end_lines(client: Client, character: str) -> None:
    for path in (f"/{character}", f"/Users{character}", f"/Schemas/{character}x", f"/Users/{quote('é')}{character}"):
        assert_refused(sent(client, "GET", path))
