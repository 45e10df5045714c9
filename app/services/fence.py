"""A back end that lets writes through only to some of its resources, and may hide the others."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from app.scim.filter.nodes import Constant
from app.scim.query import (
    Change,
    Delta,
    Draft,
    Page,
    Query,
    Reference,
    Resource,
    ResourceId,
    Slot,
    Stamp,
    Value,
    Version,
    Window,
)
from app.services.around import Around
from app.services.rules import Rule
from app.services.veil import Veil
from backends.base import FIRST_PAGE, Backend
from backends.errors import NotFound

_AT_ONCE = 500
"""How many retired resources are read at a time."""


class Fenced(Around):
    """The store `inner`, with a fence around those resources that satisfy the rule of their kind in `inside`; a kind
    without one is inside as a whole.

    Each write costs one read of the resource itself, and none for a kind without a rule. It is decided by what the
    store holds when the write is asked for. With `hides` what is outside is not there for readers (see Veil), and a
    relation to it can't be made, is not shown, and stays.
    """

    def __init__(self, inner: Backend, inside: Mapping[str, Rule], *, hides: bool) -> None:
        super().__init__(inner)
        self._inside = inside
        self._veil = Veil(inner, inside) if hides else None

    @abstractmethod
    def outside(self, kind: str) -> Exception:
        """What is raised for a write to a resource outside."""

    @abstractmethod
    def leaving(self, kind: str) -> Exception:
        """What is raised for a write by which a resource, or a new one, would be outside."""

    def get(self, kind: str, id: ResourceId, want: frozenset[Slot]) -> Resource:
        return (self._veil or self._inner).get(kind, id, want)

    def search(self, kind: str, query: Query) -> Page:
        return (self._veil or self._inner).search(kind, query)

    def related(self, kind: str, ids: Sequence[ResourceId], relation: str) -> Iterator[tuple[ResourceId, Reference]]:
        return (self._veil or self._inner).related(kind, ids, relation)

    def create(self, kind: str, draft: Draft) -> Resource:
        rule = self._inside.get(kind)
        if rule is not None and not self._comes_inside(rule, kind, "", draft.values):
            raise self.leaving(kind)
        # What can't be seen can't be referred to.
        self._meant(kind, None, Change(relations={name: Delta(ids) for name, ids in draft.relations.items()}))
        return self._inner.create(kind, draft)

    def update(self, kind: str, id: ResourceId, change: Change, *, expect: Version | None = None) -> Stamp:
        self.admit(kind, id, change.values)
        return self._inner.update(kind, id, self._meant(kind, id, change), expect=expect)

    def delete(self, kind: str, id: ResourceId, *, expect: Version | None = None) -> None:
        self.admit_removal(kind, id)
        self._inner.delete(kind, id, expect=expect)

    def retire(self, kind: str, id: ResourceId, *, expect: Version | None = None) -> None:
        self.admit_removal(kind, id)
        self._inner.retire(kind, id, expect=expect)

    def retired(
        self, kind: str, want: frozenset[Slot], names: Sequence[str] | None = None, window: Window = FIRST_PAGE
    ) -> Page:
        """Those that are inside: where a rule has `bases`, those that would come back there. Every retired resource
        with one of the names is read."""
        rule = self._inside.get(kind)
        if rule is None:
            return self._inner.retired(kind, want, names, window)
        everyone = self._all_retired(kind, want | self._asked_of_retired(rule, kind), names)
        found = [one for one in everyone if self._comes_inside(rule, kind, one.id, one.values)]
        start = max(window.start, 1) - 1
        shown = found[start : start + max(window.count, 0)]
        wanted = (replace(r, values={s: v for s, v in r.values.items() if s in want}) for r in shown)
        return Page(len(found), tuple(wanted))

    def restore(self, kind: str, id: ResourceId, change: Change) -> Resource:
        """As `Backend.restore`; where the kind has a rule, the retired resources are read until it is found."""
        rule = self._inside.get(kind)
        if rule is not None:
            wanted = self._asked_of_retired(rule, kind)
            before = next((one for one in self._all_retired(kind, wanted, None) if one.id == id), None)
            if before is None:
                raise NotFound(kind)
            if not self._comes_inside(rule, kind, id, before.values):
                raise self.outside(kind)
            if not self._comes_inside(rule, kind, id, {**before.values, **change.values}):
                raise self.leaving(kind)
        return self._inner.restore(kind, id, self._meant(kind, None, change))

    def admit_removal(self, kind: str, id: ResourceId) -> None:
        """Return when the resource may be deleted or retired. Raises NotFound, and what `outside` gives."""
        self.admit(kind, id, {})

    def admit(self, kind: str, id: ResourceId, values: Mapping[Slot, Value | None]) -> None:
        """Return when the resource is inside and is so with these values too. Raises NotFound, and what `outside` and
        `leaving` give."""
        rule = self._inside.get(kind)
        if rule is None:
            return
        if rule.bound == Constant(False):
            raise self.outside(kind)
        before = self._inner.get(kind, id, rule.slots)
        elsewhere = rule.bases and not self._inner.within(kind, [before.id], rule.bases)
        if elsewhere or not rule.holds(kind, before.id, before.values):
            raise self.outside(kind)
        # A change of values takes an entry to no other place.
        if not rule.slots.isdisjoint(values) and not rule.holds(kind, before.id, {**before.values, **values}):
            raise self.leaving(kind)

    def _comes_inside(self, rule: Rule, kind: str, id: ResourceId, values: Mapping[Slot, Value | None]) -> bool:
        """Whether a resource that is created or restored with these values is inside then."""
        if not rule.holds(kind, id, values):
            return False
        assigned = {slot: value for slot, value in values.items() if value is not None}
        return not rule.bases or self._inner.lands_within(kind, assigned, rule.bases)

    def _asked_of_retired(self, rule: Rule, kind: str) -> frozenset[Slot]:
        """What of a retired resource decides whether it is inside; any value may decide on its place."""
        return self.registry.type(kind).readable if rule.bases else rule.slots

    def _all_retired(self, kind: str, want: frozenset[Slot], names: Sequence[str] | None) -> Iterator[Resource]:
        start, total = 1, 1
        while start <= total:
            page = self._inner.retired(kind, want, names, Window(start, _AT_ONCE))
            yield from page.items
            start, total = start + _AT_ONCE, page.total

    def _meant(self, kind: str, id: ResourceId | None, change: Change) -> Change:
        """The change as one who sees only what is inside can mean it."""
        if self._veil is None:
            return change
        relations = {name: self._veil.delta(kind, id, name, delta) for name, delta in change.relations.items()}
        return Change(change.values if id is None else self._veil.kept(kind, id, change.values), relations)
