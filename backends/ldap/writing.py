"""Writes: each is one modification of one entry where the protocol allows that, made on the entry as it was read.

Where the server has assertions (RFC 4528) the version is compared in the write; elsewhere the old record is taken out
and the new one put in by the same modification, which fails when somebody else was faster.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from threading import Lock as ThreadLock
from typing import NoReturn

from app.scim.query import Change, Draft, Resource, ResourceId, Slot, Stamp, Value, Version
from backends.errors import Duplicate, NotFound, StoreError, Unavailable, VersionMismatch
from backends.ldap import dn, faults
from backends.ldap.branch import NOTHING, Branch
from backends.ldap.drivers.base import Entry, LdapError, Modification, Operation
from backends.ldap.entries import ACTIVE, PASSWORD, Content, Native
from backends.ldap.membership import RELATION, Membership, Wanted
from backends.ldap.passwords import Passwords
from backends.ldap.placement import Placement
from backends.ldap.planning import Planned, Planning, another_has_the_name
from backends.ldap.requests import Requests

_ATTEMPTS = 60
_IN_VAIN_AT_MOST = 3
_STRIPES = 64
_SECONDS_FOR_A_TURN = 2.0
"""Then it goes on all the same: a server that hangs is found out by each for itself."""
_MEMBER_CODES = (faults.VALUE_EXISTS, faults.NO_SUCH_ATTRIBUTE, faults.ALREADY_EXISTS, faults.UNWILLING)
_DONE_CODES = (*_MEMBER_CODES, faults.NO_SUCH_OBJECT)
_BACK = {Operation.ADD: Operation.DELETE, Operation.DELETE: Operation.ADD}

# OpenLDAP's uniqueness overlay searches with the controls of the write, so that the assertion is tried on others.
_OF_OVERLAY = "unique_search"

_log = logging.getLogger(__name__)


class Stale(Exception):
    """The entry is no longer what it was when it was read; nothing was written."""


class _Unasserted(Exception):
    """The server can't compare the version in this write."""


