"""Slot values to columns and back. A value is kept as the client sent it; its comparison form goes beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from argon2 import PasswordHasher

from app.scim.attributes import Type
from app.scim.precis import opaque_string
from app.scim.query import Slot, Value
from app.scim.types import comparable
from backends.errors import RejectedValue
from backends.sql.columns import KEY_LENGTH
from backends.sql.tables import Field, Layout, MultiValued

Columns = dict[str, Any]

_hasher = PasswordHasher()


def hashed(layout: Layout, values: Mapping[Slot, Value | None]) -> dict[Slot, Value | None]:
    """The values with secrets replaced by their Argon2id hashes. Takes tens of milliseconds for each: not to be done
    while a transaction is open."""
    secret = layout.secrets.keys() & values.keys()
    given = {slot: values[slot] for slot in secret}
    hashes = {s: _hasher.hash(opaque_string(text)) for s, text in given.items() if text is not None}
    return {**values, **hashes}


def columns(layout: Layout, values: Mapping[Slot, Value | None]) -> Columns:
    """The columns of the resource's own row that the singular slots and hashed secrets among the values go to.

    Raises RejectedValue for a value that its column can't hold, KeyError for a slot that is not kept.
    """
    row: Columns = {}
    for slot, value in values.items():
        if slot in layout.secrets:
            row[layout.secrets[slot].name] = value
        elif slot not in layout.multi:
            _put(layout.fields[slot])(row, value)
    return row


def value_rows(layout: Layout, owner: str, slot: Slot, items: Sequence[Any]) -> list[Columns]:
    """The rows of the values table for a multi-valued slot, each with the columns it needs. Raises RejectedValue."""
    multi = layout.multi[slot]
    assert layout.owner is not None
    rows = []
    for position, item in enumerate(items):
        row: Columns = {layout.owner.name: owner, "attribute": multi.name, "position": position}
        for path, value in _parts(multi, item):
            _put(multi.fields[path])(row, value)
        rows.append(row)
    return rows


def length(value: Value | None) -> int:
    """The characters of all text in a value, about."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, list):
        return sum(map(length, value))
    return sum(map(length, value.values())) if isinstance(value, dict) else 0


def _parts(multi: MultiValued, item: Any) -> Iterable[tuple[str, Any]]:
    if multi.simple:
        return ((multi.attribute.path, item),)
    return ((f"{multi.attribute.path}.{name}", value) for name, value in item.items())


@cache
def _put(field: Field) -> Callable[[Columns, Any], None]:
    """What puts a value of the field, or None, into a row. It raises RejectedValue for one that can't be kept."""
    attribute, column, key = field.attribute, field.column.name, field.key.name
    compared = field.key is not field.column or field.indexed

    def put(row: Columns, value: Any) -> None:
        row[column] = value
        if value is None:
            row[key] = None
        elif compared:
            row[key] = form = comparable(attribute, value)
            if field.indexed and isinstance(form, str) and len(form) > KEY_LENGTH:
                raise RejectedValue(attribute.path, f"is longer than {KEY_LENGTH} characters")
        elif attribute.type is Type.DECIMAL and float(value) != value:
            raise RejectedValue(attribute.path, "has more digits than can be kept")

    return put
