"""The WWW-Authenticate header of refused requests (RFC 6750 section 3, RFC 9728 section 5.1)."""

from __future__ import annotations

import re

from app.auth.errors import AuthError

REALM = "landfall"
_FORBIDDEN = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")


def bearer_challenge(resource_metadata: str, error: AuthError | None = None) -> str:
    """The value of WWW-Authenticate, each parameter at most once, with nothing that could end a quoted
    string.

    `resource_metadata` is the URL of the RFC 9728 document. There is no error code where no credentials were
    sent.
    """
    parameters = {"realm": REALM}
    if error is not None and error.error is not None:
        parameters["error"] = error.error
        parameters["error_description"] = error.description
        if error.scope is not None:
            parameters["scope"] = error.scope
    parameters["resource_metadata"] = resource_metadata
    return "Bearer " + ", ".join(f'{name}="{_FORBIDDEN.sub("", value)}"' for name, value in parameters.items())
