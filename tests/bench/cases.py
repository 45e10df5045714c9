"""What is measured: for each case its requests, and how much of the bare route it may cost."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tests.bench.load import make_request
from tests.support.service import ENTERPRISE, GROUP, PATCH_OP, USER

SCIM = "/scim/v2"


@dataclass(frozen=True, slots=True)
class Population:
    """What is stored, and the token of who asks. Names stand at the place of their ids."""

    token: str
    user_ids: Sequence[str]
    user_names: Sequence[str]
    group_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class Case:
    """`make` gives that many requests that have not been sent before. `target` is the most that one may cost, in
    bare routes; None where there is none. `share` is the part of the number of requests that the case is given."""

    name: str
    title: str
    wanted: int
    target: float | None
    make: Callable[[Population, int], list[bytes]]
    share: float = 1.0


_numbers = itertools.count(1)


def user_document(number: int, *, stem: str = "person") -> dict[str, Any]:
    """A user with all that an identity provider's default mapping sends."""
    account = f"{stem}{number}@tern.example"
    return {
        "schemas": [USER, ENTERPRISE],
        "externalId": f"{stem}-{number}",
        "userName": account,
        "active": True,
        "displayName": f"Mira Solberg {number}",
        "title": "Harbour Pilot",
        "preferredLanguage": "nb-NO",
        "name": {"formatted": f"Mira Solberg {number}", "familyName": "Solberg", "givenName": "Mira"},
        "emails": [{"primary": True, "type": "work", "value": account}],
        "phoneNumbers": [{"type": "work", "value": "+47 5550 1122"}, {"type": "mobile", "value": "4790011223"}],
        ENTERPRISE: {"employeeNumber": f"{number}", "department": "Pilotage", "costCenter": "CC-41"},
    }


def group_document(number: int) -> dict[str, Any]:
    """A group without members, as identity providers create it."""
    return {"schemas": [GROUP], "displayName": f"Night Shift {number}", "externalId": f"shift-{number}"}


def change(operation: dict[str, Any]) -> dict[str, Any]:
    """A PATCH body with one operation."""
    return {"schemas": [PATCH_OP], "Operations": [operation]}


def _bare(_: Population, count: int) -> list[bytes]:
    return [make_request("GET", "/bare")] * count


def _get(known: Population, count: int) -> list[bytes]:
    ids = itertools.islice(itertools.cycle(known.user_ids), count)
    return [make_request("GET", f"{SCIM}/Users/{id}", known.token) for id in ids]


def _filter(known: Population, count: int) -> list[bytes]:
    names = itertools.islice(itertools.cycle(known.user_names), count)
    filters = (quote(f'userName eq "{name}"') for name in names)
    return [make_request("GET", f"{SCIM}/Users?filter={text}", known.token) for text in filters]


def _create(known: Population, count: int) -> list[bytes]:
    documents = (user_document(next(_numbers), stem="new") for _ in range(count))
    return [make_request("POST", f"{SCIM}/Users", known.token, document) for document in documents]


def _patch(known: Population, count: int) -> list[bytes]:
    requests = []
    for id in itertools.islice(itertools.cycle(known.user_ids), count):
        body = change({"op": "Replace", "path": "title", "value": f"Officer {next(_numbers)}"})
        requests.append(make_request("PATCH", f"{SCIM}/Users/{id}", known.token, body))
    return requests


def _members(known: Population, count: int) -> list[bytes]:
    """In turn one member joins a group and leaves it again, so that each request changes something."""
    requests = []
    pairs = itertools.product(known.user_ids, known.group_ids)
    for user, group in itertools.islice(pairs, count // 2):
        for op in ("Add", "Remove"):
            body = change({"op": op, "path": "members", "value": [{"value": user}]})
            requests.append(make_request("PATCH", f"{SCIM}/Groups/{group}", known.token, body))
    return requests


def _page(known: Population, count: int) -> list[bytes]:
    starts = itertools.islice(itertools.cycle(range(1, 901, 100)), count)
    return [make_request("GET", f"{SCIM}/Users?startIndex={start}&count=100", known.token) for start in starts]


BARE = Case("bare", "bare route", 200, None, _bare)
CASES = (
    Case("get", "GET by id", 200, 2.5, _get),
    Case("filter", "filter by userName", 200, 2.5, _filter),
    Case("post", "POST a user", 201, 4, _create, 0.5),
    Case("patch", "PATCH one attribute", 200, 4, _patch, 0.5),
    Case("members", "PATCH one member", 204, 4, _members, 0.5),
    Case("page", "page of 100", 200, 12, _page, 0.1),
)
