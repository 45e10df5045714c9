"""Operations to a plan: everything is resolved, bound and type-checked here, before any resource is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from app.scim.attributes import Attribute, Type
from app.scim.attributes import Mutability as Mutable
from app.scim.errors import InvalidPath, InvalidSyntax, InvalidValue, Mutability, NoTarget, TooMany
from app.scim.patch import members
from app.scim.patch.operations import OPS, Aimed, Dialect, Operation
from app.scim.patch.quirks import adjust, reshape, tidy
from app.scim.patch.slots import slot_steps
from app.scim.patch.steps import AddElements, State, Step, settle
from app.scim.patch.target import resolve
from app.scim.query import Delta, Reference, Slot, Value
from app.scim.registry import ID, META, SCHEMAS_ATTRIBUTE, Relation, ResourceType

MAX_STEPS = 500
"""Changes of single slots in one request; each may look at every value of its slot. Members do not count."""

_SERVICE_OWNED = (ID, META, SCHEMAS_ATTRIBUTE)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a PATCH request does, as far as it can be told without the resource.

    `deltas` holds the change of each relation that the request changes, except of those in `unresolved`,
    where a filter asks for more than ids; `resolve` completes them. `steps` are for `apply`. `touches` are
    the slots that `apply` must be given; when it is empty, `blind` is the net change of slots (None:
    unassigned), else None. `notes` says where the client was read against the RFC.
    """

    steps: tuple[Step, ...] = ()
    deltas: Mapping[str, Delta] = field(default_factory=dict)
    touches: frozenset[Slot] = frozenset()
    blind: Mapping[Slot, Value | None] | None = None
    notes: tuple[str, ...] = ()
    pending: Mapping[str, tuple[Relation, tuple[members.Step, ...]]] = field(default_factory=dict)

    @property
    def unresolved(self) -> tuple[str, ...]:
        """Names of the relations that must be read before their delta is known."""
        return tuple(self.pending)

    @property
    def empty(self) -> bool:
        """Nothing would change, whatever the resource is."""
        return not (self.steps or self.deltas or self.pending)

    def resolve(self, relation: str, stored: Iterable[Reference]) -> Plan:
        """The plan with the delta of an unresolved relation; `stored` is read once and not kept."""
        rest = dict(self.pending)
        definition, steps = rest.pop(relation)
        delta = members.fold(members.resolve(steps, definition, stored))
        deltas = self.deltas if delta.empty else {**self.deltas, relation: delta}
        return replace(self, deltas=deltas, pending=rest)


def plan(
    resource_type: ResourceType,
    operations: Sequence[Operation],
    *,
    dialect: Dialect = "rfc",
    base: str = "",
) -> Plan:
    """The plan of a PATCH request. `base` is the SCIM base URI, to understand `$ref` in filters.

    Raises InvalidSyntax, InvalidPath, InvalidFilter, InvalidValue, NoTarget, Mutability or TooMany as RFC
    7644 section 3.5.2 and Table 9 say. A key of a path-less value that names no attribute, or `id`, `meta` or
    `schemas`, is ignored, as in a document that is POSTed; an explicit path to an unknown attribute is
    refused.
    """
    steps: list[Step] = []
    relations: dict[str, list[members.Step]] = {}
    notes: list[str] = []
    for aimed in _aimed(resource_type, operations, dialect, base):
        _check_mutability(resource_type, aimed)
        name = aimed.target.attribute.name
        if relation := resource_type.relations.get(name):
            relations.setdefault(name, []).extend(members.steps(aimed, relation))
        else:
            steps.extend(slot_steps(resource_type, aimed))
        if aimed.note:
            notes.append(aimed.note)
    deltas: dict[str, Delta] = {}
    pending: dict[str, tuple[Relation, tuple[members.Step, ...]]] = {}
    for name, found in relations.items():
        relation = resource_type.relations[name]
        if members.needs_stored(found):
            pending[name] = (relation, tuple(found))
        elif not (delta := members.fold(members.resolve(found, relation, ()))).empty:
            deltas[name] = delta
    steps = _joined(steps)
    touches, blind = _look_ahead(resource_type, steps)
    return Plan(tuple(steps), deltas, touches, blind, tuple(notes), pending)


