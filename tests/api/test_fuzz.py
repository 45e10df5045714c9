"""Whole requests from a grammar around good ones: never a 5xx, always a SCIM error where there is one.

LANDFALL_REQUEST_EXAMPLES is their number for each store (500; a fifth on directories); the choice is the same in every
run.
"""

from __future__ import annotations

import itertools
import json
import os
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tests.api.expect import new_user
from tests.api.raw import Answer, send
from tests.api.schemas import TRAITS, VECTORS
from tests.support.directories import DIRECTORY_SERVERS
from tests.support.service import ENTERPRISE, ERROR, GROUP, PATCH_OP, SCIM_JSON, SEARCH_REQUEST, USER, Client

pytestmark = pytest.mark.every_store

VECTOR = VECTORS["seed"]["extensionSchemas"][0]["id"]
NOT_OFFERED = ("/Bulk", "/Me")

_text = st.text(st.characters(codec="utf-8"), max_size=20)
_word = st.sampled_from(
    [
        "",
        "x",
        "work",
        "True",
        "false",
        "0",
        "mira@tern.example",
        "2024-01-01T00:00:00Z",
        "\0",
        "a\nb",
        "é",
        "\U0001f6a2",
    ]
)
_scalar = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-2, 3),
    st.floats(allow_nan=False, allow_infinity=False),
    _word,
    _text,
)
_names = st.sampled_from(
    [
        *(
            "schemas",
            "id",
            "meta",
            "userName",
            "externalId",
            "name",
            "displayName",
            "active",
            "emails",
            "roles",
            "title",
        ),
        *("password", "groups", "members", "x509Certificates", "addresses", "phoneNumbers", "manager", "department"),
        *("value", "type", "primary", "display", "$ref", "givenName", "familyName", "formatted", "locale", "unknown"),
        *(
            ENTERPRISE,
            TRAITS,
            VECTOR,
            USER,
            GROUP,
            "USERNAME",
            "Emails",
            "level",
            "score",
            "hired",
            "tags",
            "birthPlace",
        ),
    ]
)
_value = st.recursive(
    _scalar,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.one_of(_names, _text), inner, max_size=4)),
    max_leaves=8,
)
_members = st.dictionaries(_names, _value, max_size=5)

_attribute = st.one_of(
    st.sampled_from(
        [
            *(
                "userName",
                "displayName",
                "title",
                "active",
                "emails",
                "emails.value",
                "name.givenName",
                "members",
                "groups",
            ),
            *(
                "meta",
                "meta.created",
                "meta.lastModified",
                "id",
                "externalId",
                "schemas",
                "password",
                "manager",
                "groups.display",
            ),
            *(
                f"{ENTERPRISE}:department",
                f"{ENTERPRISE}:manager.value",
                f"{VECTOR}:level",
                f"{VECTOR}:hired",
                ENTERPRISE,
            ),
            *(f"{VECTOR}:tags", f"{USER}:userName", "emails[0]", "roles.primary", "name", "x509Certificates.value"),
        ]
    ),
    _text,
)
_operand = st.one_of(_scalar, _text).map(json.dumps)
_comparison = st.builds(
    "{} {} {}".format,
    _attribute,
    st.sampled_from(["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le", "EQ", "pr", "is", ""]),
    _operand,
)
_filter = st.recursive(
    st.one_of(_comparison, _attribute.map("{} pr".format), _text),
    lambda inner: st.one_of(
        st.builds("{} {} {}".format, inner, st.sampled_from(["and", "or", "AND", "xor"]), inner),
        inner.map("({})".format),
        inner.map("not ({})".format),
        st.builds("{}[{}]".format, _attribute, inner),
        st.builds("{}[{}].{} eq {}".format, _attribute, inner, _text, _operand),
    ),
    max_leaves=5,
)
_patch_path = st.one_of(
    _attribute,
    st.builds("{}[{}]".format, _attribute, _filter),
    st.builds("{}[{}].{}".format, _attribute, _filter, _names),
)
_operation = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "Add", "Replace", "Remove", "move", 7])},
    optional={"path": st.one_of(_patch_path, _scalar), "value": st.one_of(_value, _members), "extra": _value},
)


