"""Users go to the subtree of retired ones and come back from there: each by a few writes, in an order in which whatever
is cut off leaves nobody able to sign in who was to be retired."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from app.scim.query import Change, ResourceId, Slot, Value, Version
from backends.errors import Duplicate, NotFound, Protected, StoreError, Unavailable, VersionMismatch
from backends.ldap import dn, faults
from backends.ldap.branch import NOTHING, Branch
from backends.ldap.drivers.base import Entry, LdapError, Modification, Operation
from backends.ldap.entries import PASSWORD, Content
from backends.ldap.members import Members
from backends.ldap.modifying import Modifying, Stale
from backends.ldap.passwords import Passwords
from backends.ldap.placement import Placement
from backends.ldap.planning import DnOf, Planned, Planning, among
from backends.ldap.record import Record
from backends.ldap.references import References
from backends.ldap.requests import Requests
from backends.ldap.retired import RetiredBranch
from backends.ldap.writing import Writer

_ATTEMPTS = 60

_log = logging.getLogger(__name__)

Leave = Callable[[Content], Callable[[], None]]
"""Takes a user out of all that refers to it; gives what puts it back."""


@dataclass(frozen=True, slots=True)
class Kinds:
    """What writes and reads users, and the groups that they are in."""

    users: Branch
    retired: RetiredBranch
    planning: Planning
    references: References
    dn_of: DnOf
    members: Members
    writer: Writer
    modifying: Modifying
    groups: Modifying
    leave: Leave


class Retiring:
    """Retires users and restores them. Every method raises LdapError and ConnectionLost besides what it names."""

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds
        self._users, self._retired, self._planning = kinds.users, kinds.retired, kinds.planning
        self._entries = kinds.users.entries
        self._names = kinds.users.entries.names
        self._requests = Requests(kinds.users)
        self._passwords = Passwords(kinds.users, self._requests)
        self._placement = Placement(kinds.users.bindings)
        self._targets = {lookup.via: lookup.kind for lookup in kinds.users.type.lookups.values()}
        self._named = self._names.known_as(kinds.users.bindings.rdn)

    def retire(self, id: ResourceId, expect: Version | None) -> None:
        """Lock the account, take it out of groups and references, and move it. Raises NotFound, VersionMismatch.

        Where this ends after the lock the user is there and locked, and the same again goes on.
        """
        content, planned, entry = self._locked(id, expect)
        self._users.recent.forget(id)
        try:
            put_back = self._kinds.leave(content)
        except (LdapError, StoreError):
            self._kinds.modifying.take_back(content, planned)
            raise
        try:
            moved = self._shelve(entry)
        except (LdapError, StoreError) as error:
            if isinstance(error, NotFound):
                raise
            put_back()
            self._kinds.modifying.take_back(content, planned)
            raise
        self._users.recent.forget(id)
        self._keep_locked(moved)

    def restore(self, id: ResourceId, change: Change) -> Content:
        """Move the entry back to where placement puts it, then change and unlock it; the content afterwards. Raises
        NotFound, Duplicate, RejectedValue, with the entry where it was."""
        entry = self._retired.by_id(id, self._entries.everything)
        content = self._retired.content(entry)
        # It has no DN that a reference to itself could have, before it is back.
        itself = {via: id for via in self._targets if change.values.get(via) == id}
        values = {s: value for s, value in change.values.items() if s != PASSWORD and s not in itself}
        values.update(self._dangling(content, values))
        after = {slot: value for slot, value in {**content.values, **values}.items() if value is not None}
        self._planning.refuse_duplicates(after, id)
        planned = self._planning.restoring(content, entry, values)
        rdn = self._own_rdn(content, planned.rdn)
        planned = self._one_name(planned, rdn, content, entry)
        moved = self._back(content, rdn, after)
        self._users.recent.forget(id)
        try:
            back = self._finish(moved, content, planned, after, change.values.get(PASSWORD))
            if not itself:
                return back
            self._kinds.writer.update(id, Change(itself), None)
            return self._users.content(self._users.by_id(id, self._entries.everything))
        except (LdapError, StoreError) as error:
            self._back_to_retired(moved, entry)
            if isinstance(error, LdapError):
                self._planning.refuse(error, after, id)
            raise

    def purge(self, id: ResourceId) -> None:
        """Delete a retired entry. Raises NotFound."""
        entry = self._retired.by_id(id, NOTHING)
        try:
            self._requests.delete(entry.dn)
        except LdapError as error:
            if self._requests.explained(error, entry.dn).code == faults.NO_SUCH_OBJECT:
                raise NotFound from error
            raise

    def _locked(self, id: ResourceId, expect: Version | None) -> tuple[Content, Planned, Entry]:
        """Lock an account; its content before, what was changed, and the entry afterwards."""
        for attempt in range(_ATTEMPTS):
            content = self._users.content(self._users.by_id(id, self._entries.everything))
            if expect is not None and content.stamp.version != expect:
                raise VersionMismatch
            planned = self._planning.retiring(content, datetime.now(UTC))
            try:
                entry = self._kinds.modifying.carry_out(content, planned)
                return content, planned, entry
            except Stale:
                time.sleep(random.uniform(0, 0.002 * min(attempt, 20)))  # noqa: S311 - spreads rivals, keeps no secret
        raise Unavailable

    def _shelve(self, entry: Entry) -> Entry:
        """Move a locked entry to the retired ones, under another name where its own is taken. Raises NotFound when it
        is gone, Unavailable when there is no place to move it to."""
        rdn, base = dn.split(entry.dn)[0], self._retired.bindings.base
        try:
            try:
                return self._requests.move(entry.dn, rdn, base)
            except LdapError as error:
                if error.code != faults.ALREADY_EXISTS:
                    raise
            return self._shelve_apart(entry)
        except LdapError as error:
            if self._users.at(entry.dn, NOTHING) is None:
                raise NotFound from error
            if self._retired.at(base, NOTHING) is not None:
                raise
            _log.error("users can't be retired: there is no entry %s", base)
            raise Unavailable from error

    def _shelve_apart(self, entry: Entry) -> Entry:
        content = self._entries.content(self._requests.complete(entry))
        present = dn.avas(dn.split(entry.dn)[0])
        names = [self._names.known_as(dn.attribute_of(ava)) for ava in present]
        # Of several attributes, that which a server is most likely to keep unique.
        at = names.index(self._named) if self._named in names else 0
        attribute, name = dn.attribute_of(present[at]), names[at]
        other = self._planning.stand_in(content, name)
        kept = content.record.retired is not None
        if kept and name in content.entry.attributes:
            try:
                self._kinds.modifying.carry_out(content, self._planning.aside(content, name))
            except Stale:
                raise Unavailable(1) from None
        base = self._retired.bindings.base
        try:
            # Without a record the old name has to stay beside the new one.
            rdn = dn.joined((*present[:at], dn.rdn(attribute, other), *present[at + 1 :]))
            return self._requests.move(entry.dn, rdn, base, keep_old=not kept)
        except LdapError as error:
            if kept or error.code != faults.CONSTRAINT_VIOLATION:
                raise
            raise Protected("the directory keeps the name of another retired user unique") from error

    def _keep_locked(self, moved: Entry) -> None:
        """Lock the entry again if a change that came between has unlocked it or taken away what is kept of it."""
        for _ in range(_ATTEMPTS):
            content = self._entries.content(self._requests.complete(moved))
            marked = self._users.bindings.record is None or content.record.retired is not None
            if marked and self._entries.locked(content.entry.attributes):
                return
            try:
                self._kinds.modifying.carry_out(content, self._planning.retiring(content, datetime.now(UTC)))
                return
            except Stale:
                moved = Entry(moved.dn, {})
        raise Unavailable

    def _dangling(self, content: Content, values: Mapping[Slot, Value | None]) -> dict[Slot, Value | None]:
        """The references of a retired entry to what is not there, which are to be taken out."""
        found: dict[Slot, Value | None] = {}
        for via, reference in content.references.items():
            if via in values:
                continue
            id = reference.id or self._kinds.references.follow([content], frozenset({via}))[0].get(via)
            if id is None or self._kinds.dn_of(self._targets[via], id) is None:
                found[via] = None
        return found

    def _own_rdn(self, content: Content, planned: str | None) -> str:
        """The planned RDN, or the one of the entry, with what its parts were before it was retired, as far as the plan
        does not change them."""
        present = dn.avas(dn.split(content.dn)[0])
        own = []
        for ava in present if planned is None else dn.avas(planned):
            if ava not in present:
                own.append(ava)
                continue
            attribute = dn.attribute_of(ava)
            held = content.entry.attributes.get(self._names.known_as(attribute), ())
            named = not held or any(dn.key(dn.rdn(attribute, v.decode())) == dn.key(ava) for v in held)
            own.append(ava if named else dn.rdn(attribute, held[0].decode()))
        return dn.joined(own)

    def _back(self, content: Content, rdn: str, values: Mapping[Slot, Value]) -> Entry:
        """Move an entry to where a new one with these values would go. It is in no group there, whoever has named it
        meanwhile. Raises NotFound, Duplicate."""
        parents = self._placement.parents(values)
        self._unlink([content.dn, *(dn.child(rdn, parent) for parent in parents)])
        for parent in parents:
            try:
                return self._moved(content.dn, rdn, parent)
            except LdapError as error:
                if error.code in (faults.ALREADY_EXISTS, faults.CONSTRAINT_VIOLATION):
                    apart = self._names.rdn_apart(rdn) if error.code == faults.ALREADY_EXISTS else None
                    return self._back_apart(content, apart, parent, error)
                # Of a place that is not there, each server says something else.
                if parent == parents[-1] or self._users.at(parent, NOTHING) is not None:
                    if self._retired.at(content.dn, NOTHING) is None:
                        raise NotFound from error
                    raise
        raise NotFound

    def _back_apart(self, content: Content, rdn: str | None, parent: str, error: LdapError) -> Entry:
        """Move an entry whose own name another one has there, under the name `rdn` if it may have that."""
        if self._retired.at(content.dn, NOTHING) is None:
            # The other one is this one: somebody else was faster.
            raise NotFound from error
        if rdn is None:
            raise Duplicate(self._planning.named) from error
        return self._moved(content.dn, rdn, parent)

    def _moved(self, name: str, rdn: str, parent: str) -> Entry:
        """Move a retired entry and rename it."""
        present = dn.split(name)[0]
        # Where only the case of letters is another, a move would leave the name as it was.
        if rdn == present or dn.key(rdn) != dn.key(present):
            try:
                return self._requests.move(name, rdn, parent)
            except LdapError as error:
                if error.code != faults.CONSTRAINT_VIOLATION or rdn == present:
                    raise
        # Asked for both at once, 389 Directory Server looks for another of that name where the entry was.
        moved = self._requests.move(name, present, parent)
        try:
            return self._requests.rename(moved.dn, rdn)
        except LdapError:
            self._requests.move(moved.dn, present, self._retired.bindings.base)
            raise

    def _unlink(self, names: list[str]) -> None:
        """Take out every reference to these DNs. A membership may have come after the user had left, and the server
        changes it when the entry is moved."""
        members = self._kinds.members
        if not members.by_name:
            values = [name.encode() for name in names]
            for group in members.entries_with_one_of(values):
                for value in values:
                    gone = Modification(Operation.DELETE, members.bindings.member, (value,))
                    self._kinds.groups.touch(group, [gone])
        for via, attribute in self._entries.references.items():
            filter = dn.any_of(dn.equality(attribute, name) for name in names)
            for entry in self._users.few(filter, self._entries.everything):
                self._kinds.writer.refer(entry, via, None)

    def _finish(
        self, moved: Entry, content: Content, planned: Planned, values: Mapping[Slot, Value], password: str | None
    ) -> Content:
        """Write what was planned for the entry, where it is now."""
        if password is not None:
            self._passwords.change(moved.dn, password, locked=True)
            moved = Entry(moved.dn, {})
        now = self._requests.complete(moved)
        here = replace(
            content,
            dn=now.dn,
            stamp=self._entries.stamp_of(now),
            entry=Entry(now.dn, content.entry.attributes),
        )
        try:
            written = self._kinds.modifying.carry_out(here, replace(planned, rdn=None))
        except LdapError as error:
            apart = self._kinds.writer.planned_apart(error, here, planned, values)
            if apart is None:
                raise
            written = self._kinds.modifying.carry_out(here, replace(apart, rdn=None))
        except Stale:
            raise Unavailable(1) from None
        return self._users.content(self._requests.complete(Entry(now.dn, written.attributes)))

    def _one_name(self, planned: Planned, rdn: str, content: Content, entry: Entry) -> Planned:
        """The plan without the name that an entry kept beside the one it got because there was no record to hold it.
        Other values of the attribute stay."""
        given = {self._names.known_as(dn.attribute_of(ava)): dn.value_of(ava).encode() for ava in dn.avas(rdn)}
        replaced = dict(planned.replaced)
        for ava in dn.avas(dn.split(entry.dn)[0]):
            name = self._names.known_as(dn.attribute_of(ava))
            own, held = content.entry.attributes.get(name, ()), entry.attributes.get(name, ())
            if name in replaced or name not in given or set(own) == set(held) or given[name] in own:
                continue
            gone = {*own, *(value for value in held if among(ava, (value,)))}
            replaced[name] = (given[name], *(value for value in held if value not in gone))
        return replace(planned, replaced=replaced)

    def _back_to_retired(self, moved: Entry, before: Entry) -> None:
        """Let an entry that could not be changed be what it was, and move it to where it was."""
        rdn, superior = dn.split(before.dn)
        parts = {*dn.avas(dn.split(moved.dn)[0]), *dn.avas(rdn)}
        named = {self._names.known_as(dn.attribute_of(ava)) for ava in parts}
        try:
            # What it is called by goes with the move, before which it is locked.
            now = self._made_again(self._requests.complete(Entry(moved.dn, {})), before, without=named)
            shelved = self._requests.move(now.dn, rdn, superior, keep_old=self._was_called(before, moved.dn))
            self._keep_locked(self._made_again(self._requests.complete(shelved), before, without=frozenset()))
        except (LdapError, StoreError) as error:
            _log.error("%s could not be put back among the retired users: %s", moved.dn, error)

    def _made_again(self, entry: Entry, before: Entry, *, without: Container[str]) -> Entry:
        """The entry with the record, the lock and the values that it had, by one modification at most."""
        changes = [
            Modification(Operation.REPLACE, name, tuple(before.attributes.get(name, ())))
            for name in self._entries.values_in
            if name not in without and set(before.attributes.get(name, ())) != set(entry.attributes.get(name, ()))
        ]
        held, record = self._users.bindings.held, self._users.bindings.record
        if held is not None and record is not None:
            was, now = (Record.read(one.first(record.lower())).held for one in (before, entry))
            if was != now:
                changes.append(Modification(Operation.REPLACE, held, tuple(slot.encode() for slot in was)))
        try:
            return self._requests.complete(self._requests.modify(entry.dn, changes)) if changes else entry
        except LdapError as error:
            _log.warning("%s could not be made what it was before: %s", entry.dn, error)
            return Entry(entry.dn, {})

    def _was_called(self, before: Entry, name: str) -> bool:
        """Whether an entry had all values of an RDN."""
        pairs = ((ava, self._names.known_as(dn.attribute_of(ava))) for ava in dn.avas(dn.split(name)[0]))
        return all(among(ava, before.attributes.get(attribute, ())) for ava, attribute in pairs)
