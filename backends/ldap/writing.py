"""Writes: each is one modification of one entry where the protocol allows that, made on the entry as it was read.

Where the server has assertions (RFC 4528) the version is compared in the write; elsewhere the old record is taken out
and the new one put in by the same modification, which fails when somebody else was faster.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from threading import Lock as ThreadLock

from app.scim.attributes import Uniqueness
from app.scim.query import Change, Draft, Resource, ResourceId, Slot, Stamp, Value, Version
from app.scim.types import comparable
from backends.errors import Duplicate, NotFound, RejectedValue, Unavailable, VersionMismatch
from backends.ldap import dn, faults
from backends.ldap.branch import Branch
from backends.ldap.drivers.base import Connection, Entry, LdapError, Modification, Operation
from backends.ldap.entries import ACTIVE, PASSWORD, Content, Native
from backends.ldap.filters import Compiler
from backends.ldap.locks import random_password, unicode_password
from backends.ldap.membership import RELATION, Membership, Wanted
from backends.ldap.placement import Placement
from backends.ldap.record import Record
from backends.ldap.references import References
from config.directory import Password, UserBindings

_ATTEMPTS = 60
_STRIPES = 64
_MEMBER_CODES = (faults.VALUE_EXISTS, faults.NO_SUCH_ATTRIBUTE, faults.ALREADY_EXISTS, faults.UNWILLING)
_STALE_CODES = (faults.ASSERTION_FAILED, faults.NO_SUCH_ATTRIBUTE, faults.VALUE_EXISTS)


# OpenLDAP's uniqueness overlay searches with the controls of the write, so that the assertion is tried on other
# entries.
_OF_OVERLAY = "unique_search"


class Stale(Exception):
    """The entry is no longer what it was when it was read; nothing was written."""


class _Unasserted(Exception):
    """The server can't compare the version in this write."""


@dataclass(frozen=True, slots=True)
class _Written:
    """What a change makes of an entry's values: attributes to be replaced, and the record afterwards."""

    replaced: Native
    rdn: str | None
    record: Record | None


