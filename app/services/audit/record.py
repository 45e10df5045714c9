"""A record of the trail as a JSON object, for commands, exports and syslog."""

from __future__ import annotations

from typing import Any

import orjson

from app.control import AuditRecord


def described(record: AuditRecord) -> dict[str, Any]:
    """The record with its time in RFC 3339 and its values parsed."""
    return {
        "seq": record.seq,
        "time": record.time.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "integration_id": record.integration_id,
        "integration": record.actor,
        "operation": record.operation,
        "kind": record.kind,
        "id": record.resource_id,
        "name": record.name,
        "outcome": record.outcome,
        "version": record.version,
        "changes": orjson.loads(record.changes),
        "record": record.record,
        "prev_hash": record.prev_hash,
        "hash": record.hash,
    }
