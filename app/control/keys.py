"""Statements about signing keys and revoked tokens; each function runs in the caller's transaction."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, or_, select, update

from app.control.integrations import to_integration
from app.control.models import Integration, NewKey, SigningKey
from app.control.tables import credentials, integrations, revoked_tokens, signing_keys
from app.control.values import instant

# Longer than the longest token life that can be configured (six hours) and the largest clock skew.
OVERLAP = timedelta(hours=7)


def usable(connection: Connection, now: int) -> list[SigningKey]:
    """The keys that verify, the newest first: the one that signs and those whose tokens may be alive."""
    statement = (
        select(signing_keys)
        .where(or_(signing_keys.c.expires_at.is_(None), signing_keys.c.expires_at > now))
        .order_by(signing_keys.c.retired_at.is_not(None), signing_keys.c.created_at.desc(), signing_keys.c.kid)
    )
    return [_to_key(row) for row in connection.execute(statement)]


def replace(connection: Connection, key: NewKey, previous: str | None, now: int) -> bool:
    """Make `key` the one that signs, if the one that signs now is `previous` (a kid, or None for no key at
    all).

    False, and no change, when another process was faster. The old key is retired; expired ones are deleted.
    """
    signing = signing_keys.c.retired_at.is_(None)
    current = connection.execute(select(signing_keys.c.kid).where(signing)).scalar_one_or_none()
    if current != previous:
        return False
    connection.execute(delete(signing_keys).where(signing_keys.c.expires_at <= now))
    ends = now + int(OVERLAP.total_seconds())
    connection.execute(update(signing_keys).where(signing).values(retired_at=now, expires_at=ends))
    connection.execute(
        insert(signing_keys).values(kid=key.kid, algorithm=key.algorithm, private_pem=key.private_pem, created_at=now)
    )
    return True


def revoke_token(connection: Connection, jti: str, expires_at: int, now: int) -> None:
    """Remember the token until it would have ended; forget those that have ended for a day."""
    connection.execute(delete(revoked_tokens).where(revoked_tokens.c.expires_at < now - 86_400))
    known = connection.execute(select(revoked_tokens.c.jti).where(revoked_tokens.c.jti == jti)).first()
    if known is None:
        connection.execute(insert(revoked_tokens).values(jti=jti, expires_at=expires_at))


def token_subject(
    connection: Connection, integration_id: str, jti: str, credential_id: str | None
) -> Integration | None:
    """The live integration that a token was issued to, unless that token is revoked, or the secret that it was issued
    for (None where that is not known). A secret that has ended leaves its tokens to their own end."""
    revoked = select(revoked_tokens.c.jti).where(revoked_tokens.c.jti == jti).exists()
    statement = select(integrations).where(
        integrations.c.id == integration_id, integrations.c.revoked_at.is_(None), ~revoked
    )
    if credential_id is not None:
        withdrawn = (credentials.c.id == credential_id) & credentials.c.revoked_at.is_not(None)
        statement = statement.where(~select(credentials.c.id).where(withdrawn).exists())
    row = connection.execute(statement).one_or_none()
    return None if row is None else to_integration(row)


def _to_key(row: Row[Any]) -> SigningKey:
    return SigningKey(
        kid=row.kid,
        algorithm=row.algorithm,
        private_pem=row.private_pem,
        created=instant(row.created_at),
        retired_at=None if row.retired_at is None else instant(row.retired_at),
        expires_at=None if row.expires_at is None else instant(row.expires_at),
    )
