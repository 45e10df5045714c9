"""The control store: the service's own small database of integrations, credentials, signing keys and revoked tokens,
and of externalIds that the back end has no place for.
"""

from __future__ import annotations

from app.control.errors import (
    ControlError,
    ControlUnavailable,
    InvalidName,
    NameTaken,
    UnknownCredential,
    UnknownIntegration,
)
from app.control.links import Held, Links
from app.control.models import (
    Access,
    BearerGrant,
    Credential,
    CredentialKind,
    Dialect,
    Integration,
    IssuedCredential,
    Link,
    NewKey,
    SigningKey,
)
from app.control.store import ControlStore
from app.control.upgrade import upgrade, upgrade_if_new

__all__ = [
    "Access",
    "BearerGrant",
    "ControlError",
    "ControlStore",
    "ControlUnavailable",
    "Credential",
    "CredentialKind",
    "Dialect",
    "Held",
    "Integration",
    "InvalidName",
    "IssuedCredential",
    "Link",
    "Links",
    "NameTaken",
    "NewKey",
    "SigningKey",
    "UnknownCredential",
    "UnknownIntegration",
    "upgrade",
    "upgrade_if_new",
]
