"""OAuth 2.0: the token endpoint, the tokens, and the guard of the SCIM resources."""

from __future__ import annotations

from app.auth.errors import (
    AuthError,
    InsecureTransport,
    InsufficientScope,
    InvalidRequest,
    InvalidToken,
    NoCredentials,
)
from app.auth.guard import Guard, Principal
from app.auth.metadata import Published
from app.auth.setup import key_ring, register

__all__ = [
    "AuthError",
    "Guard",
    "InsecureTransport",
    "InsufficientScope",
    "InvalidRequest",
    "InvalidToken",
    "NoCredentials",
    "Principal",
    "Published",
    "key_ring",
    "register",
]
