"""Ids, paths and headers of any shape."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from tests.api.expect import new_user, refused, unchanged
from tests.api.hostile import INJECTIONS, assert_refused, sent
from tests.api.raw import send
from tests.support.service import GROUP, PATCH_OP, USER, Client

pytestmark = pytest.mark.every_store


@pytest.fixture
def user(client: Client, name: str) -> str:
    return new_user(client, name, title="Pilot", emails=[{"type": "work", "value": f"mira-{name}"}])


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


@pytest.mark.every_store(directories=False)
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


@pytest.mark.every_store(directories=False)
@pytest.mark.parametrize("value", ["bytes=0-0", "bytes=-1"])
def test_ranges_are_not_served(client: Client, user: str, value: str) -> None:
    assert client.get(user, headers={"Range": value}).json()["id"] == user.removeprefix("/Users/")


@pytest.mark.every_store(directories=False)
@pytest.mark.req("P-7.7-03")
@pytest.mark.parametrize("character", ["%0d%0a", "%0a", "%0d", "%00"])
def test_path_characters_that_end_lines(client: Client, character: str) -> None:
    for path in (f"/{character}", f"/Users{character}", f"/Schemas/{character}x", f"/Users/{quote('é')}{character}"):
        assert_refused(sent(client, "GET", path))
