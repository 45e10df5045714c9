"""The authorization server: Authlib's machinery with this service's clients, tokens and rules."""
# mypy: disallow-subclassing-any=False

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from authlib.oauth2 import AuthorizationServer as BaseServer
from authlib.oauth2 import OAuth2Error, OAuth2Request
from authlib.oauth2.rfc6749 import ClientMixin, InvalidClientError, InvalidRequestError, OAuth2Payload
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7009 import RevocationEndpoint
from flask import Response

from app.auth.challenge import REALM
from app.auth.client import ConflictingCredentials, read_credentials
from app.auth.errors import InvalidToken
from app.auth.failures import Failures
from app.auth.scopes import allowed, join, parse
from app.auth.throttle import Throttle
from app.auth.tokens import AccessTokens
from app.control import ControlStore, CredentialGrant, UnknownCredential

GRANT_TYPE = "client_credentials"
AUTH_METHODS = ["client_secret_basic", "client_secret_post"]


class TokenPayload(OAuth2Payload):
    """The form of a request, and never its query."""

    def __init__(self, form: Mapping[str, str]) -> None:
        self._form = form

    @property
    def data(self) -> Mapping[str, str]:
        return self._form


class TokenRequest(OAuth2Request):
    """A request to one of the endpoints: a form without repeated or empty parameters, and who sent it."""

    def __init__(self, form: Mapping[str, str], authorization: str | None, address: str) -> None:
        # The base class judges the transport by the Host header, which clients and proxies choose; it has
        # been judged by Guard.require_secure.
        super().__init__("POST", "https://localhost/")
        self.payload = TokenPayload(form)
        self.authorization = authorization
        self.address = address

    @property
    def form(self) -> Mapping[str, str]:
        return self.payload.data


class Client(ClientMixin):
    """An integration in its role as OAuth client, and the secret by which it is known."""

    def __init__(self, grant: CredentialGrant) -> None:
        self.integration = grant.integration
        self.credential_id = grant.credential_id

    def get_client_id(self) -> str:
        return self.integration.id

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """The granted scopes: all that the access level allows where none is asked for; None refuses."""
        mine = allowed(self.integration.access)
        wanted = parse(scope or "") or mine
        return join(wanted) if wanted <= mine else None

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == GRANT_TYPE


class ClientRefused(InvalidClientError):
    """401 with the one scheme that a client can authenticate with in a header (RFC 6749 section 5.2)."""

    description = "Client authentication failed"
    status_code = 401

    def get_headers(self) -> list[tuple[str, str]]:
        return [*OAuth2Error.get_headers(self), ("WWW-Authenticate", f'Basic realm="{REALM}"')]


class TooManyFailures(OAuth2Error):
    """429 after too many failed authentications of one client from one address."""

    error = "temporarily_unavailable"
    description = "Too many failed attempts"
    status_code = 429

    def __init__(self, seconds: int) -> None:
        super().__init__()
        self._seconds = seconds

    def get_headers(self) -> list[tuple[str, str]]:
        return [*super().get_headers(), ("Retry-After", str(self._seconds))]


class UnsupportedGrant(OAuth2Error):
    """Another grant type than the one offered; what was sent is not repeated."""

    error = "unsupported_grant_type"
    description = "Only client_credentials is supported"


class Grant(ClientCredentialsGrant):
    """RFC 6749 section 4.4."""

    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS

    def create_token_response(self) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        # The base class writes the token to the log.
        token = self.generate_token(scope=self.request.payload.scope, include_refresh_token=False)
        return 200, token, self.TOKEN_RESPONSE_HEADER


@dataclass(frozen=True, slots=True)
class FoundToken:
    """A live token that is to be revoked: an access token by its jti and end, or a bearer token by its
    credential.
    """

    integration_id: str
    jti: str | None = None
    expires_at: int = 0
    credential_id: str | None = None

    def check_client(self, client: Client) -> bool:
        """True where the token belongs to the client."""
        return self.integration_id == client.integration.id


