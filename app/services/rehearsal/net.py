"""What would have been done: the net changes of a rehearsal, in an order in which they can be made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from app.control import Copy, Fate, Origin, Rehearsal
from app.scim.query import Delta, ResourceId, Slot, Value
from app.scim.registry import Registry, ResourceType
from app.services.rehearsal.beneath import Beneath
from app.services.rehearsal.copies import unique_values

Action = Literal["create", "restore", "update", "retire", "delete", "purge"]

_NAMES: tuple[Slot, ...] = ("userName", "displayName")
_FIRST: Mapping[Action, int] = {"create": 0, "restore": 1, "update": 2, "delete": 4, "retire": 5, "purge": 6}

Values = Mapping[Slot, Value | None]
Key = tuple[str, ResourceId]


@dataclass(frozen=True, slots=True)
class Item:
    """One net change. `before` and `after` have the slots that change, None for no value; `secrets` are those that
    would be set to what is not kept. `missing` are those who would be added to relations, but are no longer there.
    `copy` is the resource as the rehearsal has it."""

    action: Action
    copy: Copy
    before: Values = field(default_factory=dict)
    after: Values = field(default_factory=dict)
    relations: Mapping[str, Delta] = field(default_factory=dict)
    secrets: tuple[Slot, ...] = ()
    missing: Mapping[str, Sequence[ResourceId]] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        """Kind and id of the resource."""
        return self.copy.kind, self.copy.id

    @property
    def name(self) -> str:
        """Its userName or displayName, as it is afterwards."""
        values = {**self.copy.before, **self.copy.values}
        return next((str(values[slot]) for slot in _NAMES if slot in values), self.copy.id)


class Net:
    """Works out the net changes of a rehearsal on a store."""

    def __init__(self, rehearsal: Rehearsal, beneath: Beneath) -> None:
        self._rehearsal = rehearsal
        self._beneath = beneath
        self._registry: Registry = beneath.registry

    def items(self) -> list[Item]:
        """All of them. What follows of itself is none: a member who leaves with its account, a manager who goes.

        Creations come first, then changes, then deletions, and groups after the users that they hold; except that who
        gives up a name comes before who takes it.
        """
        copies = [c for resource_type in self._kinds() for c in self._rehearsal.copies(resource_type.name)]
        known = {(copy.kind, copy.id): copy for copy in copies}
        found = [item for copy in copies for item in self._of(copy, known)]
        found.sort(key=lambda item: (self._floor(item), item.copy.place))
        return _ordered(found, self._registry)

    def _kinds(self) -> list[ResourceType]:
        """The resource types, those that hold others after these."""
        return sorted(self._registry.types, key=_holds)

    def _floor(self, item: Item) -> tuple[bool, int, int]:
        ends = item.action in ("retire", "delete", "purge")
        holds = _holds(self._registry.type(item.copy.kind))
        return ends, -holds if ends else holds, _FIRST[item.action]

    def _of(self, copy: Copy, known: Mapping[Key, Copy]) -> Iterator[Item]:
        before, after = self._values(copy, known)
        secrets = tuple(slot for slot, is_set in copy.secrets.items() if is_set)
        if copy.origin is not Origin.NEW:
            after |= dict.fromkeys(slot for slot, is_set in copy.secrets.items() if not is_set)
        relations, missing = self._relations(copy, known) if copy.present else ({}, {})
        changed = bool(after or secrets or relations)
        if copy.origin is Origin.NEW:
            if copy.fate is not Fate.GONE:
                yield Item("create", copy, {}, after, relations, secrets, missing)
        elif copy.origin is Origin.RETIRED:
            if copy.fate is Fate.GONE:
                yield _ending("purge", copy, copy.before)
                return
            if not (copy.present or changed):
                return
            yield Item("restore", copy, before, after, relations, secrets, missing)
        elif copy.fate is Fate.GONE:
            yield _ending("delete", copy, copy.before)
        elif changed:
            yield Item("update", copy, before, after, relations, secrets, missing)
        if copy.fate is Fate.RETIRED:
            yield _ending("retire", copy, copy.values)

    def _values(
        self, copy: Copy, known: Mapping[Key, Copy]
    ) -> tuple[dict[Slot, Value | None], dict[Slot, Value | None]]:
        slots = [s for s in (*copy.before, *copy.values) if copy.before.get(s) != copy.values.get(s)]
        for lookup in self._registry.type(copy.kind).lookups.values():
            if lookup.via not in slots or lookup.via in copy.values:
                continue
            if self._leaving(lookup.kind, [copy.before[lookup.via]], known):
                slots = [slot for slot in slots if slot != lookup.via]
        return {s: copy.before.get(s) for s in slots}, {s: copy.values.get(s) for s in slots}

    def _relations(
        self, copy: Copy, known: Mapping[Key, Copy]
    ) -> tuple[dict[str, Delta], dict[str, Sequence[ResourceId]]]:
        """What changes in relations, and those who would be added but are not there."""
        deltas: dict[str, Delta] = {}
        missing: dict[str, Sequence[ResourceId]] = {}
        for name, relation in self._registry.type(copy.kind).relations.items():
            if not relation.stored:
                continue
            added = list(self._rehearsal.related(copy.kind, copy.id, name, added=True))
            if name in copy.cleared:
                held = {far.id for _, far in self._beneath.inner.related(copy.kind, [copy.id], name)}
                removed = sorted(held.difference(added))
                added = [id for id in added if id not in held]
            else:
                removed = list(self._rehearsal.related(copy.kind, copy.id, name, added=False))
            nowhere = self._nowhere(relation.target, added, known)
            if nowhere:
                missing[name] = [id for id in added if id in nowhere]
            going = self._leaving(relation.target, removed, known)
            delta = Delta(tuple(id for id in added if id not in nowhere), tuple(i for i in removed if i not in going))
            if not delta.empty:
                deltas[name] = delta
        return deltas, missing

    def _nowhere(self, kind: str, ids: Sequence[ResourceId], known: Mapping[Key, Copy]) -> set[ResourceId]:
        """Those that the store does not have, and will not have when the rehearsal is applied."""
        rest = [id for id in ids if (kind, id) not in known or not _comes(known[kind, id])]
        return set(rest).difference(self._beneath.among(kind, rest))

    def _leaving(self, kind: str, ids: Sequence[ResourceId], known: Mapping[Key, Copy]) -> set[ResourceId]:
        """Those that leave in the rehearsal, or have left the store: to refer to them no more is no change."""
        unknown = [id for id in ids if (kind, id) not in known]
        live = self._beneath.among(kind, unknown)
        return {id for id in unknown if id not in live} | {
            id for id in ids if (kind, id) in known and not known[kind, id].present
        }


def _ending(action: Action, copy: Copy, values: Mapping[Slot, Value]) -> Item:
    """The item by which a resource goes, which has these values then."""
    return Item(action, copy, dict(values), dict.fromkeys(values))


def _comes(copy: Copy) -> bool:
    """Whether the store gets a resource that it does not have among the others."""
    return copy.fate is not Fate.GONE if copy.origin is Origin.NEW else copy.origin is Origin.RETIRED and copy.present


def _holds(resource_type: ResourceType) -> bool:
    return any(relation.stored for relation in resource_type.relations.values())


def _ordered(items: Sequence[Item], registry: Registry) -> list[Item]:
    """The items, each after those without which it can't be made; of a circle one comes first all the same."""
    freeing = _freeing(items, registry)
    of: dict[Key, list[Item]] = {}
    for item in items:
        of.setdefault(item.key, []).append(item)
    done: list[Item] = []
    begun: set[int] = set()

    def before(item: Item) -> Iterable[Item]:
        resource_type = registry.type(item.copy.kind)
        mine = of[item.key]
        yield from mine[: mine.index(item)]
        takes = item.copy.values if item.action == "restore" else item.after
        for attribute, form in unique_values(resource_type, takes):
            givers = freeing.get((item.copy.kind, attribute.path, str(form)), ())
            yield from (one for one in givers if one.key != item.key)
        for lookup in resource_type.lookups.values():
            referred = of.get((lookup.kind, str(item.after.get(lookup.via))), ())
            # Who refers to one that leaves does so since it has left: before that it would lose the reference.
            yield from (one for one in referred if one.action != "update" and one.key != item.key)
            if item.action == "retire" and lookup.via not in item.before:
                # What is kept of who leaves does not refer to one that left before.
                yield from of.get((lookup.kind, str(item.copy.before.get(lookup.via))), ())
        for name, delta in item.relations.items():
            for far in delta.add:
                yield from _coming(of.get((resource_type.relations[name].target, far), ()))

    for first in items:
        waiting = [(first, iter(before(first)))] if id(first) not in begun else []
        begun.add(id(first))
        while waiting:
            item, needed = waiting[-1]
            other = next((one for one in needed if id(one) not in begun), None)
            if other is None:
                done.append(item)
                waiting.pop()
            else:
                begun.add(id(other))
                waiting.append((other, iter(before(other))))
    return list(_each_in_turn(done, of))


def _each_in_turn(items: Iterable[Item], of: Mapping[Key, Sequence[Item]]) -> Iterator[Item]:
    """The items, none before an earlier one of the same resource, as a circle may have put it: nothing ends before it
    is there."""
    told: set[int] = set()
    for item in items:
        mine = of[item.key]
        for one in mine[: mine.index(item) + 1]:
            if id(one) not in told:
                told.add(id(one))
                yield one


def _coming(items: Iterable[Item]) -> Iterator[Item]:
    return (item for item in items if item.action in ("create", "restore"))


def _freeing(items: Iterable[Item], registry: Registry) -> dict[tuple[str, Slot, str], list[Item]]:
    """The items that give up a value that only one resource may have."""
    found: dict[tuple[str, Slot, str], list[Item]] = {}
    for item in items:
        resource_type = registry.type(item.copy.kind)
        kept = set(unique_values(resource_type, item.after))
        for attribute, form in unique_values(resource_type, item.before):
            if (attribute, form) not in kept:
                found.setdefault((item.copy.kind, attribute.path, str(form)), []).append(item)
    return found
