"""Whether anyone is known by a name, there or retired: one statement, for all who arrive for the first time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BindParameter, bindparam, or_, select

from app.scim.fold import fold
from app.scim.query import Slot
from backends.sql.operands import storable
from backends.sql.retired import Read
from backends.sql.tables import Layout, Tables

_EMAILS: Slot = "emails"
_ADDRESS: Slot = "emails.value"


class Known:
    """The names of one kind: e-mail addresses of those who are there, userNames and e-mail addresses of the retired."""

    def __init__(self, layout: Layout, tables: Tables) -> None:
        names: BindParameter[Any] = bindparam("names", expanding=True)
        retired = tables.retired_names
        places = [select(retired.c.id).where(retired.c.kind == layout.type.name, retired.c.name.in_(names)).exists()]
        emails = layout.multi.get(_EMAILS)
        if emails is not None and layout.values is not None:
            address = layout.values.c[emails.fields[_ADDRESS].key.name]
            held = select(address).where(layout.values.c.attribute == emails.name, address.in_(names))
            places.append(held.exists())
        self._statement = select(or_(*places))

    def has(self, read: Read, names: Sequence[str]) -> bool:
        """Whether one of the names is there; case does not count."""
        folded = list(dict.fromkeys(name for name in map(fold, names) if storable(name)))
        return bool(folded) and bool(read(self._statement, {"names": folded})[0][0])
