"""How a client says who it is at the token and revocation endpoints (RFC 6749 section 2.3)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_plus


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """A client id and secret as a client gave them; nothing has been verified."""

    client_id: str
    secret: str = field(repr=False)


class ConflictingCredentials(Exception):
    """The header and the body name different clients or secrets."""


def read_credentials(authorization: str | None, form: Mapping[str, str]) -> ClientCredentials | None:
    """The credentials of a request: those of the Basic header, else those of the form.

    `form` holds no empty values. None when there are none, or only one half of them. A body that repeats what
    the header says is tolerated. Raises ConflictingCredentials.
    """
    header = _basic(authorization)
    client_id, secret = form.get("client_id"), form.get("client_secret")
    if header is None:
        return ClientCredentials(client_id, secret) if client_id and secret else None
    if client_id not in (None, header.client_id) or secret not in (None, header.secret):
        raise ConflictingCredentials
    return header


def _basic(authorization: str | None) -> ClientCredentials | None:
    """Credentials of an HTTP Basic header, form-decoded after base64 as RFC 6749 section 2.3.1 wants it."""
    scheme, _, encoded = (authorization or "").strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return None
    client_id, colon, secret = text.partition(":")
    if not (client_id and colon and secret):
        return None
    return ClientCredentials(unquote_plus(client_id), unquote_plus(secret))
