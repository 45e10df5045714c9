"""How an account is locked, so that a bind fails (RFC 4511 section 4.2), on each kind of server."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from backends.ldap import dn
from backends.ldap.drivers.base import Attributes
from backends.ldap.servers import read_time
from config.directory import Lock

_PERMANENTLY = b"000001010000Z"
_LONG_AGO = b"19700101000000Z"
_DISABLED = 0x2
_NORMAL_ACCOUNT = 0x200
_BIT_AND = "1.2.840.113556.1.4.803"

Locked = Callable[[Attributes], bool]


@dataclass(frozen=True, slots=True)
class LockRule:
    """`attribute` is the one that locks, in lower case. `locked` reads it; `values` gives what it must become, from
    what it is; `filter` finds locked accounts."""

    attribute: str
    locked: Callable[[tuple[bytes, ...]], bool]
    values: Callable[[bool, tuple[bytes, ...]], tuple[bytes, ...]]
    filter: Callable[[], str]


def _flags(values: tuple[bytes, ...]) -> int:
    return int(values[0]) if values else _NORMAL_ACCOUNT


def _with_flag(locked: bool, values: tuple[bytes, ...]) -> tuple[bytes, ...]:
    flags = _flags(values)
    return (str(flags | _DISABLED if locked else flags & ~_DISABLED).encode(),)


def _now() -> bytes:
    return datetime.now(UTC).strftime("%Y%m%d%H%M%SZ").encode()


LOCKS: Mapping[Lock, LockRule] = {
    Lock.PPOLICY: LockRule(
        "pwdaccountlockedtime",
        lambda values: _PERMANENTLY in values,
        lambda locked, _: (_PERMANENTLY,) if locked else (),
        lambda: dn.equality("pwdAccountLockedTime", _PERMANENTLY),
    ),
    Lock.PWD_END_TIME: LockRule(
        "pwdendtime",
        lambda values: bool(values) and read_time(values[0]) <= datetime.now(UTC),
        lambda locked, _: (_LONG_AGO,) if locked else (),
        lambda: f"(pwdEndTime<={_now().decode()})",
    ),
    Lock.NS_ACCOUNT_LOCK: LockRule(
        "nsaccountlock",
        lambda values: bool(values) and values[0].lower() == b"true",
        lambda locked, _: (b"true",) if locked else (),
        lambda: dn.equality("nsAccountLock", b"true"),
    ),
    Lock.USER_ACCOUNT_CONTROL: LockRule(
        "useraccountcontrol",
        lambda values: bool(_flags(values) & _DISABLED),
        _with_flag,
        lambda: f"(userAccountControl:{_BIT_AND}:={_DISABLED})",
    ),
}


def unicode_password(password: str) -> bytes:
    """The value of `unicodePwd`: the password in quotation marks, in UTF-16."""
    return f'"{password}"'.encode("utf-16-le")


def random_password() -> str:
    """A password that nobody knows, of all the sorts of characters that password policies ask for."""
    return f"Aa1!{secrets.token_urlsafe(32)}"
