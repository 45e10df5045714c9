"""Some sixty people and ten groups, the same in every run, on which filters, sorting and windows are tried."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.scim.attributes import Attribute, Type
from app.scim.filter.evaluate import View
from app.scim.query import Change, Draft, Resource, ResourceId, Slot, Value
from app.scim.registry import Registry
from backends.base import Backend
from tests.conformance.helpers import HOSTILE, MANAGER, views

PEOPLE = 60

_TEXTS = (
    "alpha",
    "Alpha",
    "ALPHA",
    "alphabet",
    "beta",
    "Beta Alpha",
    "gamma ",
    "gamma",
    "été",
    "ÉTÉ",
    "e\u0301te\u0301",
    "Straße",
    "STRASSE",
    "ＡＬＰＨＡ",
    "山田 太郎",
    "😀",
    "zeta\nline",
    "Z",
    "a",
    "10",
    "9",
    *HOSTILE,
)
_POOLS: Mapping[Type, Sequence[Any]] = {
    Type.STRING: _TEXTS,
    Type.BOOLEAN: (True, False),
    Type.INTEGER: (-5, 0, 1, 2, 3, 10, 100, 2**53 + 1, -(2**63), 2**63 - 1),
    Type.DECIMAL: (-1.5, 0.0, 0.1, 0.2, 1, 2.5, 1e10, 1e-7, 3.0),
    Type.DATE_TIME: (
        "2011-05-13T04:42:34Z",
        "2011-05-13T06:42:34+02:00",
        "2011-05-13T04:42:34.000001Z",
        "2024-02-29T00:00:00-11:00",
        "1969-12-31T23:59:59Z",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
    ),
    Type.BINARY: ("YWJj", "YWJD", "ywjj", "eHl6", "MTIzNA=="),
    Type.REFERENCE: (
        "https://a.example/Path",
        "https://a.example/path",
        "https://a.example/%41",
        "../Users/1",
        "urn:x:y_z",
    ),
}
_TYPES = ("work", "home", "Work", "other")


@dataclass(frozen=True, slots=True)
class Population:
    """A loaded store, what its resources look like to the evaluator, and the drafts that they were made from."""

    backend: Backend
    registry: Registry
    views: Mapping[str, Sequence[View]]
    drafts: Mapping[ResourceId, Draft]


def load(backend: Backend, registry: Registry) -> Population:
    """Put the population into an empty store."""
    chance = random.Random(7643)
    drafts: dict[ResourceId, Draft] = {}
    people = [_create(backend, "User", _person(registry, chance, n), drafts) for n in range(PEOPLE)]
    for n, person in enumerate(people):
        if n % 3 == 0:
            manager = chance.choice(people).id if n % 9 else f"gone-{n}"
            backend.update("User", person.id, Change({MANAGER: manager}))
    for n, (name, size) in enumerate(_TEAMS.items()):
        chosen = chance.sample(people, size)
        values: dict[Slot, Value] = {"displayName": name}
        if n % 2:
            values["externalId"] = chance.choice(_TEXTS)
        _create(backend, "Group", Draft(values, {"members": tuple(p.id for p in chosen)}), drafts)
    return Population(backend, registry, {k: views(backend, registry, k) for k in ("User", "Group")}, drafts)


_TEAMS = {
    "Alpha Team": 12,
    "alpha squad": 1,
    "ÉQUIPE": 7,
    "100% _club_": 5,
    "empty": 0,
    "山の会": 3,
    'O\'Brien "fans"': 2,
    "back\\slash*": 9,
    "everyone": 40,
    "zeta ": 4,
}


def _create(backend: Backend, kind: str, draft: Draft, drafts: dict[ResourceId, Draft]) -> Resource:
    made = backend.create(kind, draft)
    drafts[made.id] = draft
    return made


def _person(registry: Registry, chance: random.Random, number: int) -> Draft:
    resource_type = registry.type("User")
    values: dict[Slot, Value] = {}
    density = chance.choice((0.15, 0.5, 0.85))
    for slot, attribute in resource_type.slots.items():
        if slot in resource_type.readable and slot != MANAGER and chance.random() < density:
            values[slot] = _value(attribute, chance)
    values["userName"] = f"{chance.choice(('ann', 'Bob', 'ÇELIK', 'o%b_', '山田'))}.{number}@Corp.example"
    return Draft(values)


def _value(attribute: Attribute, chance: random.Random) -> Value:
    if not attribute.multi_valued:
        return chance.choice(_POOLS[attribute.type])
    size = chance.choice((1, 1, 2, 3))
    if not attribute.sub_attributes:
        return [chance.choice(_POOLS[attribute.type]) for _ in range(size)]
    elements = [_element(attribute, chance) for _ in range(size)]
    if chance.random() < 0.5:
        chance.choice(elements)["primary"] = True
    return elements


def _element(attribute: Attribute, chance: random.Random) -> dict[str, Any]:
    subs = [s for s in attribute.sub_attributes if s.name != "primary"]
    some = {s.name for s in subs if chance.random() < 0.7} or {subs[0].name}
    parts = {s.name: chance.choice(_TYPES if s.name == "type" else _POOLS[s.type]) for s in subs if s.name in some}
    return {**parts, "primary": False} if chance.random() < 0.2 else parts
