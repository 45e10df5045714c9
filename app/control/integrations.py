"""Statements about integrations; each function runs in the caller's transaction."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from app.control.errors import ReservedName, UnknownIntegration
from app.control.models import Access, Dialect, Integration, Only, Outside, Remit
from app.control.tables import integrations
from app.control.values import clean_name, instant, name_key

EVERYTHING = Remit()
_OPERATOR = "operator"


def to_integration(row: Row[Any]) -> Integration:
    """The integration of a row that starts with the columns of the table."""
    return Integration(
        id=row.id,
        name=row.name,
        access=Access(row.access),
        dialect=Dialect(row.dialect),
        created=instant(row.created_at),
        revoked_at=None if row.revoked_at is None else instant(row.revoked_at),
        remit=Remit() if row.remit is None else _to_remit(row.remit),
    )


def remit_text(remit: Remit) -> str | None:
    """The remit as it is stored."""
    if remit == Remit():
        return None
    return json.dumps({name: value for name, value in asdict(remit).items() if value}, ensure_ascii=False)


def _to_remit(text: str) -> Remit:
    found = json.loads(text)
    return Remit(
        only=Only(found["only"]) if "only" in found else None,
        users=found.get("users"),
        groups=found.get("groups"),
        attributes=tuple(found.get("attributes", ())),
        outside=Outside(found.get("outside", Outside.REFUSE)),
        bases=tuple(found.get("bases", ())),
    )


def create(
    connection: Connection, name: str, access: Access, dialect: Dialect, now: int, remit: Remit = EVERYTHING
) -> Integration:
    """Raises InvalidName, ReservedName, and IntegrityError when the name is taken."""
    new_id = str(uuid.uuid4())
    cleaned = clean_name(name)
    if name_key(cleaned) == _OPERATOR:
        raise ReservedName(cleaned)
    connection.execute(
        insert(integrations).values(
            id=new_id,
            name=cleaned,
            name_key=name_key(cleaned),
            access=access.value,
            dialect=dialect.value,
            created_at=now,
            remit=remit_text(remit),
        )
    )
    return Integration(new_id, cleaned, access, dialect, instant(now), remit=remit)


def count(connection: Connection) -> int:
    """How many there are, revoked ones included."""
    return connection.execute(select(func.count()).select_from(integrations)).scalar_one()


def by_id(connection: Connection, integration_id: str) -> Integration | None:
    """The integration with this id, revoked or not."""
    row = connection.execute(select(integrations).where(integrations.c.id == integration_id)).one_or_none()
    return None if row is None else to_integration(row)


def by_name(connection: Connection, name: str) -> Integration | None:
    """The live integration with this name."""
    statement = select(integrations).where(integrations.c.name_key == name_key(name))
    row = connection.execute(statement).one_or_none()
    return None if row is None else to_integration(row)


def all_of(connection: Connection) -> list[Integration]:
    """Every integration, the oldest first, revoked ones included."""
    statement = select(integrations).order_by(integrations.c.created_at, integrations.c.name, integrations.c.id)
    return [to_integration(row) for row in connection.execute(statement)]


def change(connection: Connection, integration_id: str, values: Mapping[str, str | int | None]) -> Integration:
    """The live integration after the change. Raises UnknownIntegration."""
    live = (integrations.c.id == integration_id) & integrations.c.revoked_at.is_(None)
    if connection.execute(select(integrations.c.id).where(live)).one_or_none() is None:
        raise UnknownIntegration(integration_id)
    connection.execute(update(integrations).where(live).values(**values))
    return to_integration(connection.execute(select(integrations).where(integrations.c.id == integration_id)).one())
