"""The control store: the service's own small database of integrations, credentials, signing keys and revoked tokens,
and of externalIds that the back end has no place for.
"""

from __future__ import annotations

from app.control.audit import AuditTrail
from app.control.audit_models import AuditRecord, Chain, Entry, Wanted
from app.control.brakes import Brakes
from app.control.errors import (
    ControlError,
    ControlUnavailable,
    InvalidName,
    NameTaken,
    ReservedName,
    UnknownCredential,
    UnknownIntegration,
)
from app.control.links import Held, Links
from app.control.managed import Managed
from app.control.models import (
    Access,
    Brake,
    Candidate,
    Credential,
    CredentialGrant,
    CredentialKind,
    Dialect,
    Integration,
    IssuedCredential,
    Link,
    NewKey,
    Only,
    Outside,
    Remit,
    SigningKey,
)
from app.control.rehearsal import Rehearsal
from app.control.rehearsal_models import Copy, Fate, Key, Origin, Who
from app.control.store import ControlStore
from app.control.upgrade import upgrade, upgrade_if_new

__all__ = [
    "Access",
    "AuditRecord",
    "AuditTrail",
    "Brake",
    "Brakes",
    "Candidate",
    "Chain",
    "ControlError",
    "ControlStore",
    "ControlUnavailable",
    "Copy",
    "Credential",
    "CredentialGrant",
    "CredentialKind",
    "Dialect",
    "Entry",
    "Fate",
    "Held",
    "Integration",
    "InvalidName",
    "IssuedCredential",
    "Key",
    "Link",
    "Links",
    "Managed",
    "NameTaken",
    "NewKey",
    "Only",
    "Origin",
    "Outside",
    "Rehearsal",
    "Remit",
    "ReservedName",
    "SigningKey",
    "UnknownCredential",
    "UnknownIntegration",
    "Wanted",
    "Who",
    "upgrade",
    "upgrade_if_new",
]
