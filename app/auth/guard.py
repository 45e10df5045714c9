"""Who is asking, and what may they do? Asked for every request, so an answer is remembered while it holds."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from app.addresses import read_address
from app.auth.challenge import bearer_challenge
from app.auth.errors import (
    AuthError,
    InsecureTransport,
    InsufficientScope,
    InvalidRequest,
    InvalidToken,
    NoCredentials,
)
from app.auth.failures import Failures
from app.auth.scopes import READ, WRITE, allowed
from app.auth.tokens import AccessTokens
from app.control import Access, ControlStore, Dialect, Integration, Remit
from app.control.values import is_bearer

_BEARER = re.compile(r" *bearer(?: +([A-Za-z0-9._~+/-]+=*))? *", re.IGNORECASE)
_CACHED_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class Principal:
    """The integration that a request speaks for, the scopes that its token and its access level both allow, and its
    remit.
    """

    integration_id: str
    name: str
    access: Access
    dialect: Dialect
    scopes: frozenset[str]
    remit: Remit = field(default_factory=Remit)

    @property
    def may_write(self) -> bool:
        """True where the request may change users and groups."""
        return WRITE in self.scopes


@dataclass(frozen=True, slots=True)
class _Verified:
    generation: int
    ends: float
    principal: Principal


class Guard:
    """Authenticates requests to the SCIM resources (RFC 7644 section 2, RFC 6750).

    A verified token is remembered by its SHA-256 until it ends or anything in the control store changes,
    whichever worker or command changed it; so a revoked or downgraded integration is seen as such by the next
    request.
    """

    def __init__(
        self,
        control: ControlStore,
        tokens: AccessTokens,
        *,
        resource_metadata: str,
        https_only: bool,
        failures: Failures,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._failures = failures
        self._control = control
        self._tokens = tokens
        self._resource_metadata = resource_metadata
        self._https_only = https_only
        self._clock = clock
        self._cache: dict[bytes, _Verified] = {}
        self._lock = threading.Lock()

    def authenticate(
        self, authorization: str | None, *, other_token: bool = False, address: str | None = None
    ) -> Principal:
        """The principal of a request.

        `authorization` is the Authorization header as received; `other_token` says that the query or a form
        body holds an `access_token` as well, which is never accepted as a credential; `address` is the peer's, which
        the log has of a token that is not valid.

        Raises NoCredentials, InvalidToken, InvalidRequest (two tokens), ControlUnavailable.
        """
        try:
            return self._authenticated(authorization, other_token=other_token)
        except InvalidToken as error:
            self._failures.tell("token", error.reason, address, error.client_id)
            raise

    def _authenticated(self, authorization: str | None, *, other_token: bool) -> Principal:
        token = _read_header(authorization)
        if other_token:
            raise InvalidRequest
        key = hashlib.sha256(token.encode("ascii")).digest()
        generation = self._control.generation()
        known = self._cache.get(key)
        if known is not None and known.generation == generation and self._clock() < known.ends:
            return known.principal
        principal, ends = self._verify(token)
        self._remember(key, _Verified(generation, ends, principal))
        return principal

    def require_read(self, principal: Principal) -> None:
        """Return when the principal may see users and groups; raise InsufficientScope."""
        if READ not in principal.scopes:
            raise InsufficientScope(READ)

    def require_write(self, principal: Principal) -> None:
        """Return when the principal may change users and groups; raise InsufficientScope."""
        if not principal.may_write:
            raise InsufficientScope(WRITE)

    def require_secure(self, scheme: str, address: str | None) -> None:
        """Return when the request came over HTTPS, or from this machine; raise InsecureTransport.

        `scheme` and `address` (of the peer) are those that trusted proxies report. Plain HTTP is accepted
        where the operator has published an http URL.
        """
        if self._https_only and scheme != "https" and not _is_local(address):
            raise InsecureTransport

    def challenge(self, error: AuthError | None = None) -> str:
        """The WWW-Authenticate header of the refusal."""
        return bearer_challenge(self._resource_metadata, error)

    def _verify(self, token: str) -> tuple[Principal, float]:
        if is_bearer(token):
            grant = self._control.verify_bearer(token)
            if grant is None:
                raise InvalidToken("unknown, expired or revoked bearer token")
            ends = float("inf") if grant.expires_at is None else grant.expires_at.timestamp()
            return _principal(grant.integration, allowed(grant.integration.access)), ends
        claims = self._tokens.verify(token)
        integration = self._control.token_subject(claims.integration_id, claims.jti, claims.credential_id)
        if integration is None:
            raise InvalidToken("revoked access token, secret or integration", claims.integration_id)
        # The end that counts is checked anew on a miss, so that the skew is granted in one place only.
        return _principal(integration, claims.scopes & allowed(integration.access)), float(claims.expires_at)

    def _remember(self, key: bytes, verified: _Verified) -> None:
        with self._lock:
            if len(self._cache) >= _CACHED_TOKENS:
                self._cache.pop(next(iter(self._cache)))
            self._cache[key] = verified


def _principal(integration: Integration, scopes: frozenset[str]) -> Principal:
    return Principal(
        integration.id, integration.name, integration.access, integration.dialect, scopes, integration.remit
    )


def _read_header(authorization: str | None) -> str:
    """The token of the header. Another scheme counts as no credentials, a comma as two headers made one."""
    if authorization is None or not authorization.strip(" "):
        raise NoCredentials
    found = _BEARER.fullmatch(authorization)
    if found is not None and found[1]:
        return found[1]
    if authorization.strip(" ").partition(" ")[0].lower() != "bearer":
        raise NoCredentials
    raise InvalidRequest if "," in authorization else InvalidToken("no bearer token in the header")


def _is_local(address: str | None) -> bool:
    """True for a peer on this machine: a loopback address, or a local socket, which has none."""
    if not address:
        return True
    found = read_address(address)
    return found is not None and found.is_loopback
