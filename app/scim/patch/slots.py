"""One operation on an attribute that is kept in slots, as steps."""

from __future__ import annotations

from app.scim.attributes import Attribute, Type
from app.scim.attributes import Mutability as Mutable
from app.scim.patch.operations import Aimed
from app.scim.patch.quirks import tidy
from app.scim.patch.steps import (
    AddElements,
    Assign,
    MergeElements,
    RemoveElements,
    RemoveEqual,
    RemoveSub,
    ReplaceElements,
    Step,
)
from app.scim.patch.target import described
from app.scim.patch.values import leaf, many, one, sub_values
from app.scim.query import Value
from app.scim.registry import ResourceType


def slot_steps(resource_type: ResourceType, aimed: Aimed) -> list[Step]:
    """The steps of an operation whose target may be changed. Raises InvalidValue where a value does not fit.

    A remove with a value removes only what equals it. The RFC gives remove no value, but Entra ID sends one and means
    those values; to take it for "all" would empty the attribute.
    """
    attribute, sub = aimed.target.attribute, aimed.target.sub
    if attribute.multi_valued:
        if sub is not None:
            return _on_sub(attribute, sub, aimed)
        return _on_values(attribute, aimed) if aimed.target.match is None else _on_selected(attribute, aimed)
    target = sub or attribute
    if target.type is Type.COMPLEX:
        return _on_complex(resource_type, attribute, aimed)
    if target.multi_valued:
        return _on_values(target, aimed)
    if aimed.op == "remove":
        return [_removal(target, leaf(target, aimed.value))]
    return [_assignment(target, leaf(target, aimed.value))]


def _assignment(target: Attribute, value: Value | None) -> Step:
    return Assign(target.path, value, target.mutability is Mutable.IMMUTABLE)


def _removal(target: Attribute, value: Value | None) -> Step:
    # What can't be read can't be compared.
    if value is None or target.mutability is Mutable.WRITE_ONLY:
        return _assignment(target, None)
    return RemoveEqual(target.path, value)


def _on_complex(resource_type: ResourceType, attribute: Attribute, aimed: Aimed) -> list[Step]:
    value = tidy(attribute, aimed.value)
    if value is None or value == []:
        stored = (s for s in attribute.sub_attributes if s.path in resource_type.slots)
        return [_assignment(sub, None) for sub in stored]
    given = [(sub, v) for sub, v in sub_values(attribute, value) if sub.path in resource_type.slots]
    if aimed.op == "remove":
        return [_removal(sub, v) for sub, v in given]
    return [_assignment(sub, v) for sub, v in given]


def _on_values(attribute: Attribute, aimed: Aimed) -> list[Step]:
    slot = attribute.path
    if aimed.op == "remove":
        if aimed.blank:
            return [_assignment(attribute, None)]
        return [RemoveElements(slot, None, many(attribute, aimed.value))]
    values = many(attribute, aimed.value)
    if aimed.op == "replace":
        return [_assignment(attribute, values or None)]
    return [AddElements(slot, values)] if values else []


def _on_selected(attribute: Attribute, aimed: Aimed) -> list[Step]:
    slot, match = attribute.path, aimed.target.match
    if aimed.op == "remove":
        return [RemoveElements(slot, match, None if aimed.blank else many(attribute, aimed.value))]
    element = one(attribute, aimed.value)
    if element is None:
        return [RemoveElements(slot, match)] if aimed.op == "replace" else []
    upsert = aimed.op == "add" or aimed.operation.upsert
    if attribute.type is not Type.COMPLEX:
        return [ReplaceElements(slot, match, element, upsert, element)]
    seed = described(aimed.target.where, attribute)
    created = None if seed is None else {**seed, **element}
    if aimed.op == "add":
        return [MergeElements(slot, match, created, upsert, element)]
    return [ReplaceElements(slot, match, created, upsert, element)]


def _on_sub(attribute: Attribute, sub: Attribute, aimed: Aimed) -> list[Step]:
    slot, match = attribute.path, aimed.target.match
    value = (many(sub, aimed.value) or None) if sub.multi_valued else leaf(sub, aimed.value)
    if aimed.op == "remove":
        return [RemoveSub(slot, match, sub, value)]
    if value is None:
        return [RemoveSub(slot, match, sub)]
    seed = described(aimed.target.where, attribute)
    created = None if seed is None else {**seed, sub.name: value}
    upsert = aimed.op == "add" or aimed.operation.upsert
    return [MergeElements(slot, match, created, upsert, {sub.name: value})]
