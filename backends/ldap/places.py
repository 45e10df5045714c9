"""Where the values of a multi-valued slot are kept: in attributes by their type, one value each or several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.scim.attributes import Attribute
from backends.ldap import text
from backends.ldap.drivers.base import Attributes
from backends.ldap.encoding import Native
from backends.ldap.subschema import Rule, Subschema
from config.directory import Place


@dataclass(frozen=True, slots=True)
class Spot:
    """A place with its attribute names in lower case; `alone` is that of the value where there are no other parts."""

    place: Place
    parts: tuple[tuple[str, str], ...]
    named: frozenset[str]
    alone: str | None
    extra: Mapping[str, Any]

    @classmethod
    def of(cls, place: Place) -> Spot:
        parts = tuple((part, name.lower()) for part, name in place.parts.items())
        alone = parts[0][1] if [part for part, _ in parts] == ["value"] else None
        extra = {} if place.type is None else {"type": place.type}
        return cls(place, parts, frozenset(name for _, name in parts), alone, extra)


def place_of(places: Sequence[Spot], parts: Mapping[str, Any]) -> int | None:
    """The number of the place of a value with these parts: that of its type, else the one for every type."""
    kind = str(parts.get("type", "")).lower()
    exact = (n for n, s in enumerate(places) if s.place.type is not None and s.place.type.lower() == kind)
    return next(exact, next((n for n, s in enumerate(places) if s.place.type is None), None))


def elements_at(attribute: Attribute, spot: Spot, held: Attributes) -> Iterable[Any]:
    """The values that an entry holds there, with the type that the place stands for; at least one is there."""
    if spot.alone is not None:
        found = [{"value": value} for octets in held[spot.alone] if (value := _text(octets))]
    else:
        one = {part: v for part, name in spot.parts if name in held and (v := _text(held[name][0]))}
        found = [one] if one else []
    for number, element in enumerate(found):
        primary = {"primary": True} if spot.place.primary and number == 0 else {}
        yield {**element, **spot.extra, **primary} if attribute.sub_attributes else element["value"]


def put_elements(found: Native, places: Sequence[Spot], elements: Sequence[Any], subschema: Subschema) -> None:
    """Add to the attributes what they must hold for these values, in each place as much as fits."""
    taken: set[int] = set()
    for element in elements:
        parts = element if isinstance(element, dict) else {"value": element}
        index = place_of(places, parts)
        if index is None or index in taken:
            continue
        spot = places[index]
        if spot.alone is None:
            taken.add(index)
        for part, name in spot.parts:
            _append(found, name, parts.get(part), spot.place.limit(part), subschema.rule(name))


def _append(found: Native, name: str, value: Any, longest: int | None, rule: Rule | None) -> None:
    syntax = rule.syntax if rule else None
    if not isinstance(value, str) or not text.storable(value) or not text.fits(syntax, value, longest):
        return
    there = found.get(name, ())
    # A server refuses two values that its matching rule takes for one, and one in which it leaves nothing.
    compared = _compared(value, rule)
    if not compared or any(_compared(v.decode(), rule) == compared for v in there):
        return
    if there and rule and rule.single_valued:
        return
    found[name] = (*there, value.encode())


def _compared(value: str, rule: Rule | None) -> str:
    """A text that is equal for two storable values if a server may take them for one."""
    significant = value.replace("-", "") if rule is not None and rule.ignores_hyphens else value
    return "".join(significant.lower().split())


def _text(octets: bytes) -> str | None:
    try:
        return octets.decode() or None
    except UnicodeDecodeError:
        return None
