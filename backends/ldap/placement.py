"""Where a new entry goes: below the first place of the operator's list that fits its values and exists."""

from __future__ import annotations

import re
from collections.abc import Mapping

from app.scim.query import Slot, Value
from app.scim.registry import ENTERPRISE_SCHEMA
from backends.ldap import dn
from config.directory import KindBindings

_SLOT = re.compile(r"\{([^{}]+)\}")


class Placement:
    """The places of one resource type. Places are never created: an administrator makes organisational units."""

    def __init__(self, bindings: KindBindings) -> None:
        self._templates = bindings.placement
        self._base = bindings.base

    def parents(self, values: Mapping[Slot, Value]) -> list[str]:
        """The DNs below which the entry may go, best first; the last is the base."""
        filled = (self._fill(template, values) for template in self._templates)
        return [*dict.fromkeys(name for name in filled if name is not None), self._base]

    def _fill(self, template: str, values: Mapping[Slot, Value]) -> str | None:
        missing = False

        def put(match: re.Match[str]) -> str:
            nonlocal missing
            value = values.get(match[1], values.get(f"{ENTERPRISE_SCHEMA}:{match[1]}"))
            if not isinstance(value, str) or not value.strip():
                missing = True
                return ""
            return dn.escape_value(value)

        name = _SLOT.sub(put, template)
        return None if missing else name
