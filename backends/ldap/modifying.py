"""Modifications: one of one entry where the protocol allows that, made on the entry as it was read.

Where the server has assertions (RFC 4528) the version is compared in the write; elsewhere the old record is taken out
and the new one put in by the same modification, which fails when somebody else was faster.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from app.scim.query import Version
from backends.errors import Duplicate, StoreError
from backends.ldap import dn, faults
from backends.ldap.branch import Branch
from backends.ldap.drivers.base import Entry, LdapError, Modification, Operation
from backends.ldap.entries import Content
from backends.ldap.membership import Membership, Wanted
from backends.ldap.planning import Planned, Planning
from backends.ldap.requests import Requests

_ATTEMPTS = 60
_IN_VAIN_AT_MOST = 3
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


class Modifying:
    """Modifies entries of one resource type; `membership` for those that have members. `renamed` is called after the
    values of a resource were changed, with its entry before and after; `asserts` says that versions are compared by the
    server."""

    def __init__(self, branch: Branch, planning: Planning, membership: Membership | None) -> None:
        self.renamed: Callable[[Entry, Entry], None] | None = None
        self.asserts = branch.server.assertion and not branch.entries.by_content
        self._branch = branch
        self._entries = branch.entries
        self._names = branch.entries.names
        self._planning = planning
        self._membership = membership
        self._requests = Requests(branch)

    def write(self, content: Content, planned: Planned | None, wanted: Wanted, expect: Version | None) -> Entry | None:
        """The entry after these changes, as far as the server tells it; None where there was nothing to do. Raises
        Stale, with a plan or an expected version wherever the entry has changed since it was read, and Duplicate where
        another entry has its new name; the other changes are taken back then."""
        # Others' changes of members are no reason to refuse a change of members.
        guarded = planned is not None or expect is not None
        assertion = self.assertion(content) if guarded else None
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

    def carry_out(self, content: Content, planned: Planned) -> Entry:
        """Make the changes of a plan, its RDN apart, on an entry as it was read; the entry afterwards, as far as the
        server tells it. Raises Stale."""
        assertion = self.assertion(content)
        changes = self._planning.modifications(content, planned, swap=assertion is None)
        if not changes:
            return content.entry
        try:
            return self._modified(content, changes, assertion)
        except _Unasserted:
            changes = self._planning.modifications(content, planned, swap=True)
            return self._modified(content, changes, None)

    def claim(self, content: Content) -> None:
        """Write into the record of an entry, where there is one, that it is being deleted. Raises Stale."""
        changes = self._planning.modifications(content, None, swap=True, leaving=True)
        if changes:
            self._modified(content, changes, None)

    def take_back(self, content: Content, planned: Planned) -> None:
        """Undo the changes of a plan that was carried out."""
        self._take_back(content, self._planning.modifications(content, planned, swap=False), Wanted())

    def undo(self, content: Content, done: Planned, written: Entry) -> None:
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

    def assertion(self, content: Content) -> str | None:
        """The filter that holds while the entry has the version that was read; None where the server compares none."""
        return dn.equality(self._branch.bindings.version, content.stamp.version) if self.asserts else None

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

    def _write_back(self, content: Content, done: Planned, written: Entry) -> None:
        name = written.dn
        if self.asserts:
            changes = self._planning.modifications(content, done, swap=False)
            back = self._planning.undoing(content, changes, name, swap=False)
            if not back:
                return
            assertion = dn.equality(self._branch.bindings.version, self._entries.stamp_of(written).version)
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

    def _after(self, before: Entry, planned: Planned, name: str) -> Entry:
        """What has become of an entry that was changed as planned, and has that DN now."""
        attributes = {**before.attributes, **planned.replaced}
        if planned.rdn is not None:
            for ava in dn.avas(dn.split(name)[0]):
                attributes[self._names.known_as(dn.attribute_of(ava))] = (dn.value_of(ava).encode(),)
        return Entry(name, attributes)

    def _refers_to_itself(self, content: Content, planned: Planned) -> bool:
        held = {**content.entry.attributes, **planned.replaced}
        dns = (
            value.decode("utf-8", "replace")
            for name in self._entries.references.values()
            for value in held.get(name, ())
        )
        return any(dn.key(name) == dn.key(content.dn) for name in dns)

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
            apart = self._names.rdn_apart(rdn) if error.code == faults.ALREADY_EXISTS else None
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
        if found is None or self._entries.stamp_of(found).version != content.stamp.version:
            raise Stale
