"""What operations do to one slot each: small changes that are applied in order (RFC 7644 sections 3.5.2.1 to
3.5.2.3).

A step never changes a value in place; it puts a new one into the state or takes the slot out of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

from app.scim.attributes import Attribute
from app.scim.attributes import Mutability as Mutable
from app.scim.elements import hashable, without_repetition
from app.scim.errors import InvalidValue, Mutability, NoTarget
from app.scim.filter.evaluate import element_matches
from app.scim.filter.nodes import Bound
from app.scim.patch.values import Element, normal
from app.scim.query import Slot, Value

State = dict[Slot, Value]


@dataclass(frozen=True, slots=True)
class Step(ABC):
    """A change of one slot. `reads` is false when the result does not depend on what the slot held before."""

    slot: Slot

    @property
    def reads(self) -> bool:
        return True

    @abstractmethod
    def run(self, attribute: Attribute, state: State) -> None:
        """Change the slot, whose attribute is given, in the state. Raises NoTarget, Mutability."""


@dataclass(frozen=True, slots=True)
class Assign(Step):
    """The whole slot gets a value, or with None none. An immutable one only if it had none, or the same."""

    value: Value | None
    immutable: bool = False

    @property
    def reads(self) -> bool:
        return self.immutable

    def run(self, attribute: Attribute, state: State) -> None:
        before = state.get(self.slot)
        if self.immutable and before is not None and before != self.value:
            raise Mutability(f"{attribute.path} can't be changed once it has a value")
        if self.value is None:
            state.pop(self.slot, None)
        else:
            state[self.slot] = self.value


@dataclass(frozen=True, slots=True)
class RemoveEqual(Step):
    """The slot is unassigned if it holds this value; text is compared without case."""

    value: Value

    def run(self, attribute: Attribute, state: State) -> None:
        if self.slot in state and _equal_text(attribute, state[self.slot], self.value):
            Assign(self.slot, None, attribute.mutability is Mutable.IMMUTABLE).run(attribute, state)


@dataclass(frozen=True, slots=True)
class AddElements(Step):
    """Values join a multi-valued attribute. One that is there already changes nothing; one with the `value`
    and `type` of another completes that one, since no such pair may occur twice (RFC 7643 section 2.4)."""

    elements: Sequence[Value]

    def run(self, attribute: Attribute, state: State) -> None:
        current = list(state.get(self.slot, ()))
        places = {key: i for i, e in reversed(list(enumerate(current))) for key in _keys(attribute, e)}
        primary: int | None = None
        for new in self.elements:
            index = next((places[key] for key in _keys(attribute, new) if key in places), len(current))
            if index == len(current):
                current.append(new)
            elif normal(attribute, current[index]) != normal(attribute, new):
                current[index] = _merged(attribute, current[index], new)
            places.update((key, index) for key in _keys(attribute, current[index]))
            if _is_primary(new):
                primary = index
        _hand_over(current, primary)
        _put(state, self.slot, current)


@dataclass(frozen=True, slots=True)
class RemoveElements(Step):
    """The values that satisfy the filter (None: all) and, if `listed` is given, have all that one listed
    value has."""

    match: Bound | None
    listed: Sequence[Value] | None = None

    def run(self, attribute: Attribute, state: State) -> None:
        covered = None if self.listed is None else _covered_by(attribute, self.listed)

        def goes(element: Value) -> bool:
            if self.match is not None and not element_matches(self.match, attribute, element):
                return False
            return covered is None or covered(element)

        _put(state, self.slot, [e for e in state.get(self.slot, ()) if not goes(e)])


@dataclass(frozen=True, slots=True)
class _Selecting(Step):
    """Changes the values that the filter selects (None: all). Where none is selected, `created` joins the
    attribute, if it had no value at all or `upsert` is true; else, and where nothing can be created, there is
    no target."""

    match: Bound | None
    created: Value | None
    upsert: bool

    def run(self, attribute: Attribute, state: State) -> None:
        current = list(state.get(self.slot, ()))
        hits = [i for i, e in enumerate(current) if not self.match or element_matches(self.match, attribute, e)]
        first = next((i for i in hits if _is_primary(current[i])), hits[0] if hits else len(current))
        for index in hits:
            current[index] = self.changed(attribute, current[index], first=index == first)
        if not hits:
            if self.created is None or (current and not self.upsert):
                raise NoTarget(f"no value of {attribute.path} satisfies the filter of the path")
            current.append(self.created)
        changed = current[first]
        current = without_repetition(current)
        _hand_over(current, current.index(changed) if _is_primary(changed) else None)
        _put(state, self.slot, current)

    @abstractmethod
    def changed(self, attribute: Attribute, element: Value, *, first: bool) -> Value:
        """The selected value afterwards; `first` is the one that becomes primary, where the change says so."""


@dataclass(frozen=True, slots=True)
class MergeElements(_Selecting):
    """The given sub-attributes are set in the selected values; the others stay."""

    values: Element

    def changed(self, attribute: Attribute, element: Value, *, first: bool) -> Value:
        part = self.values if first else {k: v for k, v in self.values.items() if k != "primary" or v is False}
        return _merged(attribute, element, part)


@dataclass(frozen=True, slots=True)
class ReplaceElements(_Selecting):
    """The selected values become the given one."""

    element: Value

    def changed(self, attribute: Attribute, element: Value, *, first: bool) -> Value:
        _check_immutable(attribute, element, self.element)
        return self.element


@dataclass(frozen=True, slots=True)
class RemoveSub(Step):
    """A sub-attribute goes from the values that satisfy the filter (None: all), if `equal` is given only
    where it has that value, compared without case. A value of which only `type` and `primary` are left goes
    too, at the end."""

    match: Bound | None
    sub: Attribute
    equal: Value | None = None

    def run(self, attribute: Attribute, state: State) -> None:
        kept = [self._without(attribute, element) for element in state.get(self.slot, ())]
        _put(state, self.slot, [element for element in kept if element])

    def _without(self, attribute: Attribute, element: Element) -> Element:
        held = element.get(self.sub.name)
        if held is None or (self.match is not None and not element_matches(self.match, attribute, element)):
            return element
        if self.equal is not None and not _equal_text(self.sub, held, self.equal):
            return element
        if self.sub.mutability is Mutable.IMMUTABLE:
            raise Mutability(f"{self.sub.path} can't be changed once it has a value")
        return {name: value for name, value in element.items() if name != self.sub.name}


def settle(steps: Sequence[Step], attributes: Mapping[Slot, Attribute], state: State) -> None:
    """What holds after the last step: values that lost their content are gone, and none lacks a required
    part.

    Raises InvalidValue.
    """
    for step in steps:
        attribute, current = attributes[step.slot], state.get(step.slot)
        if not isinstance(current, list):
            continue
        if isinstance(step, RemoveSub):
            _put(state, step.slot, [e for e in current if e.keys() - {"type", "primary"}])
        for sub in attribute.sub_attributes:
            if sub.required and any(sub.name not in e for e in state.get(step.slot, ())):
                raise InvalidValue(f"{sub.path}: is required")


def _put(state: State, slot: Slot, elements: list[Value]) -> None:
    if elements:
        state[slot] = elements
    else:
        state.pop(slot, None)


def _keys(attribute: Attribute, element: Value) -> list[Hashable]:
    """Two values are taken for one if they share a key: the whole, or `value` and `type` together."""
    form = normal(attribute, element)
    if not isinstance(form, dict):
        return [form]
    keys: list[Hashable] = [hashable(form)]
    return [*keys, (form["value"], form.get("type"))] if "value" in form else keys


def _covered_by(attribute: Attribute, listed: Sequence[Value]) -> Callable[[Value], bool]:
    """Tells whether a value has all that one of those listed has. Each is looked at once, since a client may list as
    many as there are."""
    whole: set[Hashable] = set()
    parts: dict[frozenset[str], set[Hashable]] = {}
    for value in listed:
        form = normal(attribute, value)
        if isinstance(form, dict):
            parts.setdefault(frozenset(form), set()).add(hashable(form))
        else:
            whole.add(hashable(form))

    def covered(element: Value) -> bool:
        form = normal(attribute, element)
        if not isinstance(form, dict):
            return hashable(form) in whole
        return any(
            names <= form.keys() and hashable({name: form[name] for name in names}) in forms
            for names, forms in parts.items()
        )

    return covered


def _equal_text(attribute: Attribute, held: Value, value: Value) -> bool:
    if isinstance(held, str) and isinstance(value, str):
        return held.casefold() == value.casefold()
    return bool(normal(attribute, held) == normal(attribute, value))


def _merged(attribute: Attribute, element: Element, values: Element) -> Element:
    _check_immutable(attribute, element, values)
    return {**element, **values}


def _check_immutable(attribute: Attribute, element: Value, values: Value) -> None:
    for sub in attribute.sub_attributes:
        held = element.get(sub.name) if sub.mutability is Mutable.IMMUTABLE else None
        if held is not None and values.get(sub.name, held) != held:
            raise Mutability(f"{sub.path} can't be changed once it has a value")


def _is_primary(element: Value) -> bool:
    return isinstance(element, dict) and element.get("primary") is True


def _hand_over(elements: list[Value], primary: int | None) -> None:
    """A value that was made primary is the only one afterwards (RFC 7644 section 3.5.2)."""
    for index, element in enumerate(elements):
        if primary not in (None, index) and _is_primary(element):
            elements[index] = {**element, "primary": False}
