"""What refers to a user by name follows when the name changes: by the server where it does that, which may be a moment
later, else by this service."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial

from app.scim.query import ResourceId, Slot
from backends.ldap import dn
from backends.ldap.branch import Branch
from backends.ldap.drivers.base import Entry, Modification, Operation
from backends.ldap.members import Members

_LOOKS = 25
_PAUSE = 0.02

_log = logging.getLogger(__name__)

Touch = Callable[[Entry, list[Modification]], object]
Refer = Callable[[Entry, Slot, ResourceId | None], None]


class Followers:
    """Groups that have a user as a member, and users that name it. `touch` makes changes of a group and `refer` changes
    the reference of a user; both do nothing where that is done already."""

    def __init__(self, users: Branch, members: Members, touch: Touch, refer: Refer) -> None:
        self._users = users
        self._members = members
        self._touch = touch
        self._refer = refer

    def follow(self, before: Entry, after: Entry) -> None:
        """Afterwards nothing refers to the user by what it was called before. The entries were read with what
        `Members.value_of` needs; nothing is asked when the name is the same.

        OpenLDAP's referential integrity changes what refers to an entry after it has answered. It is waited for, so
        that whoever gets the old name next is not taken for a member.
        """
        self._memberships(before, after)
        if not dn.same(before.dn, after.dn):
            self._references(before, after)

    def _memberships(self, before: Entry, after: Entry) -> None:
        old, new = self._members.value_of(before), self._members.value_of(after)
        if old == new or self._members.key(old) == self._members.key(new):
            return
        attribute = self._members.bindings.member
        for group in self._left(partial(self._members.entries_with, old), wait=not self._members.by_name):
            self._touch(group, [Modification(Operation.ADD, attribute, (new,))])
            self._touch(group, [Modification(Operation.DELETE, attribute, (old,))])

    def _references(self, before: Entry, after: Entry) -> None:
        entries = self._users.entries
        for via, name in entries.references.items():
            filter = dn.equality(name, before.dn)
            for entry in self._left(partial(self._users.few, filter, entries.everything)):
                self._refer(entry, via, self._users.id_of(after))

    def _left(self, search: Callable[[], tuple[Entry, ...]], *, wait: bool = True) -> tuple[Entry, ...]:
        """What still has the old name after the server had time to change it."""
        found = search()
        for _ in range(_LOOKS if wait else 0):
            if not found:
                return ()
            time.sleep(_PAUSE)
            found = search()
        if found and wait:
            _log.warning("the directory has not changed what refers to a renamed entry (%d entries)", len(found))
        return found
