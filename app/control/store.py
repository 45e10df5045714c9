"""The control store's one door."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from sqlalchemy.exc import IntegrityError

from app.control import credentials, integrations, keys
from app.control.audit import AuditTrail
from app.control.brakes import Brakes
from app.control.database import Database
from app.control.errors import NameTaken, UnknownIntegration
from app.control.links import Links
from app.control.managed import Managed, RehearsedManaged
from app.control.models import (
    Access,
    Credential,
    CredentialGrant,
    CredentialKind,
    Dialect,
    Integration,
    IssuedCredential,
    NewKey,
    Remit,
    SigningKey,
)
from app.control.rehearsal import Rehearsal
from app.control.revision import require_current
from app.control.turns import Turns
from app.control.values import is_bearer, is_id
from config.sql_url import sqlite_file


class ControlStore:
    """Integrations, their credentials, signing keys, revoked tokens and, as `links`, externalIds in one SQL database.
    `managed` says which resources belong to the identity provider, `brakes` who has done too much of late, `audit` is
    the record of every write, and `rehearsal` what has only been rehearsed.

    Safe for use by several threads and processes at once; a process that forks opens it afterwards. Each
    method is one transaction: when it raises, nothing has changed. Every method may raise ControlUnavailable;
    the next call tries again, so nothing needs restarting once the database is back. The schema is made by
    `upgrade`.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] = time.time) -> None:
        """`url` is a SQLAlchemy address (`config.sql_url.normalise`); `clock` gives seconds since 1970."""
        self._database = Database(url)
        self._clock = clock
        file = sqlite_file(url)
        self.audit = AuditTrail(self._database)
        self.managed = Managed(self._database, clock)
        self.brakes = Brakes(self._database, clock)
        turns = Turns(Path(f"{file}.turns")) if file is not None else None
        self.links = Links(self._database, clock, turns)
        self.rehearsal = Rehearsal(self._database, clock, turns)
        self.rehearsed_managed = RehearsedManaged(self._database, clock, self.rehearsal)

    def close(self) -> None:
        """Give back every connection. The store opens itself again when it is used again."""
        self._database.close()

    def check(self) -> None:
        """Return when the database answers and has this program's schema. Raises ControlUnavailable."""
        with self._database.read() as connection:
            require_current(connection)

    def generation(self) -> int:
        """A number that grows with every change that can alter a decision, made by whichever process.

        Whoever remembers a decision reads it *before* asking for the decision, and may use the decision for
        as long as the number stays the same. It costs microseconds on SQLite and one round trip elsewhere.
        """
        return self._database.generation()

    def create_integration(
        self, name: str, access: Access, dialect: Dialect = Dialect.RFC, remit: Remit = integrations.EVERYTHING
    ) -> Integration:
        """A new integration without credentials. Raises NameTaken, InvalidName, ReservedName."""
        try:
            with self._database.write() as connection:
                return integrations.create(connection, name, access, dialect, self._now(), remit)
        except IntegrityError:
            raise NameTaken(name) from None

    def create_first_integration(self, name: str, access: Access, dialect: Dialect) -> Integration | None:
        """The new integration, or None when there has ever been one; of racing processes one creates it."""
        with self._database.read() as connection:
            if integrations.count(connection):
                return None
        with self._database.write() as connection:
            if integrations.count(connection):
                return None
            return integrations.create(connection, name, access, dialect, self._now())

    def find_integration(self, reference: str) -> Integration:
        """The live integration with this name, else the integration, live or revoked, with this id.

        Raises UnknownIntegration.
        """
        with self._database.read() as connection:
            found = integrations.by_name(connection, reference) if _could_be_name(reference) else None
            if found is None and is_id(reference):
                found = integrations.by_id(connection, reference)
        if found is None:
            raise UnknownIntegration(reference)
        return found

    def list_integrations(self) -> list[Integration]:
        """Every integration, the oldest first, revoked ones included."""
        with self._database.read() as connection:
            return integrations.all_of(connection)

    def set_access(self, integration_id: str, access: Access) -> Integration:
        """The integration with its new access level. A lower one holds for access tokens already issued too; these
        never allow more than when they were issued.

        Raises UnknownIntegration, also for a revoked one.
        """
        with self._database.write() as connection:
            return integrations.change(connection, integration_id, {"access": access.value})

    def set_remit(self, integration_id: str, remit: Remit) -> Integration:
        """The integration with another remit, which holds for the next request of every worker.

        Raises UnknownIntegration, also for a revoked one.
        """
        with self._database.write() as connection:
            return integrations.change(connection, integration_id, {"remit": integrations.remit_text(remit)})

    def revoke_integration(self, integration_id: str) -> Integration:
        """Afterwards none of its credentials and tokens is accepted, for ever; its name is free again.

        Raises UnknownIntegration, also for one already revoked.
        """
        with self._database.write() as connection:
            return integrations.change(connection, integration_id, {"revoked_at": self._now(), "name_key": None})

    def add_secret(self, integration_id: str, lifetime: timedelta | None = None) -> IssuedCredential:
        """A further client secret; None means that it has no end. Raises UnknownIntegration."""
        with self._database.write() as connection:
            return credentials.add(connection, integration_id, CredentialKind.SECRET, lifetime, self._now())

    def add_bearer(self, integration_id: str, lifetime: timedelta | None) -> IssuedCredential:
        """A further bearer token; None means that it has no end. Raises UnknownIntegration."""
        with self._database.write() as connection:
            return credentials.add(connection, integration_id, CredentialKind.BEARER, lifetime, self._now())

    def rotate(
        self, integration_id: str, kind: CredentialKind, *, overlap: timedelta, lifetime: timedelta | None
    ) -> IssuedCredential:
        """A new credential; the others of its kind are accepted for `overlap` more, and revoked where that is
        nothing. Raises UnknownIntegration.
        """
        now = self._now()
        with self._database.write() as connection:
            if overlap:
                credentials.end_by(connection, integration_id, kind, now + int(overlap.total_seconds()), now)
            else:
                credentials.revoke_all(connection, integration_id, kind, now)
            return credentials.add(connection, integration_id, kind, lifetime, now)

    def list_credentials(self, integration_id: str) -> list[Credential]:
        """All credentials of an integration, the oldest first, ended ones too; none for an unknown id."""
        with self._database.read() as connection:
            return credentials.of_integration(connection, integration_id)

    def revoke_credential(self, integration_id: str, credential_id: str) -> None:
        """Afterwards neither this credential of the integration nor an access token that was issued for it is accepted.
        Raises UnknownCredential."""
        with self._database.write() as connection:
            credentials.revoke(connection, integration_id, credential_id, self._now())

    def verify_secret(self, client_id: str, secret: str) -> CredentialGrant | None:
        """What a live secret of this live integration stands for; it takes as long for an unknown client id."""
        looked_up = client_id if is_id(client_id) else ""
        with self._database.read() as connection:
            return credentials.matching_secret(connection, looked_up, secret, self._now())

    def verify_bearer(self, token: str) -> CredentialGrant | None:
        """What a live bearer token of a live integration stands for."""
        if not is_bearer(token):
            return None
        with self._database.read() as connection:
            return credentials.matching_bearer(connection, token, self._now())

    def token_subject(self, integration_id: str, jti: str, credential_id: str | None = None) -> Integration | None:
        """The live integration that an access token was issued to, unless that token is revoked, or the secret that it
        was issued for."""
        with self._database.read() as connection:
            return keys.token_subject(connection, integration_id, jti, credential_id)

    def revoke_token(self, jti: str, expires_at: int) -> None:
        """Afterwards the access token is not accepted; it is remembered until past `expires_at` (seconds
        since 1970).
        """
        with self._database.write() as connection:
            keys.revoke_token(connection, jti, expires_at, self._now())

    def signing_keys(self) -> list[SigningKey]:
        """The keys that verify tokens; the first one signs, the others are retired."""
        with self._database.read() as connection:
            return keys.usable(connection, self._now())

    def replace_signing_key(self, key: NewKey, *, previous: str | None) -> bool:
        """Make `key` the one that signs in place of `previous` (its kid; None where there is none yet).

        False when another process has replaced it already. The old public key stays among `signing_keys`
        until every token that it signed has ended.
        """
        with self._database.write() as connection:
            return keys.replace(connection, key, previous, self._now())

    def _now(self) -> int:
        return int(self._clock())


def _could_be_name(reference: str) -> bool:
    return 1 <= len(reference.strip()) <= 100 and reference.strip().isprintable()
