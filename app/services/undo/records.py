"""Reading the records of many resources at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from app.control import AuditRecord, AuditTrail, Wanted
from app.scim.query import ResourceId
from app.services.undo.history import History, parsed


class Records:
    """The records of resources, each of which is read once."""

    def __init__(self, trail: AuditTrail) -> None:
        self._trail = trail
        self._known: dict[tuple[str, ResourceId], History] = {}

    def of(self, kind: str, id: ResourceId) -> History:
        """The history of one resource."""
        self.fetch(kind, [id])
        return self._known[kind, id]

    def again(self, kind: str, id: ResourceId) -> History:
        """The history of one resource as it is by now."""
        self._known.pop((kind, id), None)
        return self.of(kind, id)

    def fetch(self, kind: str, ids: Iterable[ResourceId]) -> None:
        """Afterwards `of` has to read nothing for these."""
        new = [id for id in dict.fromkeys(ids) if (kind, id) not in self._known]
        found: dict[ResourceId, list[AuditRecord]] = defaultdict(list)
        for record in self._trail.history(kind, new):
            found[record.resource_id or ""].append(record)
        self._known.update(((kind, id), History(found[id])) for id in new)

    def naming(self, kind: str, relation: str, ids: Iterable[ResourceId]) -> dict[ResourceId, list[ResourceId]]:
        """For each far end the resources of a kind that it was ever let into. Every record of that kind is read."""
        wanted = set(ids)
        found: dict[ResourceId, dict[ResourceId, None]] = {id: {} for id in wanted}
        for record in self._trail.records(Wanted(kind)):
            delta = parsed(record).relations.get(relation) if not record.failed else None
            if delta is not None and record.resource_id is not None:
                for far in wanted.intersection(delta.add):
                    found[far][record.resource_id] = None
        return {far: list(holders) for far, holders in found.items()}
