"""Writes of resources: what is read and asked before a change, which requests follow each other, and what is tried
again where somebody else was faster (`backends.ldap.modifying`) or has the name."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import NoReturn

from app.scim.query import Change, Draft, Resource, ResourceId, Slot, Stamp, Value, Version
from backends.errors import NotFound, StoreError, Unavailable, VersionMismatch
from backends.ldap import dn, faults
from backends.ldap.branch import NOTHING, Branch
from backends.ldap.drivers.base import Entry, LdapError, Modification, Operation
from backends.ldap.encoding import Native
from backends.ldap.entries import ACTIVE, PASSWORD, Content
from backends.ldap.membership import RELATION, Membership, Wanted
from backends.ldap.modifying import Modifying, Stale
from backends.ldap.passwords import Passwords
from backends.ldap.placement import Placement
from backends.ldap.planning import Planned, Planning, another_has_the_name
from backends.ldap.requests import Requests
from backends.ldap.turns import Turns

_ATTEMPTS = 60


class Writer:
    """Writes resources of one type; `membership` for those that have members."""

    def __init__(self, branch: Branch, planning: Planning, modifying: Modifying, membership: Membership | None) -> None:
        self._branch = branch
        self._entries = branch.entries
        self._planning = planning
        self._modifying = modifying
        self._membership = membership
        self._requests = Requests(branch)
        self._passwords = Passwords(branch, self._requests)
        self._placement = Placement(branch.bindings)
        self._turns = Turns(needed=not (modifying.asserts and branch.server.post_read))

    def create(self, draft: Draft) -> Resource:
        """The new resource. Raises Duplicate, UnknownReference, RejectedValue."""
        values = {slot: value for slot, value in draft.values.items() if slot != PASSWORD}
        password = draft.values.get(PASSWORD)
        locked = values.get(ACTIVE) is False
        attributes = {**self._planning.new(values), **self._passwords.of_new_account(password, locked=locked)}
        if self._membership is not None:
            members = self._membership.initial(draft.relations.get(RELATION, ()))
            attributes.update({self._membership.attribute: members} if members else {})
        entry = self._add(values, attributes)
        if password is not None and self._passwords.after_creation:
            entry = self._first_password(entry, password, locked)
        content = self._entries.content(self._requests.complete(entry))
        return Resource(self._branch.type.name, content.id, content.created, content.stamp, values)

    def update(self, id: ResourceId, change: Change, expect: Version | None) -> Stamp:
        """The stamp after the change. Raises NotFound, VersionMismatch, Duplicate, UnknownReference, RejectedValue.

        The values are written first, and with them the expected version is compared; a new password comes after them,
        and the unlocking of an account after its password. Where the password is refused the values are then what they
        were before, and the version may be another; where the connection ends between the two, the values stay and the
        password is the old one.
        """
        with self._turns.of(id):
            return self._update(id, change, expect)

    def _update(self, id: ResourceId, change: Change, expect: Version | None) -> Stamp:
        for attempt in range(_ATTEMPTS):
            try:
                return self._attempt(id, change, expect)
            except Stale:
                if expect is not None and self._read(id).stamp.version != expect:
                    raise VersionMismatch from None
                time.sleep(random.uniform(0, 0.002 * min(attempt, 20)))  # noqa: S311 - spreads rivals, keeps no secret
        raise Unavailable

    def delete(self, id: ResourceId, expect: Version | None, leave: Callable[[Content], Callable[[], None]]) -> None:
        """Afterwards there is no such entry. `leave` is called with the content before and takes it out of what refers
        to it; what it returns puts it back, and is called when the deletion fails."""
        content = self._read(id)
        if expect is not None and content.stamp.version != expect:
            self._refuse_deletion(content)
        assertion = self._modifying.assertion(content) if expect is not None else None
        if expect is not None and assertion is None:
            self._claim(content)
        self._branch.recent.forget(id)
        put_back = leave(content)
        try:
            self._requests.delete(content.dn, assertion)
        except LdapError as error:
            if self._requests.explained(error, content.dn).code == faults.NO_SUCH_OBJECT:
                raise NotFound from error
            put_back()
            if error.code == faults.ASSERTION_FAILED:
                raise VersionMismatch from error
            raise

    def _claim(self, content: Content) -> None:
        """Where a deletion can't compare the version, the record is written first: of it and another write that both
        expect this version, one succeeds. Raises VersionMismatch."""
        try:
            self._modifying.claim(content)
        except Stale:
            found = self._branch.at(content.dn, self._entries.everything)
            if found is None:
                raise NotFound from None
            self._refuse_deletion(self._entries.content(found))

    def _refuse_deletion(self, content: Content) -> NoReturn:
        """Raise VersionMismatch, or NotFound where another deletion that has begun comes to its end."""
        for _ in range(_ATTEMPTS if content.record.leaving else 0):
            if self._branch.at(content.dn, NOTHING) is None:
                raise NotFound
            time.sleep(0.02)
        raise VersionMismatch

    def refer(self, entry: Entry, slot: Slot, to: ResourceId | None) -> None:
        """Change a reference of an entry, or with None take it out, with a new version; nothing happens when the entry
        is gone."""
        content = self._entries.content(entry)
        # Who refers to an entry may be deleted at the same moment: that is no fault of this deletion.
        with suppress(NotFound):
            # Without a turn: the entry that it referred to has one, and who waits for two may wait for ever.
            self._update(content.id, Change({slot: to}), None)

    def _attempt(self, id: ResourceId, change: Change, expect: Version | None) -> Stamp:
        relies = expect is not None and change.values and PASSWORD not in change.values
        recent = self._branch.recent.take(id, expect) if expect is not None and relies else None
        if recent is not None:
            stamp = self._change(recent, change, expect)
            if stamp is not None:
                return stamp
        only_members = not change.values and not (expect and not self._branch.server.assertion)
        content = self._read(id, stamps_only=only_members and not self._entries.by_content)
        if expect is not None and content.stamp.version != expect:
            raise VersionMismatch
        return self._change(content, change, expect) or content.stamp

    def _change(self, content: Content, change: Change, expect: Version | None) -> Stamp | None:
        """The stamp after the change of an entry as it was read; None when there is nothing to change in it."""
        values = {slot: value for slot, value in change.values.items() if slot != PASSWORD}
        wanted = self._wanted(content, change)
        password = change.values.get(PASSWORD)
        planned = self._planning.change(content, values, force=password is not None) if change.values else None
        if planned is None and wanted.empty:
            return None
        if password is not None and planned is not None:
            return self._with_password(content, planned, values, password, expect)
        _, entry = self._written(content, planned, wanted, values, expect)
        return content.stamp if entry is None else self._entries.stamp_of(self._requests.complete(entry))

    def _written(
        self,
        content: Content,
        planned: Planned | None,
        wanted: Wanted,
        values: Mapping[Slot, Value | None],
        expect: Version | None,
    ) -> tuple[Planned | None, Entry | None]:
        """The plan that was carried out, and the entry afterwards; None where there was nothing to write."""
        try:
            return planned, self._modifying.write(content, planned, wanted, expect)
        except LdapError as error:
            apart = self.planned_apart(error, content, planned, values)
            if apart is None:
                self._planning.refuse(error, values, content.id)
                raise
        try:
            return apart, self._modifying.write(content, apart, wanted, expect)
        except LdapError as error:
            self._planning.refuse(error, values, content.id)
            raise

    def _with_password(
        self,
        content: Content,
        planned: Planned,
        values: Mapping[Slot, Value | None],
        password: str,
        expect: Version | None,
    ) -> Stamp:
        """Write the values, then the password, then the lock where that is another then; see `update`."""
        rule, locked = self._entries.lock, self._planning.locked_after(content, values)
        if rule is not None and not locked:
            # Nobody is to sign in with the old password, and Active Directory unlocks no account without one.
            planned = replace(planned, replaced={n: v for n, v in planned.replaced.items() if n != rule.attribute})
        done, written = self._written(content, planned, Wanted(), values, expect)
        name = content.dn if written is None else written.dn
        try:
            self._passwords.change(name, password, locked=locked)
        except (LdapError, StoreError):
            if done is not None and written is not None:
                self._modifying.undo(content, done, written)
            raise
        entry = self._requests.complete(Entry(name, {}))
        if rule is not None and self._entries.locked(entry.attributes) != locked:
            held = tuple(entry.attributes.get(rule.attribute, ()))
            lock = Modification(Operation.REPLACE, rule.attribute, rule.values(locked, held))
            entry = self._requests.complete(self._requests.modify(name, [lock]))
        return self._entries.stamp_of(entry)

    def planned_apart(
        self, error: LdapError, content: Content, planned: Planned | None, values: Mapping[Slot, Value | None]
    ) -> Planned | None:
        """The plan with derived names that no other entry has; None where that can't help. Raises Duplicate."""
        if planned is None or not another_has_the_name(error):
            return None
        after = {slot: value for slot, value in {**content.values, **values}.items() if value is not None}
        self._planning.refuse_duplicates({slot: after[slot] for slot in values if slot in after}, content.id)
        found = self._entries.names.apart(after, {}) or {}
        names = {name: octets for name, octets in found.items() if name in planned.replaced}
        return replace(planned, replaced={**planned.replaced, **names}) if names else None

    def _wanted(self, content: Content, change: Change) -> Wanted:
        delta = change.relations.get(RELATION)
        if delta is None or delta.empty or self._membership is None:
            return Wanted()
        return self._membership.wanted(content.dn, delta)

    def _read(self, id: ResourceId, *, stamps_only: bool = False) -> Content:
        attributes = self._entries.stamps if stamps_only else self._entries.everything
        return self._entries.content(self._branch.by_id(id, attributes))

    def _add(self, values: Mapping[Slot, Value], attributes: Native) -> Entry:
        try:
            return self._add_below(values, attributes)
        except LdapError as error:
            apart = self._set_apart(error, values, attributes)
            if apart is None:
                self._passwords.refuse(error, attributes)
                self._planning.refuse(error, values, None)
                raise
        try:
            return self._add_below(values, apart)
        except LdapError as error:
            self._planning.refuse(error, values, None)
            raise

    def _add_below(self, values: Mapping[Slot, Value], attributes: Native) -> Entry:
        named = self._branch.bindings.rdn
        rdn = dn.rdn(named, attributes[named.lower()][0].decode())
        parents = self._placement.parents(values)
        for parent in parents:
            try:
                return self._requests.add(dn.child(rdn, parent), attributes)
            except LdapError as error:
                if parent == parents[-1] or self._requests.explained(error, parent).code != faults.NO_SUCH_OBJECT:
                    raise
        raise Unavailable

    def _set_apart(self, error: LdapError, values: Mapping[Slot, Value], attributes: Native) -> Native | None:
        """The attributes with derived names that no other entry has; None where that can't help. Raises Duplicate."""
        if not another_has_the_name(error):
            return None
        self._planning.refuse_duplicates(values, None)
        # Somebody else's entry has the name: an account of another branch, or a group that is called as a user is.
        return self._entries.names.apart(values, attributes)

    def _first_password(self, entry: Entry, password: str, locked: bool) -> Entry:
        try:
            self._passwords.change(entry.dn, password, locked=locked)
        except BaseException:
            self._requests.delete(entry.dn)
            raise
        return Entry(entry.dn, {})
