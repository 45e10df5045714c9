"""Which entries are in a subtree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from app.scim.query import ResourceId, Slot, Value
from backends.ldap import dn
from backends.ldap.branch import NOTHING, Branch
from backends.ldap.drivers.base import Entry
from backends.ldap.placement import Placement
from config.directory import KindBindings


def in_one(name: str, bases: Iterable[str]) -> bool:
    """Whether an entry of that DN is at the top of one of the subtrees or below it."""
    return _below_one(dn.key(name), map(dn.key, bases))


def tops(base: str, bases: Sequence[str]) -> list[str]:
    """The tops of subtrees that together hold what is below `base` and in one of the subtrees `bases`; no entry is in
    two of them."""
    whole = dn.key(base)
    if _below_one(whole, map(dn.key, bases)):
        return [base]
    found = {key: name for name in bases if _below_one(key := dn.key(name), (whole,))}
    return [name for key, name in found.items() if not _below_one(key, found.keys() - {key})]


def elsewhere(entries: Iterable[Entry], bases: Sequence[str]) -> Iterator[Entry]:
    """The entries that are in none of the subtrees."""
    keys = [dn.key(base) for base in bases]
    return (entry for entry in entries if not _below_one(dn.key(entry.dn), keys))


def within(branch: Branch, ids: Sequence[ResourceId], bases: Sequence[str]) -> frozenset[ResourceId]:
    """Those of the resources that are in one of the subtrees. What was read a moment ago is not asked for again."""
    names = branch.recent.names(ids)
    rest = [id for id in ids if id not in names]
    names.update((id, entry.dn) for id, entry in branch.by_ids(rest, ()).items())
    return frozenset(id for id, name in names.items() if in_one(name, bases))


def may_land_within(bindings: KindBindings, values: Mapping[Slot, Value], bases: Sequence[str]) -> bool:
    """Whether one of the places where a new entry with these values may go is in one of the subtrees."""
    return any(in_one(parent, bases) for parent in Placement(bindings).parents(values))


def lands_within(branch: Branch, values: Mapping[Slot, Value], bases: Sequence[str]) -> bool:
    """Whether the first of those places that is there is in one of the subtrees. Where all agree none is asked for."""
    parents = Placement(branch.bindings).parents(values)
    inside = [in_one(parent, bases) for parent in parents]
    if all(inside) or not any(inside):
        return inside[0]
    there = (answer for parent, answer in zip(parents, inside, strict=True) if branch.at(parent, NOTHING) is not None)
    return next(there, inside[-1])


def fault(branches: Sequence[Branch], base: str) -> str | None:
    """Why none of the entries of these branches can be in a subtree, None where some can."""
    bound = [branch.bindings.base for branch in branches]
    if not any(in_one(base, (one,)) or in_one(one, (base,)) for one in bound):
        names = " or ".join(dict.fromkeys(bound))
        return f"{base} has nothing in common with {names}, where the bindings keep users and groups"
    if branches[0].at(base, NOTHING) is None:
        return f"there is no entry {base}, or the service account may not read it"
    return None


def _below_one(key: str, bases: Iterable[str]) -> bool:
    """Whether a DN is one of others or below it, all as `dn.key` writes them."""
    return any(key == base or key.endswith(f"\0{base}") for base in bases)
