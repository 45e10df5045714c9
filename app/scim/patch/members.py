"""Changes of a relation (`members`), folded into one Delta without knowing what the relation holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from app.scim import types
from app.scim.attributes import Attribute
from app.scim.elements import referenced_ids
from app.scim.errors import InvalidValue, Mutability, TooMany
from app.scim.filter.evaluate import element_matches, reference_element
from app.scim.filter.nodes import Bound, Compare, Op, Or
from app.scim.patch.operations import Aimed
from app.scim.patch.quirks import tidy
from app.scim.patch.values import by_name
from app.scim.query import Delta, Reference, ResourceId
from app.scim.registry import Relation

MAX_FILTERS = 20


@dataclass(frozen=True, slots=True)
class AddIds:
    ids: tuple[ResourceId, ...]


@dataclass(frozen=True, slots=True)
class RemoveIds:
    ids: tuple[ResourceId, ...]


@dataclass(frozen=True, slots=True)
class RemoveAll:
    pass


@dataclass(frozen=True, slots=True)
class RelationFilter:
    """Removal of what a filter selects that is more than ids; only the stored relation can tell the ids."""

    where: Bound


Step = AddIds | RemoveIds | RemoveAll | RelationFilter


def steps(aimed: Aimed, relation: Relation) -> tuple[Step, ...]:
    """What one operation does to a relation that clients may change.

    Raises Mutability for a change inside one of its values, which are immutable (RFC 7643 section 4.2), and
    InvalidValue for values that name no resource of the relation's target type.
    """
    target, name = aimed.target, relation.attribute.name
    if target.sub or (target.match and aimed.op != "remove"):
        raise Mutability(f"a value of {name} can't be changed; remove it and add another")
    listed = None if aimed.value is None else ids_of(relation, aimed.value, removing=aimed.op == "remove")
    if aimed.op == "add":
        return (AddIds(listed or ()),)
    if aimed.op == "replace":
        return (RemoveAll(), AddIds(listed or ()))
    if target.match is None:
        return (RemoveAll(),) if listed is None else (RemoveIds(listed),)
    selected = _ids_selected(target.match, relation.attribute)
    if selected is None:
        return (RelationFilter(target.match),)
    return (RemoveIds(tuple(i for i in selected if listed is None or i in listed)),)


def ids_of(relation: Relation, value: Any, *, removing: bool = False) -> tuple[ResourceId, ...]:
    """The ids that the values of a relation name, without repetition, in order. `[]` and `""` in place of the
    whole name none. Raises InvalidValue, when they are to be added also for a value of another type than the
    target's."""
    items = value if isinstance(value, list) else [value]
    ids = referenced_ids(relation, [_reference(relation.attribute, item, removing) for item in items if value != ""])
    leaf = relation.attribute.sub("value")
    for found in ids:
        if leaf:
            types.check(leaf, found)
    return ids


def _reference(attribute: Attribute, item: Any, removing: bool) -> Any:
    item = tidy(attribute, item)
    if not isinstance(item, dict):
        raise InvalidValue(f"{attribute.path}: must hold objects with a value")
    given = by_name(attribute, item)
    return {k: v for k, v in given.items() if k != "type"} if removing else given


def _ids_selected(where: Bound, attribute: Attribute) -> tuple[ResourceId, ...] | None:
    """The only ids that a filter can select, where `value eq "…"` terms joined by `or` are all of it; else
    None."""
    if isinstance(where, Compare) and where.op is Op.EQ and where.attribute is attribute.sub("value"):
        return (str(where.operand),)
    if not isinstance(where, Or):
        return None
    found = [_ids_selected(item, attribute) for item in where.items]
    return None if None in found else tuple(i for ids in found if ids for i in ids)


def needs_stored(steps_: Sequence[Step]) -> bool:
    """Whether the stored relation must be read: a filter stands where the relation has not been emptied
    before.

    Raises TooMany for more filters than are tested against each stored value in one request.
    """
    if sum(isinstance(step, RelationFilter) for step in steps_) > MAX_FILTERS:
        raise TooMany(f"more than {MAX_FILTERS} filters on one relation")
    for step in steps_:
        if isinstance(step, RemoveAll):
            return False
        if isinstance(step, RelationFilter):
            return True
    return False


def resolve(steps_: Sequence[Step], relation: Relation, stored: Iterable[Reference]) -> tuple[Step, ...]:
    """The steps with each filter turned into the ids that it selects among the stored references, which are
    read once, and among those that earlier steps add, of which only id and type are known."""
    attribute = relation.attribute
    found: dict[int, dict[ResourceId, None]] = {
        i: {} for i, step in enumerate(steps_) if isinstance(step, RelationFilter)
    }

    def collect(references: Iterable[Reference], positions: Sequence[int]) -> None:
        for reference in references:
            element = reference_element(attribute, reference)
            for position in positions:
                step = steps_[position]
                if isinstance(step, RelationFilter) and element_matches(step.where, attribute, element):
                    found[position][reference.id] = None

    collect(stored, tuple(found))
    for index, step in enumerate(steps_):
        if isinstance(step, AddIds):
            collect((Reference(i, relation.target) for i in step.ids), [p for p in found if p > index])
    return tuple(RemoveIds(tuple(found[i])) if i in found else step for i, step in enumerate(steps_))


def fold(steps_: Iterable[Step]) -> Delta:
    """The one change that has the effect of the steps in their order; none of them may be a
    RelationFilter."""
    add: dict[ResourceId, None] = {}
    remove: dict[ResourceId, None] = {}
    clear = False
    for step in steps_:
        if isinstance(step, AddIds):
            for found in step.ids:
                remove.pop(found, None)
                add[found] = None
        elif isinstance(step, RemoveIds):
            for found in step.ids:
                add.pop(found, None)
                if not clear:
                    remove[found] = None
        else:
            add, remove, clear = {}, {}, True
    return Delta(tuple(add), tuple(remove), clear)
