"""A plan applied to the slots of a resource; and the net change between two states."""

from __future__ import annotations

from collections.abc import Mapping

from app.scim.attributes import Mutability as Mutable
from app.scim.errors import Mutability
from app.scim.patch.plan import Plan
from app.scim.patch.steps import settle
from app.scim.query import Slot, Value
from app.scim.registry import ResourceType


def apply(plan: Plan, resource_type: ResourceType, values: Mapping[Slot, Value]) -> dict[Slot, Value]:
    """The slots after all operations of the plan in their order; `values` is not changed.

    `values` needs to hold the slots in `plan.touches` that are assigned; the others may be missing. Raises
    NoTarget, InvalidValue or Mutability, and then nothing counts (RFC 7644 section 3.5.2).
    """
    state = dict(values)
    for step in plan.steps:
        step.run(resource_type.slots[step.slot], state)
    settle(plan.steps, resource_type.slots, state)
    for slot in resource_type.required_slots:
        if slot in values and slot not in state:
            raise Mutability(f"{slot} is required and can't be removed")
    return state


def difference(before: Mapping[Slot, Value], after: Mapping[Slot, Value]) -> dict[Slot, Value | None]:
    """The slots whose value differs, with the new value or None where it is gone; fit for `Change.values`."""
    changed: dict[Slot, Value | None] = {s: v for s, v in after.items() if s not in before or before[s] != v}
    changed.update((slot, None) for slot in before if slot not in after)
    return changed


def net_change(plan: Plan, resource_type: ResourceType, before: Mapping[Slot, Value]) -> dict[Slot, Value | None]:
    """What the plan changes in a resource; `before` must hold the slots in `plan.touches` that are assigned.

    Slots that were not read, because the plan does not depend on them or because they are never returned, such as a
    password, always count as changed. Raises what `apply` raises.
    """
    if plan.blind is not None:
        return {s: v for s, v in plan.blind.items() if s not in before or before[s] != v}
    after = apply(plan, resource_type, before)
    changed = difference(before, after)
    for step in plan.steps:
        if resource_type.slots[step.slot].mutability is Mutable.WRITE_ONLY:
            changed[step.slot] = after.get(step.slot)
    return changed
