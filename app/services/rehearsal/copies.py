"""What follows from the values of a rehearsed resource."""

from __future__ import annotations

import copy as copying
from collections.abc import Iterator, Mapping
from dataclasses import replace

from app.control import Copy, Key
from app.control.rehearsal import Writing, digest, storable
from app.scim.attributes import Attribute, Mutability, Returned, Uniqueness
from app.scim.filter.nodes import And, Bound, Compare, Constant, Not, Op, Or, Present, Some
from app.scim.query import Reference, Resource, ResourceId, Slot, Stamp, Value
from app.scim.registry import EXTERNAL_ID, ID, ResourceType
from app.scim.types import comparable

_DISPLAY: Slot = "displayName"
_EMAILS: Slot = "emails"
_MARK = "emails="
_RELATION_LENGTH = 128


def own_slots(resource_type: ResourceType) -> frozenset[Slot]:
    """The slots that a store gives back and that do not follow from other resources."""
    return resource_type.readable.intersection(resource_type.slots)


def secret_slots(resource_type: ResourceType) -> frozenset[Slot]:
    """The slots whose values are not kept in a rehearsal."""
    return frozenset(
        slot
        for slot, attribute in resource_type.slots.items()
        if attribute.returned is Returned.NEVER or attribute.mutability is Mutability.WRITE_ONLY
    )


def stamp_of(copy: Copy) -> Stamp:
    """Its version and time."""
    return Stamp(copy.version, copy.modified)


def resource_of(copy: Copy) -> Resource:
    """The resource with all that it holds itself."""
    return Resource(copy.kind, copy.id, copy.created, stamp_of(copy), copy.values)


def reference_to(copy: Copy) -> Reference:
    """What refers to it."""
    return Reference(copy.id, copy.kind, copy.values.get(_DISPLAY))


def unique_values(resource_type: ResourceType, values: Mapping[Slot, Value | None]) -> Iterator[tuple[Attribute, str]]:
    """The comparison form of each value that only one resource may have."""
    for slot, value in values.items():
        attribute = resource_type.slots[slot]
        if value is not None and attribute.uniqueness is not Uniqueness.NONE:
            yield attribute, comparable(attribute, value)


def hashed(resource_type: ResourceType, copy: Copy) -> Copy:
    """The copy with the hashes that belong to its values."""
    names = [form for _, form in unique_values(resource_type, copy.values)]
    external = copy.values.get(EXTERNAL_ID.path)
    return replace(
        copy,
        name_hash=digest(str(names[0])) if names else None,
        external_hash=None if external is None else digest(str(comparable(EXTERNAL_ID, external))),
    )


def note(writing: Writing, resource_type: ResourceType, before: Copy | None, after: Copy) -> None:
    """Afterwards the resource is found by whom its slots refer to, and by its e-mail addresses; `before` is what was
    noted."""
    old = _notes(resource_type, before.values) if before is not None and before.revision and before.present else {}
    new = _notes(resource_type, after.values) if after.present else {}
    for name in old.keys() | new.keys():
        if old.get(name) != new.get(name):
            writing.unrelate(after.kind, after.id, name)
            writing.relate(after.kind, after.id, name, new.get(name, ()), added=True)


def _notes(resource_type: ResourceType, values: Mapping[Slot, Value]) -> dict[str, list[str]]:
    notes = {name: [far] for name, far in ends(resource_type, values).items()}
    value = _address(resource_type)
    if value is not None and values.get(_EMAILS):
        forms = (str(comparable(value, email["value"])) for email in values[_EMAILS] if "value" in email)
        notes[_MARK] = sorted({digest(form) for form in forms})
    return notes


def _address(resource_type: ResourceType) -> Attribute | None:
    emails = resource_type.slots.get(_EMAILS)
    return None if emails is None else emails.sub("value")


def key_of(resource_type: ResourceType, filter: Bound | None) -> Key | None:
    """What the resources that satisfy the filter have in common, where it asks for a name."""
    for test in filter.items if isinstance(filter, And) else (filter,):
        if isinstance(test, And) and (inside := key_of(resource_type, test)) is not None:
            return inside
        if isinstance(test, Some) and test.attribute.path == _EMAILS:
            for part in test.where.items if isinstance(test.where, And) else (test.where,):
                if isinstance(part, Compare) and part.op is Op.EQ and part.attribute is _address(resource_type):
                    return Key(mark=(_MARK, digest(str(part.operand))))
        if not isinstance(test, Compare) or test.op is not Op.EQ:
            continue
        if test.attribute is ID:
            return Key(id=str(test.operand))
        if test.attribute is EXTERNAL_ID:
            return Key(external_hash=digest(str(test.operand)))
        if is_name(resource_type, test.attribute):
            return Key(name_hash=digest(str(test.operand)))
    return None


def is_name(resource_type: ResourceType, attribute: Attribute) -> bool:
    """Whether the attribute is the first one of the type whose values are unique."""
    unique = (a for a in resource_type.slots.values() if a.uniqueness is not Uniqueness.NONE)
    return next(unique, None) is attribute


def mentions(node: Bound | None) -> Iterator[Attribute]:
    """The attributes that a filter asks about."""
    match node:
        case Not(item):
            yield from mentions(item)
        case And(items) | Or(items):
            for one in items:
                yield from mentions(one)
        case Some(attribute, where):
            yield attribute
            yield from mentions(where)
        case Compare() | Present():
            yield node.attribute
        case Constant() | None:
            return


def ends(resource_type: ResourceType, values: Mapping[Slot, Value]) -> dict[str, ResourceId]:
    """The resources that a resource refers to by slots, by the name under which that is noted."""
    vias = {lookup.via for lookup in resource_type.lookups.values()}
    return {noted(via): values[via] for via in vias if via in values and storable(values[via])}


def noted(via: Slot) -> str:
    """The name under which references by a slot are noted."""
    return via if len(via) <= _RELATION_LENGTH else digest(via)


def apart(values: Mapping[Slot, Value]) -> dict[Slot, Value]:
    """The same values, which a caller may change."""
    return copying.deepcopy(dict(values))
