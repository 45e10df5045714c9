"""Which entries are in a subtree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from app.scim.query import ResourceId, Slot, Value
from backends.ldap import dn
from backends.ldap.branch import Branch
from backends.ldap.placement import Placement
from config.directory import KindBindings


def in_one(name: str, bases: Iterable[str]) -> bool:
    """Whether an entry of that DN is at the top of one of the subtrees or below it."""
    key = dn.key(name)
    return any(key == base or key.endswith(f"\0{base}") for base in map(dn.key, bases))


def within(branch: Branch, ids: Sequence[ResourceId], bases: Sequence[str]) -> frozenset[ResourceId]:
    """Those of the resources that are in one of the subtrees. What was read a moment ago is not asked for again."""
    names = branch.recent.names(ids)
    rest = [id for id in ids if id not in names]
    names.update((id, entry.dn) for id, entry in branch.by_ids(rest, ()).items())
    return frozenset(id for id, name in names.items() if in_one(name, bases))


def may_land_within(bindings: KindBindings, values: Mapping[Slot, Value], bases: Sequence[str]) -> bool:
    """Whether one of the places where a new entry with these values may go is in one of the subtrees."""
    return any(in_one(parent, bases) for parent in Placement(bindings).parents(values))
