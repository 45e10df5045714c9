"""A record of the trail as a JSON object, for commands, exports and syslog."""

from __future__ import annotations

from typing import Any

from app.control import AuditRecord
from app.control.audit_models import plain, read


def described(record: AuditRecord) -> dict[str, Any]:
    """The record with its time in RFC 3339 and its values parsed.

    Of one that holds what none was ever written with all that can't be parsed is there as it is in the store, and
    `damaged` names these columns; no other record has that.
    """
    told = read(record)
    content: dict[str, Any] = {
        "seq": record.seq,
        "time": record.at if told.time is None else told.time.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "integration_id": record.integration_id,
        "integration": record.actor,
        "operation": record.operation,
        "kind": record.kind,
        "id": record.resource_id,
        "name": record.name,
        "outcome": record.outcome,
        "version": record.version,
        "changes": record.changes if told.changes is None else told.changes,
        "record": record.record,
        "prev_hash": record.prev_hash,
        "hash": record.hash,
    }
    if told.damaged:
        content = {name: _writable(value) for name, value in content.items()}
        content["damaged"] = list(told.damaged)
    return content


def _writable(value: Any) -> Any:
    """What JSON has no form for as text."""
    return value if value is None or isinstance(value, (int, dict)) else plain(value)