def _mixed(schema: str, **members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A message of a schema with good members, of which some are overwritten by bad ones."""
    good = st.fixed_dictionaries({"schemas": st.just([schema])}, optional=members)
    return st.builds(lambda start, more: {**start, **more}, good, st.one_of(st.just({}), st.just({}), _members))


_emails = st.lists(st.fixed_dictionaries({"value": _text}, optional={"type": _word, "primary": _scalar}), max_size=3)
_integer = st.one_of(st.integers(-2, 5), st.integers(), st.sampled_from([10**30, -(10**30), 2**63]))
_documents = {
    "user": st.one_of(
        _mixed(USER, userName=_text, displayName=_text, emails=_emails, active=st.booleans(), name=_value),
        _mixed(USER, userName=_text, **{USER: _members}),
    ),
    "group": st.one_of(
        _mixed(GROUP, displayName=_text, members=st.one_of(st.just([]), _value), externalId=_text),
        _mixed(GROUP, displayName=_text, **{GROUP: _members}),
    ),
    "patch": _mixed(PATCH_OP, Operations=st.lists(_operation, max_size=4)),
    "search": _mixed(
        SEARCH_REQUEST,
        filter=_filter,
        sortBy=_attribute,
        count=_integer,
        startIndex=_integer,
        attributes=st.lists(_attribute),
    ),
}
_body = st.one_of(
    *(document.map(lambda value: json.dumps(value).encode()) for document in _documents.values()),
    *(document.map(lambda v: json.dumps(v, ensure_ascii=False).encode("utf-8")) for document in _documents.values()),
    _value.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=40),
    st.just(b""),
)
_segment = st.one_of(
    st.sampled_from(["{user}", "{group}", ".search", "Users", "Groups", "Schemas", "x", "..", ""]),
    _text.map(lambda text: quote(text, safe="")),
    st.binary(max_size=8).map(quote),
)
_path = st.one_of(
    st.sampled_from(
        [
            *(
                "/Users",
                "/Users/{user}",
                "/Groups",
                "/Groups/{group}",
                "/.search",
                "/Users/.search",
                "",
                "/",
                "/Users/",
            ),
            *(
                "/Groups/.search",
                "/Schemas",
                f"/Schemas/{USER}",
                "/ResourceTypes/User",
                "/ServiceProviderConfig",
                "//Users",
            ),
            *NOT_OFFERED,
        ]
    ),
    st.lists(_segment, max_size=4).map(lambda segments: "/" + "/".join(segments)),
)
_parameter = st.one_of(
    st.tuples(st.just("filter"), _filter),
    st.tuples(st.sampled_from(["attributes", "excludedAttributes", "sortBy"]), _attribute),
    st.tuples(st.sampled_from(["count", "startIndex"]), st.one_of(_integer.map(str), _text)),
    st.tuples(st.just("sortOrder"), st.one_of(st.sampled_from(["ascending", "DESCENDING"]), _text)),
    st.tuples(_text, _text),
)
_query = st.one_of(
    st.just(""),
    st.lists(_parameter, max_size=4).map(lambda pairs: "?" + urlencode(pairs)),
    st.binary(max_size=20).map(lambda octets: "?" + quote(octets, safe="=&%+;")),
)
_printable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=20)
_headers = st.fixed_dictionaries(
    {},
    optional={
        "If-Match": st.one_of(st.sampled_from(["*", 'W/"1"', '"1"']), _printable),
        "If-None-Match": st.one_of(st.sampled_from(["*", 'W/"1"', '"1", W/"2"']), _printable),
        "If-Modified-Since": _printable,
        "If-Unmodified-Since": st.one_of(_printable, st.just("Sun, 06 Nov 1994 08:49:37 GMT")),
        "Accept": _printable,
        "Prefer": _printable,
    },
)
_media_type = st.one_of(
    st.just(SCIM_JSON), st.sampled_from(["application/json", "text/plain", f"{SCIM_JSON}; charset=utf-8"]), _printable
)
_ANY = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "PROPFIND")
# Each request that is offered, with the kind of body that it takes.
_OFFERED = [
    *[("GET", path, None) for path in ("/Users", "/Groups", "/", "/Users/{user}", "/Groups/{group}")],
    *[("POST", path, "search") for path in ("/.search", "/Users/.search", "/Groups/.search")],
    *[("POST", "/Users", "user"), ("PUT", "/Users/{user}", "user"), ("PATCH", "/Users/{user}", "patch")] * 2,
    *[("POST", "/Groups", "group"), ("PUT", "/Groups/{group}", "group"), ("PATCH", "/Groups/{group}", "patch")] * 2,
    *[("DELETE", "/Users/{user}", None), ("HEAD", "/Users/{user}", None), ("GET", "/Schemas", None)],
]


@dataclass(frozen=True, slots=True)
class Request:
    """A request; `{user}` and `{group}` in the path stand for ids that exist."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    media_type: str
    body: bytes


def _offered(row: tuple[str, str, str | None]) -> st.SearchStrategy[Request]:
    method, path, kind = row
    body = _documents[kind].map(lambda value: json.dumps(value).encode()) if kind else st.just(b"")
    query = _query if method == "GET" else st.one_of(st.just(""), st.just(""), _query)
    none: dict[str, str] = {}
    headers = st.one_of(st.just(none), st.just(none), _headers)
    return st.builds(Request, st.just(method), st.just(path), query, headers, st.just(SCIM_JSON), body)


_good = st.sampled_from(_OFFERED).flatmap(_offered)
_any = st.builds(Request, st.sampled_from(_ANY), _path, _query, _headers, _media_type, _body)
_request = st.one_of(_good, _good, _good, _any)


def check(request: Request, answer: Answer) -> None:
    """What holds of every answer."""
    not_offered = request.path.rstrip("/") in NOT_OFFERED and answer.status == 501
    assert answer.status < 500 or not_offered, answer
    assert 200 <= answer.status < 300 or answer.status == 304 or answer.status >= 400
    if answer.status in (204, 304) or request.method == "HEAD":
        assert answer.body == b""
    elif answer.status >= 400:
        assert answer.headers["content-type"] == SCIM_JSON
        document = answer.json()
        assert document["schemas"] == [ERROR]
        assert document["status"] == str(answer.status)
        assert isinstance(document["detail"], str)
    elif request.method != "OPTIONS":
        assert answer.headers["content-type"] == SCIM_JSON
        assert isinstance(answer.json()["schemas"], list)
    if answer.status == 405:
        assert answer.headers["allow"]


@pytest.mark.req("P-3.12-01", "P-3.12-04", "P-3.8-07")
def test_any_request_gets_a_good_answer(client: Client, store_name: str) -> None:
    examples = int(os.environ.get("LANDFALL_REQUEST_EXAMPLES", "500"))

    @settings(
        # On a directory a request takes longer.
        max_examples=max(1, examples // 5) if store_name in DIRECTORY_SERVERS else examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(request=_request)
    def each(request: Request) -> None:
        user, group = _existing(client)
        target = request.path.replace("{user}", user).replace("{group}", group) + request.query
        headers = [("Authorization", client.headers["Authorization"]), ("Content-Type", request.media_type)]
        sent = [*headers, *request.headers.items()]
        answer = send(client.base, request.method, target, headers=sent, body=request.body)
        event(f"{request.method} {answer.status}")
        check(request, answer)

    each()


_made: dict[str, tuple[str, str]] = {}
_numbers = itertools.count()


def _existing(client: Client) -> tuple[str, str]:
    """The ids of a user and a group that exist; new ones where an earlier request deleted them."""
    known = _made.get(client.base)
    if (
        known is None
        or client.get(f"/Users/{known[0]}").status_code != 200
        or client.get(f"/Groups/{known[1]}").is_error
    ):
        name = f"fuzz-{next(_numbers)}-{id(client)}"
        user = new_user(client, name).removeprefix("/Users/")
        known = _made[client.base] = (user, client.group(name, user)["id"])
    return known
