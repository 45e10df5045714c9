"""Compiled representations, kept per resource type and per choice of attributes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from app.scim.attributes import Returned
from app.scim.projection import project
from app.scim.query import Slot
from app.scim.registry import Registry, ResourceType
from app.scim.representation import Representation


@dataclass(frozen=True, slots=True)
class Shown:
    """The client's `attributes` or `excludedAttributes`, as given; both empty when it gave none."""

    attributes: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()

    @property
    def given(self) -> bool:
        return bool(self.attributes or self.excluded)


DEFAULT = Shown()


class Representations:
    """Representations under one SCIM base URI."""

    def __init__(self, registry: Registry, base: str) -> None:
        self.base = base
        self._on_request = {
            t.name: frozenset(s for s, a in t.slots.items() if a.returned is Returned.REQUEST) for t in registry.types
        }
        self._compiled = lru_cache(maxsize=512)(self._compile)

    def of(self, resource_type: ResourceType, shown: Shown, written: frozenset[Slot] = frozenset()) -> Representation:
        """The representation for a choice of attributes; `written` are slots that the request itself set.

        Raises InvalidValue when both attributes and excludedAttributes are given.
        """
        return self._compiled(resource_type, shown, written & self._on_request[resource_type.name])

    def _compile(self, resource_type: ResourceType, shown: Shown, written: frozenset[Slot]) -> Representation:
        return Representation(project(resource_type, shown.attributes, shown.excluded, written), self.base)