class Writer:
    """Writes resources of one type; `membership` for those that have members. `renamed` is called after the values of
    a resource were changed, with its entry before and after."""

    def __init__(self, branch: Branch, planning: Planning, membership: Membership | None) -> None:
        self.renamed: Callable[[Entry, Entry], None] | None = None
        self._branch = branch
        self._entries = branch.entries
        self._planning = planning
        self._membership = membership
        self._requests = Requests(branch)
        self._passwords = Passwords(branch, self._requests)
        self._placement = Placement(branch.bindings)
        self._asserts = branch.server.assertion and not branch.entries.by_content
        self._stripes = [ThreadLock() for _ in range(_STRIPES)]

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
        with self._turn(id):
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
        assertion = self._assertion(content) if expect is not None else None
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
        changes = self._planning.modifications(content, None, swap=True, leaving=True)
        try:
            if changes:
                self._modified(content, changes, None)
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

    def touch(self, entry: Entry, changes: Sequence[Modification]) -> Sequence[Modification]:
        """Make these changes of an entry that refers to another one, with the placeholder where they would leave a
        group without the members that it must have; what was changed: nothing where that is so already."""
        placeholder: tuple[Modification, ...] = ()
        if self._membership is not None and self._membership.needs_placeholder:
            placeholder = (self._membership.placeholder,)
        # Where the placeholder is there at the second attempt, another change has added it since the first one, or the
        # class is violated by something else.
        for attempt, first in enumerate(((), placeholder, ())):
            tried = (*first, *changes)
            try:
                self._requests.modify(entry.dn, tried)
            except LdapError as error:
                violated = attempt == 0 and error.code == faults.OBJECT_CLASS_VIOLATION and bool(placeholder)
                if violated or (attempt == 1 and error.code == faults.VALUE_EXISTS):
                    continue
                if error.code not in _DONE_CODES:
                    raise
                return ()
            return tried
        return ()

    def put_back(self, entry: Entry, touched: Sequence[Modification]) -> None:
        """Undo what `touch` has changed by adding and deleting values; the last change first, so that a group has its
        member before it loses the placeholder."""
        for change in reversed(touched):
            self.touch(entry, [replace(change, operation=_BACK[change.operation])])

    def carry_out(self, content: Content, planned: Planned) -> Entry:
        """Make the changes of a plan, its RDN apart, on an entry as it was read; the entry afterwards, as far as the
        server tells it. Raises Stale."""
        assertion = self._assertion(content)
        changes = self._planning.modifications(content, planned, swap=assertion is None)
        if not changes:
            return content.entry
        try:
            return self._modified(content, changes, assertion)
        except _Unasserted:
            changes = self._planning.modifications(content, planned, swap=True)
            return self._modified(content, changes, None)

    def take_back(self, content: Content, planned: Planned) -> None:
        """Undo the changes of a plan that was carried out."""
        self._take_back(content, self._planning.modifications(content, planned, swap=False), Wanted())

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
        return content.stamp if entry is None else self._stamp(self._requests.complete(entry))

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
            return planned, self._write(content, planned, wanted, expect)
        except LdapError as error:
            apart = self.planned_apart(error, content, planned, values)
            if apart is None:
                self._planning.refuse(error, values, content.id)
                raise
        try:
            return apart, self._write(content, apart, wanted, expect)
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
                self._undo(content, done, written)
            raise
        entry = self._requests.complete(Entry(name, {}))
        if rule is not None and self._entries.locked(entry.attributes) != locked:
            held = tuple(entry.attributes.get(rule.attribute, ()))
            lock = Modification(Operation.REPLACE, rule.attribute, rule.values(locked, held))
            entry = self._requests.complete(self._requests.modify(name, [lock]))
        return self._stamp(entry)

    def _undo(self, content: Content, done: Planned, written: Entry) -> None:
        """Make of an entry that was written what it was before, unless another write has come since."""
        try:
            self._write_back(content, done, self._requests.complete(written))
            if done.rdn is not None:
                self._requests.rename(written.dn, dn.split(content.dn)[0])
            if self.renamed is not None:
                self.renamed(self._after(content.entry, done, written.dn), content.entry)
        except (LdapError, StoreError) as error:
            _log.warning("%s could not be made what it was before: %s", content.dn, error)
        self._branch.recent.forget(content.id)

    def _write_back(self, content: Content, done: Planned, written: Entry) -> None:
        name = written.dn
        if self._asserts:
            changes = self._planning.modifications(content, done, swap=False)
            back = self._planning.undoing(content, changes, name, swap=False)
            if not back:
                return
            assertion = dn.equality(self._branch.bindings.version, self._stamp(written).version)
            try:
                self._requests.modify(name, back, assertion)
                return
            except LdapError as error:
                if error.code != faults.ASSERTION_FAILED or _OF_OVERLAY not in error.message:
                    raise
        changes = self._planning.modifications(content, done, swap=True)
        back = self._planning.undoing(content, changes, name, swap=True)
        if back:
            self._requests.modify(name, back)

    def planned_apart(
        self, error: LdapError, content: Content, planned: Planned | None, values: Mapping[Slot, Value | None]
    ) -> Planned | None:
        """The plan with derived names that no other entry has; None where that can't help. Raises Duplicate."""
        if planned is None or not another_has_the_name(error):
            return None
        after = {slot: value for slot, value in {**content.values, **values}.items() if value is not None}
        self._planning.refuse_duplicates({slot: after[slot] for slot in values if slot in after}, content.id)
        found = self._entries.apart(after, {}) or {}
        names = {name: octets for name, octets in found.items() if name in planned.replaced}
        return replace(planned, replaced={**planned.replaced, **names}) if names else None

    def _wanted(self, content: Content, change: Change) -> Wanted:
        delta = change.relations.get(RELATION)
        if delta is None or delta.empty or self._membership is None:
            return Wanted()
        return self._membership.wanted(content.dn, delta)

    def _write(self, content: Content, planned: Planned | None, wanted: Wanted, expect: Version | None) -> Entry | None:
        """The entry after these changes, as far as the server tells it; None where there was nothing to do."""
        # Others' changes of members are no reason to refuse a change of members.
        guarded = planned is not None or expect is not None
        assertion = self._assertion(content) if guarded else None
        changes = self._planning.modifications(content, planned, swap=guarded and assertion is None)
        renames = planned is not None and planned.rdn is not None
        if not changes and wanted.empty and expect is not None and assertion is not None:
            # A new name and a password are no modifications, and the version is to be compared before them.
            changes = self._planning.nothing(content)
        if renames and self._membership is not None:
            # What is so already must not be taken back when the renaming fails.
            wanted = self._membership.needed(content.dn, wanted)
        entry: Entry | None = None
        try:
            if changes or not wanted.empty:
                entry = self._modify(content, changes, wanted, assertion, values=planned is not None)
        except _Unasserted:
            changes = self._planning.modifications(content, planned, swap=True)
            if changes or not wanted.empty:
                entry = self._modify(content, changes, wanted, None, values=planned is not None)
        if planned is not None and planned.rdn is not None:
            entry = self._rename(content, planned.rdn, changes, wanted)
        if planned is not None and self.renamed is not None:
            self.renamed(content.entry, self._after(content.entry, planned, content.dn if entry is None else entry.dn))
            if planned.rdn is not None and entry is not None and self._refers_to_itself(content, planned):
                # What it says of itself has followed since.
                entry = Entry(entry.dn, {})
        self._branch.recent.move(content.id, content.dn if entry is None else entry.dn)
        return entry

    def _after(self, before: Entry, planned: Planned, name: str) -> Entry:
        """What has become of an entry that was changed as planned, and has that DN now."""
        attributes = {**before.attributes, **planned.replaced}
        if planned.rdn is not None:
            for ava in dn.avas(dn.split(name)[0]):
                attributes[self._entries.known_as(dn.attribute_of(ava))] = (dn.value_of(ava).encode(),)
        return Entry(name, attributes)

    def _refers_to_itself(self, content: Content, planned: Planned) -> bool:
        held = {**content.entry.attributes, **planned.replaced}
        dns = (
            value.decode("utf-8", "replace")
            for name in self._entries.references.values()
            for value in held.get(name, ())
        )
        return any(dn.key(name) == dn.key(content.dn) for name in dns)

    def _assertion(self, content: Content) -> str | None:
        return dn.equality(self._branch.bindings.version, content.stamp.version) if self._asserts else None

    def _rename(self, content: Content, rdn: str, changes: Sequence[Modification], wanted: Wanted) -> Entry:
        """Rename the entry after its other changes were made; they are taken back when that fails."""
        try:
            return self._renamed(content.dn, rdn)
        except LdapError as error:
            if self._requests.explained(error, content.dn).code == faults.NO_SUCH_OBJECT:
                raise Stale from error
            self._take_back(content, changes, wanted)
            if error.code in (faults.ALREADY_EXISTS, faults.CONSTRAINT_VIOLATION):
                raise Duplicate(self._planning.named) from error
            raise

    def _renamed(self, name: str, rdn: str) -> Entry:
        try:
            return self._requests.rename(name, rdn)
        except LdapError as error:
            apart = self._entries.rdn_apart(rdn) if error.code == faults.ALREADY_EXISTS else None
            if apart is None:
                raise
        return self._requests.rename(name, apart)

    def _take_back(self, content: Content, changes: Sequence[Modification], wanted: Wanted) -> None:
        back = self._planning.undoing(content, changes, content.dn, swap=False)
        if back:
            self._requests.modify(content.dn, back)
        if self._membership is not None and not wanted.empty:
            for piece in self._membership.modifications(Wanted(wanted.remove, wanted.add)):
                self._requests.modify(content.dn, piece)

    def _modify(
        self, content: Content, changes: Sequence[Modification], wanted: Wanted, assertion: str | None, *, values: bool
    ) -> Entry | None:
        """Make the changes, of which some are of values or all guard those of members, and those of members. None when
        it turns out that there was nothing to do."""
        if wanted.empty or self._membership is None:
            return self._modified(content, changes, assertion)
        entry: Entry | None = None
        violation: LdapError | None = None
        placeholder = False
        in_vain = 0
        for _ in range(_ATTEMPTS):
            try:
                for piece in self._membership.modifications(wanted, placeholder=placeholder):
                    entry = self._modified(content, [*changes, *piece], assertion, members=True)
                    changes, assertion = (), None
                return entry
            except LdapError as error:
                last = error.code == faults.OBJECT_CLASS_VIOLATION and self._membership.needs_placeholder
                if last and violation is None:
                    violation, placeholder = error, True
                    continue
                if error.code not in _MEMBER_CODES:
                    raise
                refusal = error
            if changes:
                self._refuse_changed(content)
            before, wanted = wanted, self._membership.needed(content.dn, wanted)
            # It has the placeholder: the class was violated by something else.
            placeholder = placeholder and not (refusal.code == faults.VALUE_EXISTS and wanted == before)
            # Active Directory is unwilling to remove who is no member; a server that takes no writes is in any case.
            # And what there is already may be a name or another value, when there are values in the change.
            there = refusal.code in (faults.ALREADY_EXISTS, faults.VALUE_EXISTS)
            other_reason = refusal.code == faults.UNWILLING or (there and values)
            in_vain += other_reason and wanted == before
            if in_vain > _IN_VAIN_AT_MOST:
                raise refusal
            if wanted.empty:
                return self._modified(content, changes, assertion) if changes and values else entry
        raise Stale

    def _modified(
        self, content: Content, changes: Sequence[Modification], assertion: str | None, *, members: bool = False
    ) -> Entry:
        try:
            return self._requests.modify(content.dn, changes, assertion)
        except LdapError as error:
            code = self._requests.explained(error, content.dn).code
            if code == faults.ASSERTION_FAILED and _OF_OVERLAY in error.message:
                raise _Unasserted from error
            gone = code == faults.NO_SUCH_ATTRIBUTE and not members
            if code in (faults.ASSERTION_FAILED, faults.NO_SUCH_OBJECT) or gone:
                raise Stale from error
            if code == faults.VALUE_EXISTS and not members:
                # The record or a class, if another write came first; else two values that the server takes for one.
                self._refuse_changed(content)
            raise

    def _refuse_changed(self, content: Content) -> None:
        found = self._branch.at(content.dn, self._entries.everything)
        if found is None or self._stamp(found).version != content.stamp.version:
            raise Stale

    def _stamp(self, entry: Entry) -> Stamp:
        return self._entries.content(entry, frozenset()).stamp

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
        return self._entries.apart(values, attributes)

    def _first_password(self, entry: Entry, password: str, locked: bool) -> Entry:
        try:
            self._passwords.change(entry.dn, password, locked=locked)
        except BaseException:
            self._requests.delete(entry.dn)
            raise
        return Entry(entry.dn, {})

    @contextmanager
    def _turn(self, id: ResourceId) -> Iterator[None]:
        """Changes of one entry follow each other in this process, each from its read to the version that it made, where
        the server does not compare versions or does not tell them. Of those that expect the same version the later ones
        find out by reading: 389 Directory Server may lose other writes for each that it refuses (its issue 5944)."""
        if self._asserts and self._branch.server.post_read:
            yield
            return
        lock = self._stripes[hash(id) % _STRIPES]
        taken = lock.acquire(timeout=_SECONDS_FOR_A_TURN)
        try:
            yield
        finally:
            if taken:
                lock.release()