class Revocation(RevocationEndpoint):
    """RFC 7009, for access tokens and for long-lived bearer tokens."""

    CLIENT_AUTH_METHODS = AUTH_METHODS

    def __init__(self, server: Server, control: ControlStore, tokens: AccessTokens) -> None:
        super().__init__(server)
        self._control = control
        self._tokens = tokens

    def check_params(self, request: TokenRequest, client: Client) -> None:
        # A wrong hint must not stop the search (section 2.1), so it is not looked at.
        if "token" not in request.form:
            raise InvalidRequestError("The token parameter is missing")

    def query_token(self, token_string: str, token_type_hint: str | None) -> FoundToken | None:
        grant = self._control.verify_bearer(token_string)
        if grant is not None:
            return FoundToken(grant.integration.id, credential_id=grant.credential_id)
        try:
            claims = self._tokens.verify(token_string)
        except InvalidToken:
            return None
        return FoundToken(claims.integration_id, jti=claims.jti, expires_at=claims.expires_at)

    def revoke_token(self, token: FoundToken, request: TokenRequest) -> None:
        if token.jti is not None:
            self._control.revoke_token(token.jti, token.expires_at)
        elif token.credential_id is not None:
            self._revoke_bearer(token.integration_id, token.credential_id)

    def _revoke_bearer(self, integration_id: str, credential_id: str) -> None:
        try:
            self._control.revoke_credential(integration_id, credential_id)
        except UnknownCredential:
            return  # someone else has revoked it since it was found, and that is what was wanted


class Server(BaseServer):
    """Authenticates clients, issues tokens and revokes them. Both methods raise ControlUnavailable."""

    def __init__(self, control: ControlStore, tokens: AccessTokens, throttle: Throttle, failures: Failures) -> None:
        super().__init__()
        self._control = control
        self._throttle = throttle
        self._failures = failures
        generator = BearerTokenGenerator(
            partial(_issue, tokens), expires_generator=lambda client, grant_type: tokens.lifetime_seconds
        )
        self.register_token_generator("default", generator)
        self.register_grant(Grant)
        self.register_endpoint(Revocation(self, control, tokens))

    def token_response(self, request: TokenRequest) -> Response:
        """The answer to a token request (RFC 6749 sections 5.1 and 5.2)."""
        grant_type = request.payload.grant_type
        if not grant_type:
            return self.refuse(InvalidRequestError("The grant_type parameter is missing"))
        if grant_type != GRANT_TYPE:
            return self.refuse(UnsupportedGrant())
        return self.create_token_response(request)  # type: ignore[no-any-return]

    def revocation_response(self, request: TokenRequest) -> Response:
        """The answer to a revocation request (RFC 7009 section 2.2)."""
        return self.create_endpoint_response("revocation", request)  # type: ignore[no-any-return]

    def refuse(self, error: OAuth2Error) -> Response:
        """The response of an error."""
        return self.handle_response(*error())

    def authenticate_client(self, request: TokenRequest, methods: list[str], endpoint: str = "token") -> Client:
        """Raises ClientRefused, TooManyFailures, InvalidRequestError."""
        try:
            given = read_credentials(request.authorization, request.form)
        except ConflictingCredentials:
            raise InvalidRequestError("The header and the body name different credentials") from None
        if given is None:
            self._tell("no client id and secret", request, request.form.get("client_id"))
            raise ClientRefused
        if wait := self._throttle.wait(given.client_id, request.address):
            self._tell("too many failures", request, given.client_id)
            raise TooManyFailures(wait)
        grant = self._control.verify_secret(given.client_id, given.secret)
        if grant is None:
            self._throttle.failed(given.client_id, request.address)
            self._tell("unknown client, or no live secret of it", request, given.client_id)
            raise ClientRefused
        return Client(grant)

    def _tell(self, reason: str, request: TokenRequest, client_id: str | None) -> None:
        self._failures.tell("client secret", reason, request.address, client_id)

    def create_oauth2_request(self, request: TokenRequest) -> TokenRequest:
        return request

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""

    def handle_response(self, status: int, payload: Any, headers: list[tuple[str, str]]) -> Response:
        return Response(json.dumps(payload), status=status, headers=headers)


def _issue(tokens: AccessTokens, client: Client, grant_type: str, user: None, scope: str) -> str:
    return tokens.issue(client.integration.id, parse(scope), client.credential_id)
