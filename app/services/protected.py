"""Resources that no client may change: administrators, service accounts, whatever an operator names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from app.scim.filter.nodes import And, Bound, Or
from app.scim.query import Draft, Query, Resource, ResourceId, Slot, Value, Window
from app.scim.registry import ID, Registry, ResourceType
from app.services.fence import Fenced
from app.services.rules import InvalidRule, Rule, bind_rule, same_id
from app.services.veil import refers_to, reports_to
from backends.base import Backend
from backends.errors import NotFound, Protected, StoreError, TooManyCandidates
from config.errors import ConfigError, Fault
from config.settings import Settings

_NOTHING: frozenset[Slot] = frozenset()
_REPORTS = 1000
"""The most resources that are looked at because a deletion would take a reference from them."""


def with_protection(backend: Backend, settings: Settings) -> Backend:
    """The back end itself when nothing is protected, else one that is Guarded. Raises ConfigError with every setting
    that can't be used."""
    rules, bases = protection(settings, backend.registry), settings.protected.bases
    return Guarded(backend, rules, bases, hides=settings.protected.hidden) if rules or bases else backend


def protection(settings: Settings, registry: Registry) -> dict[str, Rule]:
    """The rules of what is protected, by kind. Raises ConfigError."""
    protected = settings.protected
    rules: dict[str, Rule] = {}
    faults: list[Fault] = []
    for key, kind, text in (("users", "User", protected.users), ("groups", "Group", protected.groups)):
        if text is None:
            continue
        try:
            rules[kind] = bind_rule(text, registry.type(kind))
        except InvalidRule as error:
            faults.append(Fault(f"protected.{key}", error.detail))
    if protected.bases and settings.backend != "ldap":
        faults.append(Fault("protected.bases", 'can only be set when backend is "ldap"'))
    if protected.bases and protected.hidden:
        message = "can't be set together with protected.bases: a search in a directory can't leave out a subtree"
        faults.append(Fault("protected.hidden", message))
    if faults:
        raise ConfigError(faults)
    return rules


class Guarded(Fenced):
    """The store `inner`, of which no write changes what satisfies the rule of its kind, or is in one of the subtrees
    `bases` of a directory.

    Such a write raises Protected, or with `hides` NotFound; so does one by which a resource would become protected, and
    a deletion that would take a member from a protected group or a manager from a protected user. A protected user may
    become a member of a group that is not protected, and cease to be one: that changes the group.

    A write costs at most one read more, a deletion at most one for each kind that has a rule; `bases` cost no more
    beside a rule, but for deletions.
    """

    def __init__(self, inner: Backend, rules: Mapping[str, Rule], bases: tuple[str, ...] = (), *, hides: bool) -> None:
        super().__init__(inner, {kind: rule.negated for kind, rule in rules.items()}, hides=hides)
        self._rules = rules
        self._bases = bases
        self._hides = hides

    def outside(self, kind: str) -> StoreError:
        if self._hides:
            return NotFound(kind)
        return Protected(f"this {kind.lower()} is protected: the operator of this service lets no client change it")

    def leaving(self, kind: str) -> StoreError:
        return Protected(f"with these values the {kind.lower()} would be protected: no client may make such a one")

    def create(self, kind: str, draft: Draft) -> Resource:
        if self._bases and self._inner.may_land_within(kind, draft.values, self._bases):
            raise self.leaving(kind)
        return super().create(kind, draft)

    def admit_removal(self, kind: str, id: ResourceId) -> None:
        resource_type = self.registry.type(kind)
        self._refuse_if_chosen(resource_type, id)
        if self._bases:
            self._refuse_within(resource_type, id)

    def admit(self, kind: str, id: ResourceId, values: Mapping[Slot, Value | None]) -> None:
        super().admit(kind, id, values)
        if self._bases and self._inner.within(kind, [id], self._bases):
            raise self.outside(kind)

    def _refuse_if_chosen(self, resource_type: ResourceType, id: ResourceId) -> None:
        """Return when the deletion changes nothing that a rule chooses: not the resource, nor what refers to it."""
        for kind, changed in self._changed_by_deletion(resource_type, id):
            rule = self._rules.get(kind)
            itself = [same_id(ID, id)] if kind == resource_type.name else []
            if rule is None or not (itself or changed):
                continue
            filter = And((Or((*itself, *changed)), rule.bound))
            found = self._inner.search(kind, Query(_NOTHING, filter, window=Window(1, 1 if itself else 0)))
            if not found.total:
                continue
            if itself:
                super().admit(kind, id, {})
            raise _still_referred_to(resource_type)

    def _refuse_within(self, resource_type: ResourceType, id: ResourceId) -> None:
        if self._inner.within(resource_type.name, [id], self._bases):
            raise self.outside(resource_type.name)
        for kind, changed in self._changed_by_deletion(resource_type, id):
            if not changed:
                continue
            page = self._inner.search(kind, Query(_NOTHING, Or(tuple(changed)), window=Window(1, _REPORTS)))
            if page.total > _REPORTS:
                raise TooManyCandidates
            if self._inner.within(kind, [resource.id for resource in page.items], self._bases):
                raise _still_referred_to(resource_type)

    def _changed_by_deletion(self, resource_type: ResourceType, id: ResourceId) -> Iterator[tuple[str, list[Bound]]]:
        """For each kind what holds for the resources of it that refer to one that goes."""
        inverse = {r.target: r.inverse for r in resource_type.relations.values() if not r.stored}
        for other in self.registry.types:
            changed = reports_to(other, resource_type.name, id)
            if other.name in inverse:
                changed.append(refers_to(other.relations[inverse[other.name]].attribute, id))
            yield other.name, changed


def _still_referred_to(resource_type: ResourceType) -> Protected:
    return Protected(
        f"the {resource_type.name.lower()} can't be deleted: it is a member of a protected group or the manager of a "
        "protected user, which no client may change"
    )
