"""What the core reports. Each class is one row of the error table (RFC 7644 section 3.12); HTTP is not known here."""

from __future__ import annotations


class ScimError(Exception):
    """Base of all refusals of the core; `detail` is a sentence for the client and tells nothing of internals."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class InvalidFilter(ScimError):
    """The filter is not in the grammar, or an operator or operand does not fit the attribute."""


class InvalidSyntax(ScimError):
    """The message body has the wrong structure or message schema."""


class InvalidPath(ScimError):
    """A PATCH path or a sort path is malformed or names no attribute of the resource type."""


class InvalidValue(ScimError):
    """A required value is missing, or a value does not fit the type or the schema."""


class NoTarget(ScimError):
    """A PATCH path selects nothing to operate on."""


class Mutability(ScimError):
    """The change is not allowed by the attribute's mutability or because it is required."""


class TooMany(ScimError):
    """The result is larger than the service is willing to compute."""


class InvalidVersion(ScimError):
    """The SCIM protocol version in the URL is not supported."""


class Sensitive(ScimError):
    """The request asks about an attribute that is never returned (RFC 7644 section 7.5.2)."""
