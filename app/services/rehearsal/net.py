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
    would be set to what is not kept. `copy` is the resource as the rehearsal has it."""

    action: Action
    copy: Copy
    before: Values = field(default_factory=dict)
    after: Values = field(default_factory=dict)
    relations: Mapping[str, Delta] = field(default_factory=dict)
    secrets: tuple[Slot, ...] = ()

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
        relations = dict(self._relations(copy, known)) if copy.present else {}
        changed = bool(after or secrets or any(not delta.empty for delta in relations.values()))
        if copy.origin is Origin.NEW:
            if copy.fate is not Fate.GONE:
                yield Item("create", copy, {}, after, relations, secrets)
        elif copy.origin is Origin.RETIRED:
            if copy.fate is Fate.GONE:
                yield Item("purge", copy, dict(copy.before), dict.fromkeys(copy.before))
            elif copy.present or changed:
                yield Item("restore", copy, before, after, relations, secrets)
                if not copy.present:
                    yield Item("retire", copy)
            return
        elif copy.fate is Fate.GONE:
            yield Item("delete", copy, dict(copy.before), dict.fromkeys(copy.before))
        elif changed:
            yield Item("update", copy, before, after, relations, secrets)
        if copy.fate is Fate.RETIRED:
            yield Item("retire", copy)

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

    def _relations(self, copy: Copy, known: Mapping[Key, Copy]) -> Iterator[tuple[str, Delta]]:
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
            going = self._leaving(relation.target, removed, known)
            delta = Delta(tuple(added), tuple(id for id in removed if id not in going))
            if not delta.empty:
                yield name, delta

    def _leaving(self, kind: str, ids: Sequence[ResourceId], known: Mapping[Key, Copy]) -> set[ResourceId]:
        """Those that leave in the rehearsal, or have left the store: to refer to them no more is no change."""
        unknown = [id for id in ids if (kind, id) not in known]
        live = self._beneath.among(kind, unknown)
        return {id for id in unknown if id not in live} | {
            id for id in ids if (kind, id) in known and not known[kind, id].present
        }


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
        for attribute, form in unique_values(resource_type, item.after):
            yield from freeing.get((item.copy.kind, attribute.path, str(form)), ())
        for lookup in resource_type.lookups.values():
            yield from _coming(of.get((lookup.kind, str(item.after.get(lookup.via))), ()))
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
    return done


def _coming(items: Iterable[Item]) -> Iterator[Item]:
    return (item for item in items if item.action in ("create", "restore"))


def _freeing(items: Iterable[Item], registry: Registry) -> dict[tuple[str, Slot, str], list[Item]]:
    """The items that give up a value that only one resource may have."""
    found: dict[tuple[str, Slot, str], list[Item]] = {}
    for item in items:
        gives_up = item.copy.before if item.action in ("retire", "delete") else item.before
        resource_type = registry.type(item.copy.kind)
        kept = set(unique_values(resource_type, item.after))
        for attribute, form in unique_values(resource_type, gives_up):
            if (attribute, form) not in kept:
                found.setdefault((item.copy.kind, attribute.path, str(form)), []).append(item)
    return found
