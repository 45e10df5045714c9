"""Statements about credentials; each function runs in the caller's transaction."""

from __future__ import annotations

import hmac
import uuid
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, insert, or_, select, update

from app.control.errors import UnknownCredential, UnknownIntegration
from app.control.integrations import to_integration
from app.control.models import Credential, CredentialGrant, CredentialKind, IssuedCredential
from app.control.tables import credentials, integrations
from app.control.values import digest, instant, later, new_value

# What an unknown client's secret is compared with, so that the answer takes as long as for a known one.
_NOBODY = digest("")
_GRANTED = (credentials.c.id.label("credential_id"), credentials.c.expires_at)


def add(
    connection: Connection, integration_id: str, kind: CredentialKind, lifetime: timedelta | None, now: int
) -> IssuedCredential:
    """A new credential of a live integration. Raises UnknownIntegration."""
    live = (integrations.c.id == integration_id) & integrations.c.revoked_at.is_(None)
    if connection.execute(select(integrations.c.id).where(live)).one_or_none() is None:
        raise UnknownIntegration(integration_id)
    value = new_value(kind)
    row = {
        "id": str(uuid.uuid4()),
        "integration_id": integration_id,
        "kind": kind.value,
        "hint": value[-4:],
        "created_at": now,
        "expires_at": later(now, lifetime),
        "revoked_at": None,
    }
    connection.execute(insert(credentials).values(hash=digest(value), **row))
    stored = connection.execute(select(credentials).where(credentials.c.id == row["id"])).one()
    return IssuedCredential(_to_credential(stored), value)


def of_integration(connection: Connection, integration_id: str) -> list[Credential]:
    """All credentials of an integration, the oldest first."""
    statement = (
        select(credentials)
        .where(credentials.c.integration_id == integration_id)
        .order_by(credentials.c.created_at, credentials.c.id)
    )
    return [_to_credential(row) for row in connection.execute(statement)]


def end_by(connection: Connection, integration_id: str, kind: CredentialKind, moment: int, now: int) -> None:
    """Let every live credential of this kind end at `moment`, unless it ends before."""
    connection.execute(
        update(credentials)
        .where(credentials.c.integration_id == integration_id, credentials.c.kind == kind.value, _live(now))
        .where(or_(credentials.c.expires_at.is_(None), credentials.c.expires_at > moment))
        .values(expires_at=moment)
    )


def revoke(connection: Connection, integration_id: str, credential_id: str, now: int) -> None:
    """One that has ended too, for its access tokens may live. Raises UnknownCredential, also for a credential of
    another integration."""
    mine = (credentials.c.id == credential_id) & (credentials.c.integration_id == integration_id)
    left = mine & credentials.c.revoked_at.is_(None)
    if connection.execute(select(credentials.c.id).where(left)).one_or_none() is None:
        raise UnknownCredential(credential_id)
    connection.execute(update(credentials).where(left).values(revoked_at=now))


def revoke_all(connection: Connection, integration_id: str, kind: CredentialKind, now: int) -> None:
    """Revoke every live credential of this kind."""
    connection.execute(
        update(credentials)
        .where(credentials.c.integration_id == integration_id, credentials.c.kind == kind.value, _live(now))
        .values(revoked_at=now)
    )


def matching_secret(connection: Connection, client_id: str, secret: str, now: int) -> CredentialGrant | None:
    """The live integration with this id if the secret is one of its live ones.

    All candidates are compared in full, and there is always at least one comparison.
    """
    statement = (
        select(integrations, credentials.c.hash, *_GRANTED)
        .join(credentials, credentials.c.integration_id == integrations.c.id)
        .where(integrations.c.id == client_id, integrations.c.revoked_at.is_(None))
        .where(credentials.c.kind == CredentialKind.SECRET.value, _live(now))
    )
    rows = connection.execute(statement).all()
    given = digest(secret)
    equal = [hmac.compare_digest(given, stored) for stored in [row.hash for row in rows] or [_NOBODY]]
    matching = [row for row, same in zip(rows, equal, strict=False) if same]
    return _to_grant(matching[0]) if matching else None


def matching_bearer(connection: Connection, token: str, now: int) -> CredentialGrant | None:
    """The live integration whose live bearer token this is.

    The look-up is by SHA-256 of 256 random bits: its timing tells nothing that helps to guess a token.
    """
    statement = (
        select(integrations, *_GRANTED)
        .join(credentials, credentials.c.integration_id == integrations.c.id)
        .where(credentials.c.hash == digest(token), credentials.c.kind == CredentialKind.BEARER.value)
        .where(integrations.c.revoked_at.is_(None), _live(now))
    )
    row = connection.execute(statement).one_or_none()
    return None if row is None else _to_grant(row)


def _live(now: int) -> ColumnElement[bool]:
    unexpired = or_(credentials.c.expires_at.is_(None), credentials.c.expires_at > now)
    return credentials.c.revoked_at.is_(None) & unexpired


def _to_grant(row: Row[Any]) -> CredentialGrant:
    ends = None if row.expires_at is None else instant(row.expires_at)
    return CredentialGrant(to_integration(row), row.credential_id, ends)


def _to_credential(row: Row[Any]) -> Credential:
    return Credential(
        id=row.id,
        integration_id=row.integration_id,
        kind=CredentialKind(row.kind),
        hint=row.hint,
        created=instant(row.created_at),
        expires_at=None if row.expires_at is None else instant(row.expires_at),
        revoked_at=None if row.revoked_at is None else instant(row.revoked_at),
    )
