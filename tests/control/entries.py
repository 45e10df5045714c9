"""Entries of the audit trail."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from app.control import Entry

FIRST = 1_700_000_000_000_000


def entry(number: int, **values: Any) -> Entry:
    """The entry of a write, one second after the one with the number before."""
    made = Entry(
        record=f"{number:032x}",
        at=FIRST + number * 1_000_000,
        integration_id="11111111-1111-1111-1111-111111111111",
        actor="entra",
        operation="patch",
        kind="User",
        resource_id=f"id{number}",
        name=f"Name{number}",
        outcome="done",
        version=str(number),
        changes=f'{{"after":{{"title":"{number}"}}}}',
    )
    return replace(made, **values)
