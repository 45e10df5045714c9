"""Where the values of a multi-valued slot are kept: in attributes by their type, one value each or several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.scim.attributes import Attribute
from backends.ldap.drivers.base import Attributes
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


def _text(octets: bytes) -> str | None:
    try:
        return octets.decode() or None
    except UnicodeDecodeError:
        return None
