"""Bound filters to LDAP filters (RFC 4515) that find at least what matches.

`exact` tells whether they find no more than that. What a compiler can't express becomes a filter that finds everything
and is not exact: the candidates are then tested one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from app.scim.attributes import Attribute, Type
from app.scim.filter.nodes import And, Bound, Compare, Constant, Not, Op, Or, Present, Some
from app.scim.query import ResourceId, Slot
from app.scim.registry import ID, META_CREATED, META_LAST_MODIFIED, META_VERSION, ResourceType
from backends.ldap import dn, text
from backends.ldap.entries import ACTIVE, Entries
from backends.ldap.subschema import Rule, Subschema
from config.directory import Place

DnOf = Callable[[str, ResourceId], str | None]
"""The DN of the entry of a resource of a kind, or None when there is no such resource."""

Related = Callable[[str, Attribute, Bound], str | None]
"""The filter that finds exactly the entries of a kind with a value of a relation that satisfies a filter; None where
the directory can't be asked so."""

_EVERY = "(objectClass=*)"
_NO = "(!(objectClass=*))"
_CASE_IGNORING: Mapping[str | None, str] = {
    "1.3.6.1.4.1.1466.115.121.1.15": "caseIgnoreMatch",
    "1.3.6.1.4.1.1466.115.121.1.26": "caseIgnoreIA5Match",
    "1.3.6.1.4.1.1466.115.121.1.44": "caseIgnoreMatch",
}
"""Rules by syntax (RFC 4517 section 4.2)."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """`filter` finds every match, and of what it finds those are matches that satisfy `rest`; None: all are."""

    filter: str
    rest: Bound | None = None

    @property
    def exact(self) -> bool:
        """Whether nothing else than matches is found."""
        return self.rest is None

    @property
    def nothing(self) -> bool:
        return self.filter == _NO


_TEXT = (Type.STRING, Type.REFERENCE)
ALL = Candidates(_EVERY)
NONE = Candidates(_NO)


@dataclass(frozen=True, slots=True)
class Needs:
    """What a filter asks about: slots, and relations by name."""

    slots: frozenset[Slot] = frozenset()
    relations: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Compiler:
    """Compiles filters on one resource type."""

    entries: Entries
    subschema: Subschema
    dn_of: DnOf
    related: Related
    held: str | None = field(default=None)

    @property
    def type(self) -> ResourceType:
        return self.entries.type

    def compile(self, node: Bound) -> Candidates:
        """The candidates of a filter."""
        match node:
            case Constant():
                return ALL if node.value else NONE
            case And():
                return _conjunction([self.compile(item) for item in node.items])
            case Or():
                return _disjunction([self.compile(item) for item in node.items], node)
            case Not():
                return _negation(self.compile(node.item), node)
            case Some():
                return self._some(node)
        return self._leaf(node)

    def equal(self, slot: Slot, folded: str) -> str:
        """A filter that finds every entry whose singular text slot is equal to this folded text."""
        return self._single(slot, Op.EQ, folded, exact=self.type.slots[slot].case_exact)

    def _leaf(self, node: Compare | Present) -> Candidates:
        attribute = node.attribute
        if attribute in (ID, META_CREATED, META_LAST_MODIFIED, META_VERSION):
            return ALL if isinstance(node, Present) else self._common(node)
        return _tested(self._superset(node), node)

    def _superset(self, node: Compare | Present) -> str:
        attribute = node.attribute
        lookup = self.type.lookups.get(attribute.path)
        if lookup is not None:
            return self._reference(lookup.via, None)
        if attribute.path in self.entries.references:
            equal = isinstance(node, Compare) and node.op is Op.EQ
            return self._reference(attribute.path, str(node.operand) if isinstance(node, Compare) and equal else None)
        if attribute.path == ACTIVE and self.entries.lock is not None:
            return self._active(node)
        if isinstance(node, Compare) and isinstance(node.operand, str) and attribute.type in _TEXT:
            return self._single(attribute.path, node.op, node.operand, exact=attribute.case_exact)
        return self._with_held(attribute.path, [dn.presence(name) for name in self.entries.bound_to(attribute.path)])

    def _common(self, node: Compare) -> Candidates:
        if node.attribute is ID and node.op is Op.EQ:
            by_id = self.entries.server.id_filter(str(node.operand))
            return NONE if by_id is None else Candidates(by_id)
        if node.attribute is META_CREATED:
            return _tested(self._time(self.entries.server.created, node), node)
        if node.attribute is META_LAST_MODIFIED and not self.entries.by_content:
            return _tested(self._time(self.entries.server.modified, node), node)
        if node.attribute is META_VERSION and node.op is Op.EQ and not self.entries.by_content:
            return _tested(dn.equality(self.entries.bindings.version, str(node.operand)), node)
        return _tested(_EVERY, node)

    def _time(self, name: str, node: Compare) -> str:
        try:
            instant = datetime.fromisoformat(str(node.operand))
            earlier, later = (self._generalized(instant + timedelta(seconds=s)) for s in (-1, 1))
        except (ValueError, OverflowError):
            return _EVERY
        bounds = {
            Op.EQ: f"(&({name}>={earlier})({name}<={later}))",
            Op.GT: f"({name}>={earlier})",
            Op.GE: f"({name}>={earlier})",
            Op.LT: f"({name}<={later})",
            Op.LE: f"({name}<={later})",
        }
        return bounds.get(node.op, _EVERY)

    def _generalized(self, instant: datetime) -> str:
        instant = instant.astimezone(UTC)
        return f"{instant.year:04}{instant:%m%d%H%M%S}{self.entries.server.fraction}Z"

    def _active(self, node: Compare | Present) -> str:
        assert self.entries.lock is not None
        if isinstance(node, Present):
            return _EVERY
        locked = self.entries.lock.filter()
        return self._with_held(ACTIVE, [dn.none(locked) if node.operand else locked])

    def _reference(self, via: Slot, id: ResourceId | None) -> str:
        name = self.entries.references.get(via)
        if name is None:
            return self._with_held(via, [])
        if id is None:
            return self._with_held(via, [dn.presence(name)])
        target = next(lookup.kind for lookup in self.type.lookups.values() if lookup.via == via)
        known = self.dn_of(target, id)
        return self._with_held(via, [dn.equality(name, known)] if known is not None else [])

    def _single(self, slot: Slot, op: Op, operand: str, *, exact: bool) -> str:
        names = self.entries.bound_to(slot)
        return self._with_held(slot, [self._text(name, op, operand, exact=exact) for name in names])

    def _with_held(self, slot: Slot, filters: list[str]) -> str:
        return _any([*filters, *([dn.equality(self.held, slot)] if self.held is not None else [])])

    def _text(self, name: str, op: Op, operand: str, *, exact: bool) -> str:
        """A superset, among the values that the attribute holds, of those that satisfy a comparison; the operand is
        folded unless case is `exact`."""
        rule = self.subschema.rule(name)
        whole = self.entries.server.substrings
        words = text.words(operand)
        if rule is not None and rule.ignores_hyphens:
            # A server that leaves nothing of a part of an assertion finds nothing.
            words = [word for word in words if word.strip("-")]
        if rule is not None and not text.fits(rule.syntax, operand.strip() or "-", None):
            return _NO if op in (Op.EQ, Op.CO, Op.SW, Op.EW) and text.storable(operand) else dn.presence(name)
        if len(operand) >= text.LONGEST and op not in (Op.GT, Op.GE, Op.LT, Op.LE):
            return _NO
        if not words or op in (Op.GT, Op.GE, Op.LT, Op.LE):
            return dn.presence(name)
        if op is Op.EQ and (whole or (rule is not None and rule.equality)):
            if exact or rule is None or rule.folds_equality:
                return dn.equality(name, " ".join(words))
            return _ignoring_case(name, rule, " ".join(words))
        if op is Op.EQ or not (whole or (rule is not None and rule.substring)):
            return dn.presence(name)
        if not exact and rule is not None and not rule.folds_substrings:
            return dn.presence(name)
        start = "" if op is Op.SW and operand.startswith(words[0]) else "*"
        end = "" if op is Op.EW and operand.endswith(words[-1]) else "*"
        return f"({name}={start}{'*'.join(map(dn.escape, words))}{end})"

    def _some(self, node: Some) -> Candidates:
        attribute = node.attribute
        if attribute.name in self.type.relations:
            found = self.related(self.type.name, attribute, node.where)
            return _tested(_EVERY, node) if found is None else Candidates(found)
        if isinstance(node.where, Constant) and not node.where.value:
            return NONE
        places = self.entries.bindings.lists.get(attribute.path, ())
        found_in = [self._in_place(attribute, place, node.where) for place in places]
        return _tested(self._with_held(attribute.path, found_in), node)

    def _in_place(self, owner: Attribute, place: Place, where: Bound) -> str:
        there = dn.any_of(dn.presence(name) for name in place.parts.values())
        inner = self._value(owner, place, where)
        return there if inner == _EVERY else inner if inner == _NO else dn.all_of((there, inner))

    def _value(self, owner: Attribute, place: Place, where: Bound) -> str:
        """A superset of the entries that have, in this place, a value that satisfies `where`."""
        match where:
            case Constant():
                return _EVERY if where.value else _NO
            case And():
                return _all([self._value(owner, place, item) for item in where.items])
            case Or():
                return _any([self._value(owner, place, item) for item in where.items])
            case Compare() if where.attribute.name == "type" and place.type is not None and where.op is Op.EQ:
                return _EVERY if str(where.operand) == place.type.lower() else _NO
            case Compare() | Present():
                part = "value" if where.attribute is owner else where.attribute.name
                name = place.parts.get(part)
                if name is None:
                    return _EVERY if part in ("type", "primary") else _NO
                if isinstance(where, Compare) and isinstance(where.operand, str):
                    return self._text(name, where.op, where.operand, exact=where.attribute.case_exact)
                return dn.presence(name)
        return _EVERY


def needs(node: Bound | None, type: ResourceType) -> Needs:
    """Everything that must be read of a resource to evaluate the filter on it."""
    slots: set[Slot] = set()
    relations: set[str] = set()
    _collect(node, type, slots, relations)
    return Needs(frozenset(slots), frozenset(relations))


def _collect(node: Bound | None, type: ResourceType, slots: set[Slot], relations: set[str]) -> None:
    match node:
        case And() | Or():
            for item in node.items:
                _collect(item, type, slots, relations)
        case Not():
            _collect(node.item, type, slots, relations)
        case Some() if node.attribute.name in type.relations:
            relations.add(node.attribute.name)
        case Some():
            slots.add(node.attribute.path)
        case Compare() | Present() if node.attribute not in (ID, META_CREATED, META_LAST_MODIFIED, META_VERSION):
            slots.add(node.attribute.path)


def _ignoring_case(name: str, rule: Rule, operand: str) -> str:
    """The extensible match (RFC 4511 section 4.5.1.7.7) that finds what an attribute's own rule tells apart; presence
    where there is none for its syntax. No index helps with it, but only what is found is sent."""
    matching = _CASE_IGNORING.get(rule.syntax) if rule.equality is not None else None
    return dn.presence(name) if matching is None else f"({name}:{matching}:={dn.escape(operand)})"


def _tested(superset: str, node: Bound) -> Candidates:
    return NONE if superset == _NO else Candidates(superset, node)


def _conjunction(items: list[Candidates]) -> Candidates:
    """What the directory tests exactly need not be tested again."""
    rest = tuple(item.rest for item in items if item.rest is not None)
    return Candidates(_all([item.filter for item in items]), And(rest) if rest else None)


def _disjunction(items: list[Candidates], node: Bound) -> Candidates:
    some = [item for item in items if not item.nothing]
    if ALL in some:
        return ALL
    exact = all(item.exact for item in some)
    return Candidates(_any([item.filter for item in some]), None if exact else node)


def _negation(item: Candidates, node: Bound) -> Candidates:
    if not item.exact:
        return Candidates(_EVERY, node)
    if item == ALL:
        return NONE
    return ALL if item.nothing else Candidates(dn.none(item.filter))


def _all(filters: list[str]) -> str:
    narrowing = [f for f in filters if f != _EVERY]
    if _NO in narrowing:
        return _NO
    return dn.all_of(narrowing) if narrowing else _EVERY


def _any(filters: list[str]) -> str:
    some = [f for f in filters if f != _NO]
    if _EVERY in some:
        return _EVERY
    return dn.any_of(some) if some else _NO
