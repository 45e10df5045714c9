"""What a create or a change means for an entry: its attributes, its record and its name, before anything is sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from app.scim.attributes import Uniqueness
from app.scim.query import ResourceId, Slot, Value
from app.scim.types import comparable
from backends.errors import Duplicate, RejectedValue
from backends.ldap import dn, faults, text
from backends.ldap.branch import Branch
from backends.ldap.drivers.base import Entry, LdapError, Modification, Operation
from backends.ldap.encoding import Native
from backends.ldap.entries import ACTIVE, Content
from backends.ldap.filters import Compiler
from backends.ldap.record import Record, Retirement
from backends.ldap.references import References

_ELSEWHERE = re.compile(r"already in use|^000021C8", re.IGNORECASE)
"""In the message of a refusal because an account of another branch has the name; the number is Active Directory's
ERROR_DS_UPN_VALUE_NOT_UNIQUE_IN_FOREST."""

DnOf = Callable[[str, ResourceId], str | None]


@dataclass(frozen=True, slots=True)
class Planned:
    """What a change makes of an entry's values: attributes to be replaced, the new RDN if it changes, and the record
    afterwards, None where there is none."""

    replaced: Native
    rdn: str | None
    record: Record | None


class Planning:
    """Plans writes of one resource type. Reads what it must know of other entries; changes nothing."""

    def __init__(self, branch: Branch, compiler: Compiler, references: References, dn_of: DnOf) -> None:
        self._branch = branch
        self._entries = branch.entries
        self._names = branch.entries.names
        self._compiler = compiler
        self._references = references
        self._dn_of = dn_of
        self._targets = {lookup.via: lookup.kind for lookup in branch.type.lookups.values()}
        self._unique = {s: a for s, a in branch.type.slots.items() if a.uniqueness is not Uniqueness.NONE}
        self._record = branch.bindings.record
        self._held = branch.bindings.held
        self._counted = branch.entries.by_content or not branch.server.assertion

    @property
    def named(self) -> Slot:
        """The slot that names a resource."""
        return next(iter(self._unique), "")

    def new(self, values: Mapping[Slot, Value]) -> Native:
        """The attributes of a new entry, password and members apart. Raises Duplicate, RejectedValue."""
        self.refuse_duplicates(values, None)
        dns = {via: self._dn_of(kind, values[via]) for via, kind in self._targets.items() if via in values}
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
            return attributes
        references = {via: (str(values[via]), name) for via, name in dns.items()}
        digest = self._entries.digest({**native, **held}) if self._entries.by_content else ""
        record = Record(exact, references, 1 if self._counted else 0, None, digest)
        if octets := record.write():
            attributes[self._record] = (octets,)
        if self._held is not None and record.held:
            attributes[self._held] = tuple(slot.encode() for slot in record.held)
        return attributes

    def change(self, content: Content, values: Mapping[Slot, Value | None], *, force: bool = False) -> Planned | None:
        """What has to be written, or None when the values are there already; with `force` a new version at least.
        Raises Duplicate, RejectedValue."""
        before = {**content.values, **self._known_references(content, values)}
        merged = {**before, **values}
        after = {slot: value for slot, value in merged.items() if value is not None}
        if after == before and not force:
            return None
        self.refuse_duplicates({s: value for s, value in after.items() if before.get(s) != value}, content.id)
        old_dns = {via: reference.dn for via, reference in content.references.items()}
        dns: dict[Slot, str | None] = dict(old_dns)
        for via, kind in self._targets.items():
            if via in values:
                dns[via] = self._dn_of(kind, after[via]) if via in after else None
        old, new = self._entries.native(before, old_dns), self._entries.native(after, dns)
        replaced = _put_back(content)
        replaced.update({n: new.get(n, ()) for n in old.keys() | new.keys() if old.get(n) != new.get(n)})
        rdn = self._rdn(content, replaced)
        locked = self.locked_after(content, values)
        self._put_lock(replaced, content, locked)
        return Planned(replaced, rdn, self._next_record(content, after, new, dns, locked))

    def retiring(self, content: Content, at: datetime) -> Planned:
        """The plan that locks an entry which is about to be retired and, where there is a record, says so there. What
        may be held once in the whole directory is put aside. It is the same when that was done before."""
        rule, held = self._entries.lock, content.entry.attributes
        assert rule is not None
        replaced: Native = {rule.attribute: rule.values(True, tuple(held.get(rule.attribute, ())))}
        if self._record is None:
            return Planned(replaced, None, None)
        retired = content.record.retired
        if retired is None:
            unique = (name for name in self._branch.server.unique if name in held)
            aside = {name: held[name][0].decode("utf-8", "replace") for name in unique}
            retired = Retirement(at, self._entries.locked(held), aside)
            replaced.update({name: (self.stand_in(content, name).encode(),) for name in aside})
        return Planned(replaced, None, replace(content.record, retired=replace(retired, at=at)))

    def stand_in(self, content: Content, attribute: str) -> str:
        """A value that takes the place of an attribute's own, by which the entry is found if its SCIM value is known.
        Active Directory takes 20 characters of an account's name."""
        slot = self._entries.bound_alone(attribute)
        own = content.entry.first(attribute) or b""
        value = content.values.get(slot) if slot is not None else None
        return text.stand_in(str(value or own.decode("utf-8", "replace")), 20 if slot is None else None)

    def aside(self, content: Content, attribute: str) -> Planned:
        """The plan that puts an attribute aside in the record of an entry that is about to be retired; the attribute
        itself is not changed."""
        retired = content.record.retired
        assert retired is not None
        value = (content.entry.first(attribute) or b"").decode("utf-8", "replace")
        aside = {attribute: value, **retired.aside}
        return Planned({}, None, replace(content.record, retired=replace(retired, aside=aside)))

    def restoring(self, content: Content, entry: Entry, values: Mapping[Slot, Value | None]) -> Planned:
        """The plan that makes of a retired entry, whose content is as it was before, what it was with a change; the
        entry itself is locked. Raises Duplicate, RejectedValue."""
        planned = self.change(content, values, force=True)
        rule = self._entries.lock
        assert planned is not None
        assert rule is not None
        held = tuple(entry.attributes.get(rule.attribute, ()))
        lock = rule.values(self.locked_after(content, values), held)
        return replace(planned, replaced={**planned.replaced, rule.attribute: lock})

    def modifications(
        self, content: Content, planned: Planned | None, *, swap: bool, leaving: bool = False
    ) -> list[Modification]:
        """The modifications of a plan; with `swap` they fail when another write of the record came first."""
        replaced = planned.replaced if planned else {}
        if planned is not None and planned.rdn is not None:
            replaced = self.beside(content.dn, replaced)
        changes = [Modification(Operation.REPLACE, n, v) for n, v in replaced.items()]
        if self._record is None:
            return changes
        after = planned.record if planned is not None and planned.record is not None else content.record
        if swap:
            after = replace(after, revision=content.record.revision + 1, leaving=leaving)
        elif planned is None:
            return changes
        old, new = content.entry.first(self._record.lower()), after.write()
        of_record = _swap(self._record, old, new) if swap else _put(self._record, old, new)
        if self._held is not None and after.held != content.record.held:
            held = tuple(slot.encode() for slot in after.held)
            of_record.append(Modification(Operation.REPLACE, self._held, held))
        changes.extend(of_record)
        missing = self._entries.missing_classes(content.entry, [c.attribute for c in changes if c.values])
        if missing:
            changes.insert(0, Modification(Operation.ADD, "objectClass", missing))
        return changes

    def undoing(
        self, content: Content, changes: Sequence[Modification], name: str, *, swap: bool
    ) -> list[Modification]:
        """The modifications that undo these, while the entry is called `name`; with `swap` they fail when another write
        of the record has come since."""
        held = dict(content.entry.attributes)
        if self._held is not None:
            held[self._held.lower()] = tuple(slot.encode() for slot in content.record.held)
        before = self.beside(name, {c.attribute: tuple(held.get(c.attribute.lower(), ())) for c in changes})
        record = self._record if swap and self._record in before else None
        back = [Modification(Operation.REPLACE, n, v) for n, v in before.items() if n != record]
        if record is not None:
            put = (c.values[0] for c in changes if c.attribute == record and c.operation is Operation.ADD)
            back.extend(_swap(record, next(put, None), content.entry.first(record.lower()) or b""))
        return back

    def nothing(self, content: Content) -> list[Modification]:
        """A modification after which the values are what they were, so that a version can be compared in it. Of no
        attribute that is kept unique: then OpenLDAP compares the version of others."""
        unique = {attribute for slot in self._unique for attribute in self._entries.bound_to(slot)}
        bound = (single.attribute for single in self._branch.bindings.singles.values())
        attribute = self._record or next((name for name in bound if name.lower() not in unique), None)
        if attribute is None:
            return []
        values = tuple(content.entry.attributes.get(attribute.lower(), ()))
        return [Modification(Operation.REPLACE, attribute, values)]

    def locked_after(self, content: Content, values: Mapping[Slot, Value | None]) -> bool:
        """Whether the account is locked after the change of these values."""
        if ACTIVE in values:
            return values[ACTIVE] is False
        return self._entries.locked(content.entry.attributes)

    def refuse_duplicates(self, values: Mapping[Slot, Value], own: ResourceId | None) -> None:
        """Raise Duplicate when another entry than `own` has one of these values that must be unique."""
        for slot, attribute in self._unique.items():
            if slot not in values:
                continue
            key = str(comparable(attribute, values[slot]))
            for entry in self._branch.few(self._compiler.equal(slot, key), self._entries.attributes_for({slot})):
                content = self._entries.content(entry)
                held = content.values.get(slot)
                if content.id != own and held is not None and comparable(attribute, held) == key:
                    raise Duplicate(slot)

    def refuse(self, error: LdapError, values: Mapping[Slot, Value | None], own: ResourceId | None) -> None:
        """Raise what the refusal of an entry's values means: Duplicate or RejectedValue; return for other errors."""
        given = {slot: value for slot, value in values.items() if value is not None}
        if error.code in (faults.ALREADY_EXISTS, faults.CONSTRAINT_VIOLATION):
            self.refuse_duplicates(given, own)
        if another_has_the_name(error):
            raise Duplicate(self.named) from error
        if isinstance(faults.translate(error), RejectedValue):
            slot = self._blamed(error.message, given)
            raise RejectedValue(slot, "the directory does not accept this value") from error

    def _blamed(self, message: str, values: Mapping[Slot, Value]) -> Slot:
        """The slot whose attribute the server's message names, else the one that names the entry."""
        said = message.lower()
        for slot in values:
            names = self._entries.bound_to(slot)
            if any(f"'{name}'" in said or f'"{name}' in said or f"{name}:" in said for name in names):
                return slot
        return self.named

    def _rdn(self, content: Content, replaced: Native) -> str | None:
        """The new RDN, if an attribute of the present one changes; one that has a single value before and after, or
        whose other values are not Landfall's, is then left to the renaming. An RDN of several attributes keeps the
        others, and may lose one that is to have no value."""
        present = dn.avas(dn.split(content.dn)[0])
        named = [self._names.known_as(dn.attribute_of(ava)) for ava in present]
        if replaced.keys().isdisjoint(named):
            return None
        if all(replaced.get(attribute) == () for attribute in named):
            return None
        after = []
        renames = False
        for ava, attribute in zip(present, named, strict=True):
            values = replaced.get(attribute)
            several = self._entries.is_listed(attribute) and (
                len(values or ()) > 1 or len(content.entry.attributes.get(attribute, ())) > 1
            )
            if values is None or (several and among(ava, values)):
                after.append(ava)
                continue
            renames = True
            if not several:
                del replaced[attribute]
            if values:
                after.append(dn.rdn(dn.attribute_of(ava), values[0].decode()))
        return dn.joined(after) if renames else None

    def beside(self, name: str, replaced: Native) -> Native:
        """What the attributes can be made to hold while the entry is called `name`: the value that is in its RDN too,
        which a renaming takes away."""
        kept: Native = {}
        for ava in dn.avas(dn.split(name)[0]):
            attribute = self._names.known_as(dn.attribute_of(ava))
            values = replaced.get(attribute)
            if values is not None and not among(ava, values):
                kept[attribute] = (dn.value_of(ava).encode(), *values)
        return {**replaced, **kept}

    def _known_references(self, content: Content, values: Mapping[Slot, Value | None]) -> dict[Slot, Value]:
        """The references of an entry as ids; those that the change does not touch stay as they are if the id is
        unknown."""
        touched = frozenset(via for via in self._targets if via in values)
        known = {via: r.id for via, r in content.references.items() if r.id is not None and via not in touched}
        return {**known, **self._references.follow([content], touched)[0]} if touched else known

    def _put_lock(self, replaced: Native, content: Content, locked: bool) -> None:
        rule = self._entries.lock
        if rule is not None and self._entries.locked(content.entry.attributes) != locked:
            replaced[rule.attribute] = rule.values(locked, tuple(content.entry.attributes.get(rule.attribute, ())))

    def _next_record(
        self,
        content: Content,
        values: Mapping[Slot, Value],
        native: Native,
        dns: Mapping[Slot, str | None],
        locked: bool,
    ) -> Record | None:
        exact = self._entries.exact(values, native, locked)
        if self._record is None:
            self._refuse_lost(exact, values)
            return None
        known = {via: values.get(via) for via in content.references.keys() | values.keys() if via in self._targets}
        references = {via: (str(id), dns.get(via)) for via, id in known.items() if id is not None}
        revision = content.record.revision + 1 if self._counted else 0
        if not self._entries.by_content:
            return Record(exact, references, revision)
        held: Native = {**native, **self._lock_values(content.entry, locked)}
        return Record(exact, references, revision, datetime.now(UTC), self._entries.digest(held))

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