class Writer:
    """Writes resources of one type."""

    def __init__(
        self,
        branch: Branch,
        compiler: Compiler,
        references: References,
        dn_of: Callable[[str, ResourceId], str | None],
        membership: Membership | None,
    ) -> None:
        self._branch = branch
        self._compiler = compiler
        self._references = references
        self._dn_of = dn_of
        self._membership = membership
        self._placement = Placement(branch.bindings)
        self._entries = branch.entries
        self._targets = {lookup.via: lookup.kind for lookup in branch.type.lookups.values()}
        self._unique = {s: a for s, a in branch.type.slots.items() if a.uniqueness is not Uniqueness.NONE}
        self._stripes = [ThreadLock() for _ in range(_STRIPES)]
        bindings = branch.bindings
        self._password = bindings.password if isinstance(bindings, UserBindings) else Password.NONE
        self._record = bindings.record
        self._counted = branch.entries.by_content or not branch.server.assertion
        self._held = bindings.held

    def create(self, draft: Draft) -> Resource:
        """The new resource. Raises Duplicate, UnknownReference, RejectedValue."""
        values = {slot: value for slot, value in draft.values.items() if slot != PASSWORD}
        password = draft.values.get(PASSWORD)
        self._refuse_duplicates(values, None)
        dns = {via: self._dn_of(kind, values[via]) for via, kind in self._targets.items() if via in values}
        attributes = self._new_attributes(values, dns, password)
        if self._membership is not None:
            attributes[self._membership_attribute] = self._membership.initial(draft.relations.get(RELATION, ()))
            attributes = {name: held for name, held in attributes.items() if held}
        entry = self._add(values, attributes)
        if password is not None and self._password is Password.MODIFY:
            entry = self._first_password(entry, password, values)
        content = self._entries.content(entry)
        return Resource(self._branch.type.name, content.id, content.created, content.stamp, values)

    def update(self, id: ResourceId, change: Change, expect: Version | None) -> Stamp:
        """The stamp after the change. Raises NotFound, VersionMismatch, Duplicate, UnknownReference, RejectedValue."""
        for attempt in range(_ATTEMPTS):
            try:
                return self._attempt(id, change, expect)
            except Stale:
                if expect is not None:
                    self._refuse_version(id, expect)
                time.sleep(random.uniform(0, 0.002 * min(attempt, 20)))  # noqa: S311 - spreads rivals, keeps no secret
        raise Unavailable

    def delete(self, id: ResourceId, expect: Version | None, leave: Callable[[Content], Callable[[], None]]) -> None:
        """Afterwards there is no such entry. `leave` is called with the content before and takes it out of what refers
        to it; what it returns puts it back, and is called when the deletion fails."""
        content = self._read(id)
        if expect is not None and content.stamp.version != expect:
            raise VersionMismatch
        put_back = leave(content)
        assertion = None
        if expect is not None and self._branch.server.assertion and not self._entries.by_content:
            assertion = dn.equality(self._branch.bindings.version, expect)
        try:
            self._run(partial(_delete, name=content.dn, assertion=assertion))
        except LdapError as error:
            if self._explained(error, content.dn).code == faults.NO_SUCH_OBJECT:
                raise NotFound from error
            put_back()
            if error.code == faults.ASSERTION_FAILED:
                raise VersionMismatch from error
            raise

    def touch(self, entry: Entry, changes: Sequence[Modification]) -> None:
        """Make these changes of an entry that refers to another one; nothing happens where they are made already."""
        try:
            self._run(partial(_modify, name=entry.dn, changes=changes))
        except LdapError as error:
            if error.code not in (*_MEMBER_CODES, faults.NO_SUCH_OBJECT):
                raise

    def forget(self, entry: Entry, slot: Slot) -> None:
        """Take a reference out of an entry, with a new version; nothing happens when the entry is gone."""
        content = self._entries.content(entry)
        # Who refers to an entry may be deleted at the same moment: that is no fault of this deletion.
        with suppress(NotFound):
            self.update(content.id, Change({slot: None}), None)

    @property
    def _membership_attribute(self) -> str:
        assert self._membership is not None
        return self._membership.attribute

    def _attempt(self, id: ResourceId, change: Change, expect: Version | None) -> Stamp:
        recent = self._branch.recent.take(id, expect) if expect is not None and change.values else None
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
        written = self._written(content, values) if values else None
        password = change.values.get(PASSWORD)
        if password is not None:
            content = self._change_password(content, password, values)
            written = self._written(content, values, force=True)
        if written is None and wanted.empty:
            return None
        try:
            with self._alone(content.dn):
                return self._write(content, written, wanted, expect)
        except LdapError as error:
            self._refuse_values(error, values, content.id)
            raise

    def _wanted(self, content: Content, change: Change) -> Wanted:
        delta = change.relations.get(RELATION)
        if delta is None or delta.empty or self._membership is None:
            return Wanted()
        return self._membership.wanted(content.dn, delta)

    def _written(
        self, content: Content, values: Mapping[Slot, Value | None], *, force: bool = False
    ) -> _Written | None:
        """What has to be written, or None when the values are there already."""
        before = {**content.values, **self._known_references(content, values)}
        merged = {**before, **values}
        after = {slot: value for slot, value in merged.items() if value is not None}
        if after == before and not force:
            return None
        changed = {slot: value for slot, value in after.items() if before.get(slot) != value}
        self._refuse_duplicates(changed, content.id)
        old_dns = {via: r.dn for via, r in content.references.items()}
        dns: dict[Slot, str | None] = dict(old_dns)
        for via, kind in self._targets.items():
            if via in values:
                dns[via] = self._dn_of(kind, after[via]) if via in after else None
        old, new = self._entries.native(before, old_dns), self._entries.native(after, dns)
        replaced = {name: new.get(name, ()) for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
        rdn = self._rdn(content.dn, replaced, new)
        locked = self._locked_after(content, values)
        self._put_lock(replaced, content, locked)
        record = self._next_record(content, after, new, dns, locked)
        return _Written(replaced, rdn, record)

    def _known_references(self, content: Content, values: Mapping[Slot, Value | None]) -> dict[Slot, Value]:
        """The references of an entry as ids; those that the change does not touch stay as they are if the id is
        unknown."""
        touched = frozenset(via for via in self._targets if via in values)
        known = {via: r.id for via, r in content.references.items() if r.id is not None and via not in touched}
        return {**known, **self._references.follow([content], touched)[0]} if touched else known

    def _rdn(self, name: str, replaced: Native, new: Native) -> str | None:
        """The new RDN, if the attribute of the present one changes; that attribute is then left to the renaming."""
        present = dn.split(name)[0].partition("=")[0].strip()
        values = replaced.get(present.lower())
        if not values:
            return None
        del replaced[present.lower()]
        return dn.rdn(present, new[present.lower()][0].decode())

    def _locked_after(self, content: Content, values: Mapping[Slot, Value | None]) -> bool:
        if ACTIVE in values:
            return values[ACTIVE] is False
        return self._entries.locked(content.entry.attributes)

    def _put_lock(self, replaced: Native, content: Content, locked: bool) -> None:
        rule = self._entries.lock
        if rule is not None and self._entries.locked(content.entry.attributes) != locked:
            held = tuple(content.entry.attributes.get(rule.attribute, ()))
            replaced[rule.attribute] = rule.values(locked, held)

    def _next_record(
        self,
        content: Content,
        values: Mapping[Slot, Value],
        native: Native,
        dns: Mapping[Slot, str | None],
        locked: bool,
    ) -> Record | None:
        references = {via: (str(values[via]), dns.get(via)) for via in self._targets if via in values}
        exact = self._entries.exact(values, native, locked)
        if self._record is None:
            self._refuse_lost(exact, values)
            return None
        held: Native = {**native, **self._lock_values(content.entry, locked)}
        counted = content.record.revision + 1 if self._counted else 0
        return Record(
            exact,
            references,
            counted,
            datetime.now(UTC) if self._entries.by_content else None,
            self._entries.digest(held) if self._entries.by_content else "",
        )

    def _lock_values(self, entry: Entry | None, locked: bool) -> Native:
        rule = self._entries.lock
        if rule is None:
            return {}
        held = tuple(entry.attributes.get(rule.attribute, ())) if entry else ()
        values = held if entry and rule.locked(held) == locked else rule.values(locked, held)
        return {rule.attribute: values} if values else {}

    def _refuse_lost(self, exact: Mapping[Slot, Value | None], values: Mapping[Slot, Value]) -> None:
        for slot, value in exact.items():
            if value is not None and slot != ACTIVE and not self._entries.comes_back(slot, values):
                raise RejectedValue(slot, "this directory has no place for such a value")

    def _write(self, content: Content, written: _Written | None, wanted: Wanted, expect: Version | None) -> Stamp:
        assertion = None
        asserting = self._branch.server.assertion and not self._entries.by_content
        if asserting and (written is not None or expect is not None):
            assertion = dn.equality(self._branch.bindings.version, content.stamp.version)
        entry: Entry | None = None
        changes = self._value_changes(content, written, wanted, swap=not asserting and _guards(written, wanted, expect))
        try:
            if changes or not wanted.empty:
                entry = self._modify(content, changes, wanted, assertion, values=written is not None)
        except _Unasserted:
            changes = self._value_changes(content, written, wanted, swap=True)
            entry = self._modify(content, changes, wanted, None, values=written is not None)
        if written is not None and written.rdn is not None:
            entry = self._rename(content, written.rdn, changes)
        if entry is None:
            return content.stamp
        return self._entries.content(self._complete(entry)).stamp

    def _value_changes(
        self, content: Content, written: _Written | None, wanted: Wanted, *, swap: bool
    ) -> list[Modification]:
        """The modifications of values; with `swap` they fail when another write of the record came first."""
        changes = [Modification(Operation.REPLACE, n, v) for n, v in written.replaced.items()] if written else []
        if self._record is None:
            return changes
        after = written.record if written is not None and written.record is not None else content.record
        if swap:
            after = replace(after, revision=content.record.revision + 1)
        elif written is None:
            return changes
        old, new = content.entry.first(self._record.lower()), after.write()
        changes += _swap(self._record, old, new) if swap else _put(self._record, old, new)
        if self._held is not None and after.held != content.record.held:
            changes.append(Modification(Operation.REPLACE, self._held, tuple(s.encode() for s in after.held)))
        return changes

    def _rename(self, content: Content, rdn: str, changes: Sequence[Modification]) -> Entry:
        """Rename the entry after its other changes were made; they are taken back when that fails."""
        try:
            entry = self._renamed(content.dn, rdn)
        except LdapError as error:
            held = content.entry.attributes
            back = {c.attribute: tuple(held.get(c.attribute.lower(), ())) for c in changes}
            undone = [Modification(Operation.REPLACE, name, values) for name, values in back.items()]
            if undone:
                self._run(partial(_modify, name=content.dn, changes=undone))
            if error.code == faults.NO_SUCH_OBJECT:
                raise Stale from error
            if error.code in (faults.ALREADY_EXISTS, faults.CONSTRAINT_VIOLATION):
                raise Duplicate(self._named) from error
            raise
        return entry if entry is not None else Entry(dn.child(rdn, dn.split(content.dn)[1]), {})

    def _renamed(self, name: str, rdn: str) -> Entry | None:
        """Rename the entry. 389 Directory Server fails to take away an old RDN that has escapes in it (operationsError):
        there the old value is taken away afterwards."""
        rename = partial(_rename, name=name, rdn=rdn, read=self._read_back)
        try:
            return self._run(rename)
        except LdapError as error:
            if error.code != faults.OPERATIONS_ERROR or "\\" not in dn.split(name)[0]:
                raise
        self._run(partial(rename, keep_old=True))
        attribute, value = rdn.partition("=")[0], dn.value_of(rdn)
        change = Modification(Operation.REPLACE, attribute, (value.encode(),))
        renamed = dn.child(rdn, dn.split(name)[1])
        return self._run(partial(_modify, name=renamed, changes=(change,), read=self._read_back))

    def _modify(
        self, content: Content, changes: Sequence[Modification], wanted: Wanted, assertion: str | None, *, values: bool
    ) -> Entry | None:
        """Make the changes, of which some are of values or all guard those of members, and those of members. None when
        it turns out that there was nothing to do."""
        if wanted.empty or self._membership is None:
            return self._modified(content.dn, changes, assertion)
        entry: Entry | None = None
        placeholder = False
        for _ in range(_ATTEMPTS):
            try:
                for piece in self._membership.modifications(wanted, placeholder=placeholder):
                    entry = self._modified(content.dn, [*changes, *piece], assertion, members=True)
                    changes, assertion = (), None
                return entry
            except LdapError as error:
                last = error.code == faults.OBJECT_CLASS_VIOLATION and self._membership.needs_placeholder
                if last and not placeholder:
                    placeholder = True
                    continue
                if error.code not in _MEMBER_CODES:
                    raise
            if changes:
                self._refuse_changed(content)
            wanted = self._membership.needed(content.dn, wanted)
            if wanted.empty:
                return self._modified(content.dn, changes, assertion) if changes and values else entry
        raise Stale

    def _refuse_changed(self, content: Content) -> None:
        found = self._branch.at(content.dn, self._entries.everything)
        if found is None or self._entries.content(found).stamp.version != content.stamp.version:
            raise Stale

    def _modified(
        self, name: str, changes: Sequence[Modification], assertion: str | None, *, members: bool = False
    ) -> Entry:
        try:
            entry = self._run(partial(_modify, name=name, changes=changes, assertion=assertion, read=self._read_back))
        except LdapError as error:
            self._refuse(self._explained(error, name), members)
            raise
        return entry if entry is not None else Entry(name, {})

    def _explained(self, error: LdapError, name: str) -> LdapError:
        """The error, or noSuchObject: some servers say of an entry that is gone that it may not be written."""
        if error.code == faults.NO_ACCESS and self._branch.at(name, ("1.1",)) is None:
            return LdapError(faults.NO_SUCH_OBJECT, error.message)
        return error

    def _refuse(self, error: LdapError, members: bool) -> None:
        if error.code == faults.ASSERTION_FAILED and _OF_OVERLAY in error.message:
            raise _Unasserted from error
        if error.code in (faults.ASSERTION_FAILED, faults.NO_SUCH_OBJECT):
            raise Stale from error
        if not members and error.code in _STALE_CODES:
            raise Stale from error

    @property
    def _read_back(self) -> tuple[str, ...]:
        return self._entries.everything if self._branch.server.post_read else ()

    def _complete(self, entry: Entry) -> Entry:
        """The entry as it is after a write: what the write returned, or what is read now."""
        if entry.first(self._branch.server.id) is not None:
            return entry
        found = self._branch.at(entry.dn, self._entries.everything)
        if found is None:
            raise NotFound
        return found

    def _read(self, id: ResourceId, *, stamps_only: bool = False) -> Content:
        attributes = self._entries.stamps if stamps_only else self._entries.everything
        return self._entries.content(self._branch.by_id(id, attributes))

    def _refuse_version(self, id: ResourceId, expect: Version) -> None:
        if self._read(id).stamp.version != expect:
            raise VersionMismatch

    def _refuse_duplicates(self, values: Mapping[Slot, Value], own: ResourceId | None) -> None:
        for slot, attribute in self._unique.items():
            if slot not in values:
                continue
            key = str(comparable(attribute, values[slot]))
            filter = self._compiler.equal(slot, key)
            for entry in self._branch.few(filter, self._entries.attributes_for({slot})):
                content = self._entries.content(entry)
                held = content.values.get(slot)
                if content.id != own and held is not None and comparable(attribute, held) == key:
                    raise Duplicate(slot)

    @property
    def _named(self) -> Slot:
        return next(iter(self._unique), "")

    def _new_attributes(
        self, values: Mapping[Slot, Value], dns: Mapping[Slot, str | None], password: str | None
    ) -> Native:
        native = self._entries.native(values, dns)
        locked = values.get(ACTIVE) is False
        held = self._lock_values(None, locked)
        bindings = self._branch.bindings
        fixed = {name.lower(): tuple(v.encode() for v in given) for name, given in bindings.fixed.items()}
        classes = tuple(name.encode() for name in bindings.object_classes)
        attributes: Native = {"objectClass": classes, **fixed, **native, **held}
        exact = self._entries.exact(values, native, locked)
        if self._record is None:
            self._refuse_lost(exact, values)
        else:
            references = {via: (str(values[via]), dn_) for via, dn_ in dns.items()}
            by_content = self._entries.by_content
            digest = self._entries.digest({**native, **held}) if by_content else ""
            record = Record(exact, references, 1 if self._counted else 0, None, digest)
            if octets := record.write():
                attributes[self._record] = (octets,)
            if self._held is not None and record.held:
                attributes[self._held] = tuple(slot.encode() for slot in record.held)
        attributes.update(self._password_attribute(password, locked))
        return attributes

    def _password_attribute(self, password: str | None, locked: bool) -> Native:
        if self._password is Password.UNICODE_PWD:
            if password is None and locked:
                return {}
            return {"unicodePwd": (unicode_password(password or random_password()),)}
        if password is None:
            return {}
        if self._password is Password.NONE:
            raise RejectedValue(PASSWORD, "passwords are not taken")
        return {"userPassword": (password.encode(),)} if self._password is Password.USER_PASSWORD else {}

    def _add(self, values: Mapping[Slot, Value], attributes: Native) -> Entry:
        try:
            return self._add_below(values, attributes)
        except LdapError as error:
            apart = self._set_apart(error, values, attributes)
            if apart is None:
                if "password" in error.message.lower() and {"unicodePwd", "userPassword"} & attributes.keys():
                    raise RejectedValue(PASSWORD, "the directory's password policy refuses it") from error
                self._refuse_values(error, values, None)
                raise
        return self._add_below(values, apart)

    def _add_below(self, values: Mapping[Slot, Value], attributes: Native) -> Entry:
        rdn_attribute = self._branch.bindings.rdn
        rdn = dn.rdn(rdn_attribute, attributes[rdn_attribute.lower()][0].decode())
        parents = self._placement.parents(values)
        for parent in parents:
            name = dn.child(rdn, parent)
            try:
                entry = self._run(partial(_add, name=name, attributes=attributes, read=self._read_back))
            except LdapError as error:
                if error.code != faults.NO_SUCH_OBJECT or parent == parents[-1]:
                    raise
            else:
                return self._complete(entry if entry is not None else Entry(name, {}))
        raise Unavailable

    def _set_apart(self, error: LdapError, values: Mapping[Slot, Value], attributes: Native) -> Native | None:
        """The attributes with derived names that no other entry has; None where that can't help. Raises Duplicate."""
        if error.code != faults.ALREADY_EXISTS:
            return None
        self._refuse_duplicates(values, None)
        # Somebody else's entry has the name: an account of another branch, or a group that is called as a user is.
        return self._entries.apart(values, attributes)

    def _refuse_values(self, error: LdapError, values: Mapping[Slot, Value | None], own: ResourceId | None) -> None:
        """Raise what the refusal of an entry's values means: Duplicate or RejectedValue; return for other errors."""
        given = {slot: value for slot, value in values.items() if value is not None}
        if error.code in (faults.ALREADY_EXISTS, faults.CONSTRAINT_VIOLATION):
            self._refuse_duplicates(given, own)
        if error.code == faults.ALREADY_EXISTS:
            raise Duplicate(self._named) from error
        if isinstance(faults.translate(error), RejectedValue):
            slot = self._blamed(error.message, given)
            raise RejectedValue(slot, "the directory does not accept this value") from error

    def _blamed(self, message: str, values: Mapping[Slot, Value]) -> Slot:
        """The slot whose attribute the server's message names, else the one that names the entry."""
        said = message.lower()
        for slot in values:
            if any(
                f"'{name}'" in said or f'"{name}' in said or f"{name}:" in said for name in self._entries.bound_to(slot)
            ):
                return slot
        return self._named

    def _first_password(self, entry: Entry, password: str, values: Mapping[Slot, Value]) -> Entry:
        try:
            self._set_password(entry.dn, password, locked=values.get(ACTIVE) is False)
        except BaseException:
            self._run(partial(_delete, name=entry.dn, assertion=None))
            raise
        return self._complete(Entry(entry.dn, {}))

    def _change_password(self, content: Content, password: str, values: Mapping[Slot, Value | None]) -> Content:
        locked = self._locked_after(content, values)
        match self._password:
            case Password.NONE:
                raise RejectedValue(PASSWORD, "passwords are not taken")
            case Password.MODIFY:
                self._set_password(content.dn, password, locked=locked)
            case Password.USER_PASSWORD:
                self._put_password(content.dn, "userPassword", password.encode())
            case Password.UNICODE_PWD:
                self._put_password(content.dn, "unicodePwd", unicode_password(password))
        return self._entries.content(self._complete(Entry(content.dn, {})))

    def _put_password(self, name: str, attribute: str, octets: bytes) -> None:
        change = Modification(Operation.REPLACE, attribute, (octets,))
        self._with_password(partial(_modify, name=name, changes=(change,)))

    def _set_password(self, name: str, password: str, *, locked: bool) -> None:
        self._with_password(partial(_password, name=name, password=password))
        rule = self._entries.lock
        # A new password takes the lock away, so that the lock comes last.
        if locked and rule is not None:
            self._run(
                partial(
                    _modify,
                    name=name,
                    changes=(Modification(Operation.REPLACE, rule.attribute, rule.values(True, ())),),
                )
            )

    def _with_password(self, call: Callable[[Connection], Entry | None]) -> None:
        try:
            self._run(call)
        except LdapError as error:
            if error.code in (faults.CONSTRAINT_VIOLATION, faults.UNWILLING):
                raise RejectedValue(PASSWORD, "the directory's password policy refuses it") from error
            raise

    def _alone(self, name: str) -> AbstractContextManager[object]:
        """Where a write does not tell the version that it made, writes of one entry follow each other in this process,
        so that the version read afterwards is that of the write."""
        return nullcontext() if self._branch.server.post_read else self._stripes[hash(dn.key(name)) % _STRIPES]

    def _run(self, call: Callable[[Connection], Entry | None]) -> Entry | None:
        return self._branch.directory.run(call, idempotent=False)


def _guards(written: _Written | None, wanted: Wanted, expect: Version | None) -> bool:
    """Whether the write has to fail when the record has changed; others' additions of members do not touch it."""
    return written is not None or (expect is not None and not wanted.empty)


def _swap(attribute: str, old: bytes | None, new: bytes) -> list[Modification]:
    """Old value out, new value in: fails when the old one is not there any more."""
    gone = [Modification(Operation.DELETE, attribute, (old,))] if old else []
    return [*gone, Modification(Operation.ADD, attribute, (new,))] if new else gone


def _put(attribute: str, old: bytes | None, new: bytes) -> list[Modification]:
    return [] if (old or b"") == new else [Modification(Operation.REPLACE, attribute, (new,) if new else ())]


def _add(connection: Connection, name: str, attributes: Native, read: Sequence[str]) -> Entry | None:
    return connection.add(name, attributes, read=read)


def _modify(
    connection: Connection,
    name: str,
    changes: Sequence[Modification],
    assertion: str | None = None,
    read: Sequence[str] = (),
) -> Entry | None:
    return connection.modify(name, changes, assertion=assertion, read=read)


def _rename(connection: Connection, name: str, rdn: str, read: Sequence[str], keep_old: bool = False) -> Entry | None:
    return connection.rename(name, rdn, keep_old=keep_old, read=read)


def _delete(connection: Connection, name: str, assertion: str | None) -> Entry | None:
    connection.delete(name, assertion=assertion)
    return None


def _password(connection: Connection, name: str, password: str) -> Entry | None:
    connection.set_password(name, password)
    return None
