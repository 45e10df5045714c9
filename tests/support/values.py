"""Valid values for any attribute, so that tests follow the schema instead of repeating it."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from app.scim.attributes import Attribute, Type
from app.scim.query import Draft, Slot, Value
from app.scim.registry import Registry, ResourceType

_SAMPLES: dict[Type, tuple[Any, Any]] = {
    Type.STRING: ("Value of {}", "Other of {}"),
    Type.BOOLEAN: (True, False),
    Type.INTEGER: (-(2**63), 2**63 - 1),
    Type.DECIMAL: (0.1, -12345.6789),
    Type.DATE_TIME: ("2024-02-29T23:59:59.123456+14:00", "2011-05-13T04:42:34Z"),
    Type.BINARY: ("TGFuZGZhbGw=", "bGFuZGZhbGw"),
    Type.REFERENCE: ("https://Example.example/{}?a=b#c", "../relative/{}"),
}


def sample(attribute: Attribute, variant: int = 0) -> Value:
    """A value that fits the attribute, lists and complex values included; another one for variant 1."""
    if attribute.multi_valued:
        return [_element(attribute, n, variant) for n in range(2 + variant)]
    return _single(attribute, variant)


def _element(attribute: Attribute, position: int, variant: int) -> Any:
    if not attribute.sub_attributes:
        return _single(attribute, (position + variant) % 2)
    parts = {s.name: _single(s, variant) for s in attribute.sub_attributes if s.name != "primary"}
    return {**parts, "primary": True} if position == 1 else parts


def _single(attribute: Attribute, variant: int) -> Any:
    value = _SAMPLES[attribute.type][variant]
    return value.format(attribute.name) if isinstance(value, str) else value


def full_user(registry: Registry, user_name: str, variant: int = 0) -> Draft:
    """A user with a value in every readable slot that is not derived."""
    slots = registry.type("User").slots
    readable = registry.type("User").readable
    values = {slot: sample(a, variant) for slot, a in slots.items() if slot in readable}
    return Draft({**values, "userName": user_name})


_WORDS = (
    "alpha",
    "Alpha",
    "ALPHA beta",
    "beta",
    "b%t_",
    "été",
    "e\u0301te\u0301",
    "山田",
    "x ",
    "Ｆull",
    "straße",
    "STRASSE",
)
_INSTANTS = ("2024-01-01T00:00:00Z", "2024-01-01T02:00:00+02:00", "2023-12-31T23:59:59.5Z", "2024-06-30T12:00:00-05:00")
_STRATEGIES: dict[Type, st.SearchStrategy[Any]] = {
    Type.STRING: st.sampled_from(_WORDS),
    Type.BOOLEAN: st.booleans(),
    Type.INTEGER: st.sampled_from((-3, 0, 1, 2, 10, 2**53 + 1)),
    Type.DECIMAL: st.sampled_from((-0.5, 0.0, 0.1, 0.3, 1.5, 1e20)),
    Type.DATE_TIME: st.sampled_from(_INSTANTS),
    Type.BINARY: st.sampled_from(("YWJj", "YWJD", "eHl6")),
    Type.REFERENCE: st.sampled_from(("https://a.example/X", "https://a.example/x", "../r")),
}


def values(attribute: Attribute) -> st.SearchStrategy[Value]:
    """Values of the attribute from small pools, so that equal and nearly equal ones are frequent."""
    if not attribute.multi_valued:
        return _STRATEGIES[attribute.type]
    if not attribute.sub_attributes:
        return st.lists(_STRATEGIES[attribute.type], min_size=1, max_size=3)
    parts = {s.name: _STRATEGIES[s.type] for s in attribute.sub_attributes}
    element = st.fixed_dictionaries({}, optional=parts).filter(bool)
    return st.lists(element, min_size=1, max_size=3).map(_one_primary)


def _one_primary(elements: list[dict[str, Any]]) -> list[dict[str, Any]]:
    taken = False
    for element in elements:
        if element.get("primary"):
            element["primary"] = not taken
            taken = True
    return elements


def some_values(
    resource_type: ResourceType, *, most: int | None = None, without: frozenset[Slot] = frozenset()
) -> st.SearchStrategy[dict[Slot, Value]]:
    """Values for some of the slots that are readable, not unique and not references to resources, `most` at most."""
    vias = {lookup.via for lookup in resource_type.lookups.values()}
    free = {
        slot: attribute
        for slot, attribute in resource_type.slots.items()
        if slot in resource_type.readable - vias - without and attribute.uniqueness.value == "none"
    }
    pairs = st.lists(st.sampled_from(sorted(free)), unique=True, max_size=most or len(free))
    return pairs.flatmap(lambda slots: st.fixed_dictionaries({slot: values(free[slot]) for slot in slots}))
