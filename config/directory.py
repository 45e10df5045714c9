"""The bindings of a directory: where each SCIM attribute lives in it. An operator writes them as a TOML file.

`config/bindings/*.toml` are the ones that are shipped, and describe each key for operators.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from config.errors import Fault

Slot = str
"""The canonical path of a SCIM attribute as `app.scim.query` defines it: `name.familyName`, `emails`."""

Key = tuple[str | int, ...]
"""The way to a value in a TOML document: names of keys, and places in arrays counted from 0."""

PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
"""`{slot}` in a DN template."""


class Kind(StrEnum):
    """The sort of server: how it issues ids, stamps changes, and what it can be asked for."""

    OPENLDAP = "openldap"
    DS389 = "389ds"
    ACTIVE_DIRECTORY = "active-directory"


class Lock(StrEnum):
    """How an account is locked so that a bind fails.

    `ppolicy`: `pwdAccountLockedTime` of OpenLDAP's password policy overlay. `pwdEndTime`: the end of the password's
    validity, of the same overlay. `nsAccountLock`: 389 Directory Server. `userAccountControl`: Active Directory.
    `none`: `active` is kept and locks nothing.
    """

    PPOLICY = "ppolicy"
    PWD_END_TIME = "pwdEndTime"  # noqa: S105
    NS_ACCOUNT_LOCK = "nsAccountLock"
    USER_ACCOUNT_CONTROL = "userAccountControl"
    NONE = "none"


class Password(StrEnum):
    """How a password is set. `modify`: the Password Modify operation (RFC 3062). `userPassword`: that attribute, which
    the server hashes. `unicodePwd`: Active Directory. `none`: passwords are refused."""

    MODIFY = "modify"
    USER_PASSWORD = "userPassword"  # noqa: S105
    UNICODE_PWD = "unicodePwd"  # noqa: S105
    NONE = "none"


class MemberSyntax(StrEnum):
    """What a value of the member attribute is: a user's DN, or the user's name (`memberUid` of posixGroup)."""

    DN = "dn"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Single:
    """The LDAP attribute of a singular slot. `max` is the most characters that it takes, None for no limit, and
    `forbid` has the characters that it does not take."""

    attribute: str
    max: int | None = None
    forbid: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where values of a multi-valued slot live that have this `type` (None: any, or none).

    `parts` maps a sub-attribute to its LDAP attribute. With `value` alone every value of the LDAP attribute is a
    value of the slot; with several parts there is one value, made of all of them. `primary` says that the first is
    the primary value. `max` is the most characters of a part, None for no limit; `limits` has those of parts with one
    of their own. Read both with `limit`.
    """

    parts: Mapping[str, str]
    type: str | None = None
    primary: bool = False
    max: int | None = None
    limits: Mapping[str, int] = field(default_factory=dict)

    def limit(self, part: str) -> int | None:
        """The most characters of a part, None for no limit."""
        return self.limits.get(part, self.max)


@dataclass(frozen=True, slots=True)
class Derived:
    """What an LDAP attribute holds when no slot gives it a value, because its class demands one: the value of the
    first of `slots` that has one, without the characters in `forbid`, at most `max` characters long."""

    slots: tuple[Slot, ...]
    max: int | None = None
    forbid: str = ""


@dataclass(frozen=True, slots=True)
class KindBindings:
    """Entries of one SCIM resource type.

    Entries are those below `base` that satisfy `filter` (RFC 4515). A new one gets `object_classes`, and its RDN is
    of the attribute `rdn`. It goes below the first DN of `placement` that exists and all of whose `{slot}` have
    values, else below `base`. `version` names the attribute that the server changes with each write, or is `content`:
    a digest of the bound attributes. `record` is the attribute for a text that holds what the others can't, None
    where the schema has none: then only bound slots are served. `held` lists the slots in it for searches. `fixed`
    has what each new entry gets besides, by LDAP attribute; `filled` names the attributes that the server itself
    gives a new entry.
    """

    base: str
    filter: str
    object_classes: tuple[str, ...]
    rdn: str
    version: str
    placement: tuple[str, ...] = ()
    record: str | None = None
    held: str | None = None
    singles: Mapping[Slot, Single] = field(default_factory=dict)
    lists: Mapping[Slot, tuple[Place, ...]] = field(default_factory=dict)
    derived: Mapping[str, Derived] = field(default_factory=dict)
    fixed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    filled: tuple[str, ...] = ()

    def attributes(self) -> Iterator[tuple[Slot, str]]:
        """Each slot with each LDAP attribute that it is bound to."""
        for slot, single in self.singles.items():
            yield slot, single.attribute
        for slot, places in self.lists.items():
            for place in places:
                for attribute in place.parts.values():
                    yield slot, attribute


@dataclass(frozen=True, slots=True)
class UserBindings(KindBindings):
    """`lock` and `password` say how accounts are locked and get passwords. `member_of` is the attribute in which the
    server itself keeps the DNs of a user's groups, None where it keeps none. `retired` is the DN below which retired
    users are kept, None where users can't be retired."""

    lock: Lock = Lock.NONE
    password: Password = Password.NONE
    member_of: str | None = None
    retired: str | None = None


@dataclass(frozen=True, slots=True)
class GroupBindings(KindBindings):
    """`member` is the attribute of the members. `placeholder` is the value that keeps a group without members valid,
    None where the class needs none; it is never shown. `pieces` is the most members that one modification adds or
    removes."""

    member: str = "member"
    member_syntax: MemberSyntax = MemberSyntax.DN
    placeholder: str | None = None
    pieces: int = 1000


@dataclass(frozen=True, slots=True)
class Bindings:
    """A whole bindings file; `source` is its path and `lines` the line of each key, for messages."""

    kind: Kind
    users: UserBindings
    groups: GroupBindings
    source: Path
    lines: Mapping[Key, int] = field(default_factory=dict, repr=False, compare=False)

    def fault(self, key: Key, message: str) -> Fault:
        """A fault of the value at `key`, with the line to mend: that of the key or of the nearest table around it."""
        return fault_at(self.source, self.lines, key, message)


def line_of(lines: Mapping[Key, int], key: Key) -> int:
    """The line of `key`, or of the nearest table around it."""
    above = (key[:length] for length in range(len(key), 0, -1))
    return next((lines[part] for part in above if part in lines), 1)


def fault_at(source: Path, lines: Mapping[Key, int], key: Key, message: str) -> Fault:
    """A fault of the value at `key` in the file `source`, whose keys stand on `lines`."""
    return Fault(f"{source.name} line {line_of(lines, key)}: {'.'.join(map(str, key))}".removesuffix(": "), message)
