"""Result codes of a directory (RFC 4511 appendix A) to what `backends.errors` knows."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from backends.errors import NotFound, Protected, ReadOnly, RejectedValue, StoreError, TooManyCandidates, Unavailable
from backends.ldap.drivers.base import ConnectionLost, LdapError

OPERATIONS_ERROR = 1
TIME_LIMIT, SIZE_LIMIT, ADMIN_LIMIT = 3, 4, 11
COMPARE_FALSE = 5
REFERRAL = 10
NO_SUCH_ATTRIBUTE, CONSTRAINT_VIOLATION, VALUE_EXISTS, INVALID_SYNTAX = 16, 19, 20, 21
NO_SUCH_OBJECT, INVALID_DN = 32, 34
INAPPROPRIATE_AUTHENTICATION, INVALID_CREDENTIALS, NO_ACCESS = 48, 49, 50
BUSY, UNAVAILABLE, UNWILLING = 51, 52, 53
NAMING_VIOLATION, OBJECT_CLASS_VIOLATION, NOT_ON_NON_LEAF, NOT_ON_RDN, ALREADY_EXISTS = 64, 65, 66, 67, 68
ASSERTION_FAILED = 122

_REFUSED_VALUES = (
    CONSTRAINT_VIOLATION,
    VALUE_EXISTS,
    INVALID_SYNTAX,
    INVALID_DN,
    NAMING_VIOLATION,
    OBJECT_CLASS_VIOLATION,
    17,
    18,
)
_log = logging.getLogger(__name__)


@contextmanager
def translated() -> Iterator[None]:
    """Within it what the directory reports becomes a StoreError; the server's words go to the log."""
    try:
        yield
    except LdapError as error:
        fault = translate(error)
        _log.warning("the directory answered %s: %s", error.code, error.message)
        raise fault from error
    except ConnectionLost as error:
        _log.warning("the directory is not available: %s", error)
        raise Unavailable from error


def translate(error: LdapError) -> StoreError:
    """The fact that a result code stands for."""
    code = error.code
    if code == NO_SUCH_OBJECT:
        return NotFound()
    if code in (SIZE_LIMIT, TIME_LIMIT, ADMIN_LIMIT):
        return TooManyCandidates()
    if code in _REFUSED_VALUES:
        return RejectedValue("", "a value is not accepted by the directory")
    if code == NO_ACCESS:
        return Protected()
    if code == NOT_ON_NON_LEAF:
        return Protected("the directory has other entries below this one")
    if code in (UNWILLING, REFERRAL):
        return ReadOnly()
    return Unavailable()
