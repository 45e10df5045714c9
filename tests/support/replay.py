"""The audit trail as the only source: what its records leave, made one after another from nothing on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.control import AuditRecord
from app.control.audit_models import FOUND_DONE
from app.scim.query import ResourceId, Slot

MANAGER: Slot = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value"
_DONE = ("done", FOUND_DONE)

Values = dict[Slot, Any]


@dataclass
class Replay:
    """Users, retired users and groups by their ids. `known` has what was there before the first record.

    A reference to somebody who was not there when it was made may outlast the next time that he leaves, and one to
    himself need not come back with him (see `Backend.restore`): `lasting` has those that may be there besides."""

    known: Mapping[ResourceId, Mapping[Slot, Any]] = field(default_factory=dict)
    users: dict[ResourceId, Values] = field(default_factory=dict)
    retired: dict[ResourceId, Values] = field(default_factory=dict)
    groups: dict[ResourceId, Values] = field(default_factory=dict)
    members: dict[ResourceId, set[ResourceId]] = field(default_factory=dict)
    lasting: dict[ResourceId, ResourceId] = field(default_factory=dict)
    _early: set[ResourceId] = field(default_factory=set)

    def of(self, records: Iterable[AuditRecord]) -> Replay:
        """All that was done, in the order in which it was begun."""
        for record in sorted(records, key=lambda record: record.at):
            if record.outcome in _DONE:
                assert record.resource_id is not None
                changes = orjson.loads(record.changes)
                make = self._group if record.kind == "Group" else self._user
                make(record.resource_id, record.operation, changes)
        return self

    def _user(self, id: ResourceId, operation: str, changes: dict[str, Any]) -> None:
        if operation in ("retire", "delete"):
            gone = self.users.pop(id, None) or self.retired.pop(id, None) or dict(self.known.get(id, {}))
            if operation == "retire":
                self.retired[id] = gone
                if gone.get(MANAGER) == id:
                    del gone[MANAGER]
                    self.lasting[id] = id
            for members in self.members.values():
                members.discard(id)
            for other, values in self.users.items():
                if values.get(MANAGER) == id:
                    del values[MANAGER]
                    self.lasting.update({other: id} if other in self._early else {})
            return
        if operation == "restore":
            self.users[id] = self.retired.pop(id)
        values = self.users.setdefault(id, dict(self.known.get(id, {})))
        _assign(values, changes)
        if MANAGER in changes.get("after", {}):
            self.lasting.pop(id, None)
            self._early.discard(id)
            if MANAGER in values and not self._is_there(values[MANAGER]):
                self._early.add(id)

    def _is_there(self, id: ResourceId) -> bool:
        return id in self.users or (id in self.known and id not in self.retired)

    def _group(self, id: ResourceId, operation: str, changes: dict[str, Any]) -> None:
        if operation in ("retire", "delete"):
            self.groups.pop(id, None)
            self.members.pop(id, None)
            return
        _assign(self.groups.setdefault(id, {}), changes)
        members = self.members.setdefault(id, set())
        delta = changes.get("members", {}).get("members", {"add": [], "remove": [], "clear": False})
        if delta["clear"]:
            members.clear()
        members.difference_update(delta["remove"])
        members.update(delta["add"])


def _assign(values: Values, changes: dict[str, Any]) -> None:
    values.update(changes.get("after", {}))
    for slot in [slot for slot, value in values.items() if value is None]:
        del values[slot]
