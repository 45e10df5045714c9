"""JWT access tokens: issued and verified here, and nowhere else (RFC 9068, RFC 8725)."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from app.auth.errors import InvalidToken
from app.auth.keys import ALGORITHM, KeyRing
from app.auth.scopes import join, parse

# Of this service alone; RFC 9068 section 2.2 leaves room for further claims.
_CREDENTIAL = "credential_id"
_TYPES = frozenset({"at+jwt", "application/at+jwt"})
_FOREIGN = "not an access token of this service"
# Whatever a hostile header or payload can make the parsers raise.
_MALFORMED = (JoseError, ValueError, TypeError, LookupError, AttributeError, RecursionError, OverflowError)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """The claims of a verified token. `expires_at` is in seconds since 1970. `credential_id` is that of the secret that
    it was issued for, None in a token of an earlier version of this service."""

    integration_id: str
    scopes: frozenset[str]
    jti: str
    expires_at: int
    credential_id: str | None


class AccessTokens:
    """Issues and verifies the tokens of one issuer for one resource.

    `issuer` and `audience` are compared exactly. Nothing is ever fetched: a token is good only under one of
    the issuer's own keys.
    """

    def __init__(
        self,
        keys: KeyRing,
        *,
        issuer: str,
        audience: str,
        lifetime: timedelta,
        skew: timedelta,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._skew = int(skew.total_seconds())
        self._clock = clock
        self.lifetime_seconds = int(lifetime.total_seconds())

    def issue(self, integration_id: str, scopes: frozenset[str], credential_id: str) -> str:
        """A signed token (RFC 9068 section 2.2) for the secret with this id. Raises ControlUnavailable."""
        key = self._keys.signer()
        now = int(self._clock())
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": integration_id,
            "client_id": integration_id,
            "iat": now,
            "exp": now + self.lifetime_seconds,
            "jti": secrets.token_urlsafe(16),
            "scope": join(scopes),
            _CREDENTIAL: credential_id,
        }
        header = {"alg": ALGORITHM, "typ": "at+jwt", "kid": key.kid}
        return jwt.encode(header, claims, key, algorithms=[ALGORITHM])

    def verify(self, token: str) -> AccessToken:
        """The claims of a token that passes every check of RFC 9068 section 4.

        Whether the integration is live and the token not revoked is for the caller to ask the control store.
        Raises InvalidToken for any failure, ControlUnavailable.
        """
        try:
            decoded = jwt.decode(token, self._find_key, algorithms=[ALGORITHM])
            return self._accept(decoded.claims)
        except _MALFORMED:
            raise InvalidToken(_FOREIGN) from None

    def _find_key(self, token: Any) -> RSAKey:
        # The header is untrusted: kid is compared with the kids we know, jku, x5u and jwk are not looked at.
        header = token.headers()
        kid = header.get("kid")
        if str(header.get("typ")).lower() not in _TYPES or not isinstance(kid, str):
            raise InvalidToken(_FOREIGN)
        key = self._keys.verifier(kid)
        if key is None:
            raise InvalidToken(_FOREIGN)
        return key

    def _accept(self, claims: dict[str, Any]) -> AccessToken:
        now = int(self._clock())
        audience = claims["aud"]
        audiences = audience if isinstance(audience, list) else [audience]
        times = [claims["exp"], claims["iat"], claims.get("nbf", 0)]
        credential_id = claims.get(_CREDENTIAL)
        texts = [claims["sub"], claims["jti"], claims["scope"]]
        if credential_id is not None:
            texts.append(credential_id)
        good = (
            claims["iss"] == self._issuer
            and self._audience in audiences
            and all(type(moment) is int for moment in times)
            and all(isinstance(text, str) and text for text in texts)
            and max(claims["iat"], times[2]) - self._skew <= now
            and claims["client_id"] == claims["sub"]
        )
        if not good:
            raise InvalidToken(_FOREIGN)
        if claims["exp"] + self._skew <= now:
            raise InvalidToken("expired access token", claims["sub"])
        return AccessToken(claims["sub"], parse(claims["scope"]), claims["jti"], claims["exp"], credential_id)
