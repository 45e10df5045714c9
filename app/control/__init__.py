"""The control store: the service's own small database of integrations, credentials, signing keys and revoked
tokens.
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
from app.control.models import (
    Access,
    BearerGrant,
    Credential,
    CredentialKind,
    Dialect,
    Integration,
    IssuedCredential,
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
    "Integration",
    "InvalidName",
    "IssuedCredential",
    "NameTaken",
    "NewKey",
    "SigningKey",
    "UnknownCredential",
    "UnknownIntegration",
    "upgrade",
    "upgrade_if_new",
]