def another_has_the_name(error: LdapError) -> bool:
    """Whether a write was refused because an entry, wherever it is, has a name that must be unique."""
    return error.code == faults.ALREADY_EXISTS or _ELSEWHERE.search(error.message) is not None


def among(ava: str, values: Sequence[bytes]) -> bool:
    """Whether the value of a part of an RDN is one of these."""
    key = dn.key(dn.rdn("", dn.value_of(ava)))
    return any(dn.key(dn.rdn("", value.decode("utf-8", "replace"))) == key for value in values)


def _put_back(content: Content) -> Native:
    """What was put aside when the entry was retired, as far as it is not there."""
    aside = content.record.retired.aside if content.record.retired is not None else {}
    held = content.entry.attributes
    return {n: (value.encode(),) for n, value in aside.items() if tuple(held.get(n, ())) != (value.encode(),)}


def _swap(attribute: str, old: bytes | None, new: bytes) -> list[Modification]:
    """Old value out, new value in: fails when the old one is not there any more."""
    gone = [Modification(Operation.DELETE, attribute, (old,))] if old else []
    return [*gone, Modification(Operation.ADD, attribute, (new,))] if new else gone


def _put(attribute: str, old: bytes | None, new: bytes) -> list[Modification]:
    return [] if (old or b"") == new else [Modification(Operation.REPLACE, attribute, (new,) if new else ())]