def _aimed(
    resource_type: ResourceType, operations: Sequence[Operation], dialect: Dialect, base: str
) -> Iterator[Aimed]:
    for operation in reshape(operations, resource_type):
        if operation.op not in OPS:
            raise InvalidSyntax("op must be add, remove or replace")
        if operation.op != "remove" and not operation.has_value:
            raise InvalidValue(f"{operation.op} needs a value")
        if operation.path is None:
            if operation.op == "remove":
                raise NoTarget("remove needs a path")
            raise InvalidValue(f"{operation.op} without path needs an object of attributes as value")
        try:
            target = resolve(resource_type, operation.path, base)
        except InvalidPath:
            if not operation.from_key:
                raise
            continue
        if operation.from_key and target.attribute in _SERVICE_OWNED:
            continue
        if target.attribute is SCHEMAS_ATTRIBUTE and operation.op != "remove":
            _check_uris(operation)
            continue
        yield adjust(Aimed(operation, target), resource_type, dialect)


def _check_uris(operation: Operation) -> None:
    """A resource's schemas follow from its attributes, so that URIs set by a client change nothing of
    themselves."""
    uris = operation.value if isinstance(operation.value, list) else [operation.value]
    if not all(isinstance(uri, str) for uri in uris):
        raise InvalidValue("schemas: must hold URIs")


def _check_mutability(resource_type: ResourceType, aimed: Aimed) -> None:
    target = aimed.target
    leaf = target.sub or target.attribute
    fixed = target.attribute in _SERVICE_OWNED or leaf.path in resource_type.lookups
    if fixed or Mutable.READ_ONLY in (leaf.mutability, target.attribute.mutability):
        raise Mutability(f"{leaf.path} is read-only")
    if leaf.required and _unassigns(leaf, aimed):
        if aimed.op == "remove":
            raise Mutability(f"{leaf.path} is required and can't be removed")
        raise InvalidValue(f"{leaf.path}: is required")


def _unassigns(leaf: Attribute, aimed: Aimed) -> bool:
    if aimed.op == "remove":
        # A value list takes some values only; what it leaves is judged when it is applied.
        return aimed.target.match is None and not (leaf.multi_valued and aimed.value)
    if leaf.multi_valued:
        return aimed.op == "replace" and aimed.value in (None, "", [])
    return leaf.type is not Type.COMPLEX and tidy(leaf, aimed.value) is None


def _joined(steps: Sequence[Step]) -> list[Step]:
    """The same effect with successive additions to one slot as one step, since steps of other slots do not matter.

    Raises TooMany.
    """
    result: list[Step] = []
    last: dict[Slot, int] = {}
    for step in steps:
        index = last.setdefault(step.slot, len(result))
        before = result[index] if index < len(result) else None
        if isinstance(step, AddElements) and isinstance(before, AddElements):
            result[index] = AddElements(step.slot, [*before.elements, *step.elements])
        else:
            last[step.slot] = len(result)
            result.append(step)
    if len(result) > MAX_STEPS:
        raise TooMany(f"more than {MAX_STEPS} changes of attributes in one request")
    return result


def _look_ahead(
    resource_type: ResourceType, steps: Sequence[Step]
) -> tuple[frozenset[Slot], Mapping[Slot, Value | None] | None]:
    """The slots that must be read, and where there are none the net change. Once a slot has been set as a
    whole, later steps on it depend on nothing else."""
    known: set[Slot] = set()
    state: State = {}
    for step in steps:
        if step.reads and step.slot not in known:
            readable = (s.slot for s in steps if resource_type.slots[s.slot].mutability is not Mutable.WRITE_ONLY)
            return frozenset(readable), None
        known.add(step.slot)
        step.run(resource_type.slots[step.slot], state)
    settle(steps, resource_type.slots, state)
    return frozenset(), {slot: state.get(slot) for slot in known}
