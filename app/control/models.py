"""The values that the control store takes and gives. All times are in UTC, to the second; those of links to the
microsecond."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum, auto


class Access(StrEnum):
    """What an integration may do: see users and groups, or change them as well."""

    READ_ONLY = "read-only"
    FULL = "full"


class Dialect(StrEnum):
    """Whose habits win where they contradict the RFC."""

    RFC = "rfc"
    ENTRA = "entra"


class Only(StrEnum):
    """The one kind of resource that an integration has to do with."""

    USERS = "users"
    GROUPS = "groups"


class Outside(StrEnum):
    """What happens when an integration writes an attribute that it may not write: the request is refused, or the
    attribute is kept as it is."""

    REFUSE = "refuse"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Remit:
    """What of the store an integration has to do with; by default everything.

    `only` is the one kind, None for both. `users` and `groups` are SCIM filters on those that it sees and writes, None
    for all. `attributes` are the paths of those that it may write, empty for all, and `outside` says what becomes of
    others. `bases` are the DNs (RFC 4514) of the subtrees of a directory in which those are that it sees and writes,
    empty for all of it.
    """

    only: Only | None = None
    users: str | None = None
    groups: str | None = None
    attributes: tuple[str, ...] = ()
    outside: Outside = Outside.REFUSE
    bases: tuple[str, ...] = ()


class CredentialKind(StrEnum):
    """`secret` is exchanged for access tokens at the token endpoint; `bearer` is itself sent with every
    request.
    """

    SECRET = "secret"  # noqa: S105
    BEARER = "bearer"


@dataclass(frozen=True, slots=True)
class Integration:
    """One OAuth client. `id` is its client id; `revoked_at` None means that it is live."""

    id: str
    name: str
    access: Access
    dialect: Dialect
    created: datetime
    revoked_at: datetime | None = None
    remit: Remit = field(default_factory=Remit)


@dataclass(frozen=True, slots=True)
class Credential:
    """A secret or bearer token without its value; `hint` is the last four characters of the value."""

    id: str
    integration_id: str
    kind: CredentialKind
    hint: str
    created: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def live(self, now: datetime) -> bool:
        """True while the credential is accepted."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


@dataclass(frozen=True, slots=True)
class IssuedCredential:
    """A new credential with its value, which is kept nowhere and cannot be shown again."""

    credential: Credential
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CredentialGrant:
    """What a live credential stands for. `expires_at` None means that it has no end."""

    integration: Integration
    credential_id: str
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key pair that is to be stored: `private_pem` is PKCS #8 in PEM form."""

    kid: str
    private_pem: str = field(repr=False)
    algorithm: str = "RS256"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A stored key pair. The one with `retired_at` None signs; a retired one verifies until `expires_at`."""

    kid: str
    algorithm: str
    private_pem: str = field(repr=False)
    created: datetime
    retired_at: datetime | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Link:
    """The externalId of a resource, None when it has none any more. `revision` grows with every change of it from 1 on;
    0 stands for a resource that never had one. `changed` is when it last changed."""

    resource_id: str
    external_id: str | None
    revision: int
    changed: datetime


@dataclass(frozen=True, slots=True)
class Candidate:
    """A resource that is not managed and that an integration has asked for; `name` is its userName or displayName."""

    kind: str
    resource_id: str
    name: str
    integration_id: str
    asked: datetime
    approved: bool


class Spent(Enum):
    """What became of an attempt to do more of what a brake limits."""

    ALLOWED = auto()
    APPLIES = auto()
    """It was too much: the brake is applied by it."""
    APPLIED = auto()
    """The brake was applied before."""
    EXCEEDS = auto()
    """It would be too much: nothing is counted, and no brake is applied."""


@dataclass(frozen=True, slots=True)
class Brake:
    """A brake that stops an integration: it has had more of the effect than `limit` in the window."""

    integration_id: str
    effect: str
    applied: datetime
    limit: int
