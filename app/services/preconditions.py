"""Conditional requests on SCIM resources (RFC 9110 section 13, RFC 7644 section 3.14)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from app.scim.query import Stamp
from app.scim.representation import etag


class PreconditionFailed(Exception):
    """A condition of the request does not hold; nothing was changed."""


class NotModified(Exception):
    """The client of a read already has this version."""

    def __init__(self, stamp: Stamp) -> None:
        super().__init__("not modified")
        self.stamp = stamp


@dataclass(frozen=True, slots=True)
class Preconditions:
    """The conditions of a request; tags are opaque texts without quotes and W/, `("*",)` stands for any version.

    Tags are compared weakly in If-Match too: the service issues weak tags only, and SCIM clients send them back there
    (RFC 7644 section 3.14).
    """

    if_match: tuple[str, ...] | None = None
    if_none_match: tuple[str, ...] | None = None
    modified_since: datetime | None = None
    unmodified_since: datetime | None = None

    @property
    def given(self) -> bool:
        return self is not UNCONDITIONAL and self != UNCONDITIONAL

    def check_write(self, stamp: Stamp) -> None:
        """Return when a write may go ahead on the existing resource; else raise PreconditionFailed."""
        if not self._matches(stamp) or (self.if_none_match is not None and _holds(self.if_none_match, stamp)):
            raise PreconditionFailed

    def check_read(self, stamp: Stamp) -> None:
        """Return when the resource is to be sent; else raise PreconditionFailed or NotModified."""
        if not self._matches(stamp):
            raise PreconditionFailed
        if self.if_none_match is not None:
            if _holds(self.if_none_match, stamp):
                raise NotModified(stamp)
        elif self.modified_since is not None and stamp.modified.replace(microsecond=0) <= self.modified_since:
            raise NotModified(stamp)

    def _matches(self, stamp: Stamp) -> bool:
        if self.if_match is not None:
            return _holds(self.if_match, stamp)
        return self.unmodified_since is None or stamp.modified.replace(microsecond=0) <= self.unmodified_since


UNCONDITIONAL = Preconditions()


def _holds(tags: tuple[str, ...], stamp: Stamp) -> bool:
    return "*" in tags or etag(stamp)[3:-1] in tags
