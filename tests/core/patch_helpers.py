"""Documents of the tests as slots, and PATCH requests on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.scim.attributes import Type
from app.scim.patch.apply import apply, difference
from app.scim.patch.operations import Dialect, operations_from
from app.scim.patch.plan import Plan, plan
from app.scim.query import Delta, Reference, Slot, Value
from app.scim.registry import ENTERPRISE_SCHEMA, ResourceType, load

REGISTRY = load()
USER = REGISTRY.type("User")
GROUP = REGISTRY.type("Group")
ENTERPRISE = ENTERPRISE_SCHEMA
MANAGER = f"{ENTERPRISE}:manager.value"
DEPARTMENT = f"{ENTERPRISE}:department"
EMPLOYEE_NUMBER = f"{ENTERPRISE}:employeeNumber"


@dataclass(frozen=True)
class Outcome:
    """What a request left: slots, the ids of the members, and whether anything is different from before."""

    values: Mapping[Slot, Value]
    members: frozenset[str]
    modified: bool
    plan: Plan


def slots_of(resource_type: ResourceType, document: Mapping[str, Any]) -> dict[Slot, Value]:
    """The slots of a document in canonical form; relations, id, meta and schemas are left out."""
    flat = {k: v for k, v in document.items() if ":" not in k}
    for urn, inner in ((k, v) for k, v in document.items() if ":" in k):
        flat.update({f"{urn}:{k}": v for k, v in inner.items()})
    found: dict[Slot, Value] = {}
    for attribute in resource_type.attributes:
        value = flat.get(attribute.path)
        if value in (None, [], {}):
            continue
        if attribute.path in resource_type.slots:
            found[attribute.path] = value
        elif attribute.type is Type.COMPLEX and attribute.name not in resource_type.relations:
            names = {f"{attribute.path}.{k}": v for k, v in value.items()}
            found.update({k: v for k, v in names.items() if k in resource_type.slots})
    return found


def member_ids(document: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(m["value"] for m in document.get("members", ()))


def after(delta: Delta, held: frozenset[str]) -> frozenset[str]:
    return ((frozenset() if delta.clear else held) - set(delta.remove)) | set(delta.add)


def run(
    resource_type: ResourceType,
    before: Mapping[Slot, Value],
    operations: Any,
    *,
    members: Sequence[str] = (),
    dialect: Dialect = "rfc",
) -> Outcome:
    """A whole request on a resource that holds `before`; raises what the core raises."""
    made = plan(resource_type, operations_from(operations), dialect=dialect)
    for name in made.unresolved:
        made = made.resolve(name, (Reference(i, "User", f"Name of {i}") for i in members))
    values = apply(made, resource_type, before)
    if made.blind is not None:
        assert {s: v for s, v in made.blind.items() if v is not None} == {
            s: values[s] for s in made.blind if s in values
        }
    held = frozenset(members)
    left = after(made.deltas.get("members", Delta()), held)
    return Outcome(values, left, bool(difference(before, values)) or left != held, made)


def user(before: Mapping[Slot, Value], *operations: Any, dialect: Dialect = "rfc") -> Mapping[Slot, Value]:
    """The slots of a user after the operations."""
    return run(USER, {"userName": "mira@tern.example", **before}, list(operations), dialect=dialect).values


def group(members: Sequence[str], *operations: Any, dialect: Dialect = "rfc") -> Outcome:
    """A group with these members after the operations."""
    return run(GROUP, {"displayName": "SG Night Shift"}, list(operations), members=members, dialect=dialect)
