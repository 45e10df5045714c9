"""What the service publishes about itself (RFC 8414, RFC 9728)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from app.auth.scopes import READ, WRITE

_SERVER = "/.well-known/oauth-authorization-server"
_RESOURCE = "/.well-known/oauth-protected-resource"


@dataclass(frozen=True, slots=True)
class Published:
    """The URLs of one service. `issuer` and `resource` are its identifiers, without a trailing slash."""

    issuer: str
    resource: str

    @property
    def token_endpoint(self) -> str:
        return f"{self.issuer}/oauth/token"

    @property
    def server_paths(self) -> list[str]:
        """Where the metadata of the issuer is: between its host and its path (RFC 8414 section 3.1).

        The second one, where there is a path, is what a proxy asks for that takes the path away.
        """
        return sorted({_SERVER + self._prefix, _SERVER}, reverse=True)

    @property
    def resource_paths(self) -> list[str]:
        """Where the metadata of the resource is: between its host and its path (RFC 9728 section 3.1)."""
        path = urlsplit(self.resource).path
        return sorted({_RESOURCE + path, _RESOURCE + path.removeprefix(self._prefix)}, reverse=True)

    @property
    def resource_metadata(self) -> str:
        """The URL of the resource's metadata, for challenges."""
        parts = urlsplit(self.resource)
        return f"{parts.scheme}://{parts.netloc}{_RESOURCE}{parts.path}"

    @property
    def _prefix(self) -> str:
        return urlsplit(self.issuer).path

    def server_document(self) -> dict[str, Any]:
        """RFC 8414 section 2. `response_types_supported` must not be empty, and there is no authorization
        endpoint: "none" is the registered type that returns nothing from one.
        """
        methods = ["client_secret_basic", "client_secret_post"]
        return {
            "issuer": self.issuer,
            "token_endpoint": self.token_endpoint,
            "jwks_uri": f"{self.issuer}/oauth/jwks",
            "scopes_supported": [READ, WRITE],
            "response_types_supported": ["none"],
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": methods,
            "revocation_endpoint": f"{self.issuer}/oauth/revoke",
            "revocation_endpoint_auth_methods_supported": methods,
        }

    def resource_document(self) -> dict[str, Any]:
        """RFC 9728 section 2."""
        return {
            "resource": self.resource,
            "authorization_servers": [self.issuer],
            "scopes_supported": [READ, WRITE],
            "bearer_methods_supported": ["header"],
            "resource_name": "Landfall",
        }
