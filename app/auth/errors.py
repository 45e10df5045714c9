"""Why a request is refused before it reaches a resource (RFC 6750 section 3.1)."""

from __future__ import annotations

from typing import ClassVar


class AuthError(Exception):
    """Base of the refusals: `status` is the HTTP status, `error` the OAuth error code or None.

    `description` is fit for a client: it tells nothing of what is stored.
    """

    status: ClassVar[int] = 401
    error: ClassVar[str | None] = None

    def __init__(self, description: str, *, scope: str | None = None) -> None:
        super().__init__(description)
        self.description = description
        self.scope = scope


class NoCredentials(AuthError):
    """The request names no token at all: 401, without an error code."""

    def __init__(self) -> None:
        super().__init__("A bearer token in the Authorization header is required")


class InvalidToken(AuthError):
    """The token is malformed, unknown, expired, revoked or for someone else: 401. The client is not told which; the log
    is told the `reason`, and of a token that this service has signed the `client_id`."""

    error = "invalid_token"

    def __init__(self, reason: str, client_id: str | None = None) -> None:
        super().__init__("The access token is not valid")
        self.reason = reason
        self.client_id = client_id


class InvalidRequest(AuthError):
    """The token was sent in more than one way: 400."""

    status = 400
    error = "invalid_request"

    def __init__(self) -> None:
        super().__init__("The token must be sent once, in the Authorization header")


class InsufficientScope(AuthError):
    """The token is good but does not allow this request: 403; `scope` is what would."""

    status = 403
    error = "insufficient_scope"

    def __init__(self, scope: str) -> None:
        super().__init__("The integration may not do this", scope=scope)


class InsecureTransport(AuthError):
    """The request came over plain HTTP where HTTPS is promised: 403, and its token must count as exposed."""

    status = 403

    def __init__(self) -> None:
        super().__init__("HTTPS is required")
