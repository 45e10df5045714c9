"""Slots that name another resource (`manager`): an id for clients, a DN in the directory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from app.scim.query import ResourceId, Slot, Value
from app.scim.registry import ResourceType
from backends.ldap import dn
from backends.ldap.branch import Branch
from backends.ldap.drivers.base import Entry
from backends.ldap.entries import Content

Following = dict[Slot, Value]


class References:
    """Reads the references of one resource type and what is derived from them."""

    def __init__(self, type: ResourceType, branches: Mapping[str, Branch]) -> None:
        self._type = type
        self._branches = branches
        self._targets = {lookup.via: lookup.kind for lookup in type.lookups.values()}

    def follow(self, contents: Sequence[Content], want: frozenset[Slot]) -> list[Following]:
        """For each content the wanted references and derived slots. No operation is needed where an id is known and
        only that is wanted; otherwise one for each hundred resources that are referred to."""
        found: list[Following] = [{} for _ in contents]
        for via, kind in self._targets.items():
            derived = [lookup for lookup in self._type.lookups.values() if lookup.via == via and lookup.slot in want]
            if not derived and via not in want:
                continue
            far = self._far(
                kind, [c for c in contents if derived or _unknown(c, via)], via, {x.source for x in derived}
            )
            for content, following in zip(contents, found, strict=True):
                reference = content.references.get(via)
                if reference is None:
                    continue
                target = far.get(dn.key(reference.dn)) if reference.dn is not None else None
                id = reference.id if target is None else target[0]
                if id is not None and via in want:
                    following[via] = id
                if target is None:
                    continue
                for lookup in derived:
                    value = target[0] if lookup.source == "id" else target[1].get(lookup.source)
                    if value is not None:
                        following[lookup.slot] = value
        return found

    def _far(
        self, kind: str, contents: Iterable[Content], via: Slot, sources: set[str]
    ) -> dict[str, tuple[ResourceId, Mapping[Slot, Value]]]:
        branch = self._branches[kind]
        dns = [r.dn for c in contents if (r := c.references.get(via)) is not None and r.dn is not None]
        if not dns:
            return {}
        slots = frozenset(sources - {"id"})
        attributes = branch.entries.attributes_for(slots)
        return {name: _seen(branch, entry, slots) for name, entry in branch.by_dns(dns, attributes).items()}


def _unknown(content: Content, via: Slot) -> bool:
    reference = content.references.get(via)
    return reference is not None and reference.id is None


def _seen(branch: Branch, entry: Entry, slots: frozenset[Slot]) -> tuple[ResourceId, Mapping[Slot, Value]]:
    content = branch.content(entry, slots)
    return content.id, content.values
