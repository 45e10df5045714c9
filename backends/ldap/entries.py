"""Entries to slot values and back, by the operator's bindings.

Values go to the attributes that other programs of the organisation read, as far as these can hold them; what does not
come back from there exactly goes to the record beside them (`backends.ldap.record`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from app.scim.attributes import Attribute
from app.scim.query import Resource, ResourceId, Slot, Stamp, Value
from app.scim.registry import ResourceType
from backends.ldap import text
from backends.ldap.drivers.base import Attributes, Entry
from backends.ldap.encoding import Encoding, Native, decoded
from backends.ldap.locks import LOCKS, LockRule
from backends.ldap.names import Names, ordered, source_of
from backends.ldap.places import Spot, elements_at, put_elements
from backends.ldap.record import EMPTY, Record
from backends.ldap.servers import Server, read_time
from backends.ldap.subschema import ClassKind, Subschema
from config.directory import Derived, KindBindings, Lock, Single, UserBindings

ACTIVE: Slot = "active"
PASSWORD: Slot = "password"  # noqa: S105
CONTENT = "content"
_CLASS = "objectclass"
_PARTS = 200


@dataclass(frozen=True, slots=True)
class Content:
    """What an entry says. `values` lacks the references, of which `references` has the DN or, where only that is known,
    the id; `native` is what the managed attributes hold."""

    dn: str
    id: ResourceId
    created: datetime
    stamp: Stamp
    values: Mapping[Slot, Value]
    references: Mapping[Slot, Reference]
    record: Record
    entry: Entry


@dataclass(frozen=True, slots=True)
class Reference:
    """A slot that names another resource: by `id` where that is known, else by the `dn` of its entry."""

    id: ResourceId | None
    dn: str | None


@dataclass(frozen=True, slots=True)
class _Part:
    """Some of what is bound: slots with one value, slots with many, and the attributes that are derived from them."""

    singles: tuple[tuple[Slot, Attribute, Single, str], ...]
    lists: tuple[tuple[Slot, Attribute, tuple[Spot, ...]], ...]
    derived: tuple[tuple[str, Derived], ...]


class Entries:
    """The entries of one resource type."""

    def __init__(self, type: ResourceType, bindings: KindBindings, server: Server, subschema: Subschema) -> None:
        self.type = type
        self.bindings = bindings
        self.server = server
        self._subschema = subschema
        self.references = {
            lookup.via: bindings.singles[lookup.via].attribute.lower()
            for lookup in type.lookups.values()
            if lookup.via in bindings.singles
        }
        self._vias = frozenset(lookup.via for lookup in type.lookups.values())
        self._singles = [
            (slot, type.slots[slot], single, single.attribute.lower())
            for slot, single in bindings.singles.items()
            if slot not in self.references
        ]
        self._lists = [(slot, type.slots[slot], tuple(map(Spot.of, places))) for slot, places in bindings.lists.items()]
        self._asked: dict[frozenset[Slot], tuple[str, ...]] = {}
        self._parts: dict[frozenset[Slot], _Part] = {}
        self._of_slot: dict[Slot, _Part] = {}
        self._bound: dict[Slot, frozenset[str]] = {}
        for slot, attribute in bindings.attributes():
            self._bound[slot] = self._bound.get(slot, frozenset()) | {attribute.lower()}
        lock = bindings.lock if isinstance(bindings, UserBindings) else Lock.NONE
        self.lock: LockRule | None = LOCKS.get(lock) if ACTIVE in type.slots else None
        self._record = bindings.record.lower() if bindings.record else None
        self._held = bindings.held.lower() if bindings.held else None
        self._version = bindings.version.lower()
        self.names = Names(bindings, subschema)
        self._encoding = Encoding(subschema, bindings.rdn.lower())
        self.by_content = self._version == CONTENT

    @cached_property
    def stamps(self) -> tuple[str, ...]:
        """The attributes that tell id, times and version."""
        version = () if self.by_content else (self._version,)
        return (self.server.id, self.server.created, self.server.modified, *version)

    @cached_property
    def everything(self) -> tuple[str, ...]:
        """The attributes from which all of an entry's values can be read, relations apart."""
        named = {attribute for attributes in self._bound.values() for attribute in attributes}
        derived = {attribute.lower() for attribute in self.bindings.derived}
        extra = {name for name in (self._record, self.lock.attribute if self.lock else None) if name}
        classes = {_CLASS} if self._auxiliary else set()
        return (*self.stamps, *sorted(named | derived | extra | classes))

    @property
    def values_in(self) -> tuple[str, ...]:
        """The attributes of `everything` that writes change, those that tell the version and the classes apart."""
        return tuple(name for name in self.everything[len(self.stamps) :] if name != _CLASS)

    def missing_classes(self, entry: Entry, written: Iterable[str]) -> tuple[bytes, ...]:
        """The auxiliary classes of new entries that this one, made by something else, lacks, as far as they allow
        the attributes that are to be written."""
        held = {name.lower() for name in entry.attributes.get(_CLASS, ())}
        keys = {self._subschema.key(name) for name in written}
        return tuple(
            name
            for name, allowed in self._auxiliary.items()
            if name.lower() not in held and any(key in allowed for key in keys)
        )

    @cached_property
    def _auxiliary(self) -> Mapping[bytes, frozenset[str]]:
        named = ((name, self._subschema.object_class(name)) for name in self.bindings.object_classes)
        names = [name for name, found in named if found is not None and found.kind is ClassKind.AUXILIARY]
        return {name.encode(): self._subschema.allowed([name]) for name in names}

    def attributes_for(self, slots: Iterable[Slot]) -> tuple[str, ...]:
        """The attributes to ask for when only these slots matter; everything where the version depends on all."""
        if self.by_content:
            return self.everything
        wanted = frozenset(slots)
        names = self._asked.get(wanted)
        if names is None:
            names = self._names_of(wanted)
            if len(self._asked) < _PARTS:
                self._asked[wanted] = names
        return names

    def _names_of(self, wanted: frozenset[Slot]) -> tuple[str, ...]:
        wanted |= {lookup.via for slot, lookup in self.type.lookups.items() if slot in wanted}
        if not wanted:
            return self.stamps
        # What a record says of a slot holds only while the attributes are as it expects them.
        named = {attribute for slot in wanted for attribute in self._bound.get(slot, ())}
        for attribute, derived in self.bindings.derived.items():
            if attribute.lower() in named:
                named |= {bound for slot in derived.slots for bound in self._bound.get(slot, ())}
        extra = {
            name for name in (self._record, self.lock.attribute if self.lock and ACTIVE in wanted else None) if name
        }
        return (*self.stamps, *sorted(named | extra))

    def bound_to(self, slot: Slot) -> frozenset[str]:
        """The attributes of a slot, in lower case; none for one that only the record holds."""
        return self._bound.get(slot, frozenset())

    def bound_alone(self, attribute: str) -> Slot | None:
        """The singular slot of an attribute, whose name is in lower case; None where that is bound to none."""
        return next((slot for slot, _, _, name in self._singles if name == attribute), None)

    def is_listed(self, attribute: str) -> bool:
        """Whether an attribute, whose name is in lower case, is one of a slot with many values."""
        return attribute in self._listed

    @cached_property
    def _listed(self) -> frozenset[str]:
        """The attributes of slots with many values."""
        return frozenset(name for _, _, spots in self._lists for spot in spots for name in spot.named)

    def content(self, entry: Entry, want: frozenset[Slot] | None = None) -> Content:
        """What an entry that was read with `everything` says, or of one that was read with `attributes_for` the wanted
        slots; what else it says of others counts for nothing."""
        record = Record.read(entry.first(self._record)) if self._record else EMPTY
        held = entry.attributes
        if chosen := self.names.chosen(entry):
            entry = ordered(entry, chosen)
            # What a record says of a slot does not depend on the values beside the one that names the entry.
            held = {**held, **{name: (value,) for name, value in chosen.items() if name not in self._listed}}
        if record.retired is not None and record.retired.aside:
            held = {**held, **{name: (value.encode(),) for name, value in record.retired.aside.items()}}
        values: Mapping[Slot, Value] = {}
        if want is None or want:
            values = self._natively(held, self._reading(want))
            exact = record.values.keys() if want is None else record.values.keys() & want
            if exact:
                values = self._exactly(values, exact, record, held)
        identifier = entry.first(self.server.id)
        id = self.server.read_id(identifier) if identifier else ""
        created = read_time(entry.first(self.server.created))
        references = {slot: found for slot in self._vias if (found := self._reference(slot, record, held)) is not None}
        return Content(entry.dn, id, created, self._stamp(entry, record, created), values, references, record, entry)

    def stamp_of(self, entry: Entry) -> Stamp:
        """The stamp of an entry that was read with `attributes_for` any slots."""
        return self.content(entry, frozenset()).stamp

    def native(self, values: Mapping[Slot, Value], dns: Mapping[Slot, str | None]) -> Native:
        """What the attributes must hold for these values; `dns` has the DNs of references. The lock is not among
        them."""
        found = self._written(values, self._everywhere)
        for slot, name in self.references.items():
            dn = dns.get(slot)
            if dn is not None:
                found[name] = (dn.encode(),)
        return found

    def _written(self, values: Mapping[Slot, Value], part: _Part) -> Native:
        """What the attributes of a part must hold, references apart."""
        found: Native = {}
        for slot, attribute, single, name in part.singles:
            value = values.get(slot)
            octets = None if value is None else self._encoding.octets(attribute, value, single, name)
            if octets is not None:
                found[name] = (octets,)
        for slot, _, places in part.lists:
            if slot in values:
                put_elements(found, places, values[slot], self._subschema)
        for name, derived in part.derived:
            if name not in found:
                source = source_of(derived, values)
                room = self._encoding.room(name, source, derived.max)
                found[name] = (text.distinct(source, room, derived.forbid).encode(),)
        return found

    @cached_property
    def _everywhere(self) -> _Part:
        return _Part(tuple(self._singles), tuple(self._lists), tuple(self.names.derived.items()))

    def _reading(self, want: frozenset[Slot] | None) -> _Part:
        """What is read for these slots: theirs, and those on which it depends what their attributes must hold."""
        if want is None:
            return self._everywhere
        part = self._parts.get(want)
        if part is None:
            named = {attribute for slot in want for attribute in self._bound.get(slot, ())}
            slots = {slot for slot, attributes in self._bound.items() if attributes & named}
            slots.update(*(self.names.derived[name].slots for name in named & self.names.derived.keys()))
            part = _Part(
                tuple(single for single in self._singles if single[0] in slots),
                tuple(listed for listed in self._lists if listed[0] in slots),
                (),
            )
            if len(self._parts) < _PARTS:
                self._parts[want] = part
        return part

    def _writing(self, slot: Slot) -> _Part:
        """What is written to the attributes of a slot."""
        part = self._of_slot.get(slot)
        if part is None:
            names = self._bound.get(slot, frozenset())
            part = self._of_slot[slot] = _Part(
                tuple(single for single in self._singles if single[3] in names),
                tuple(listed for listed in self._lists if self._bound[listed[0]] & names),
                tuple((name, derived) for name, derived in self.names.derived.items() if name in names),
            )
        return part

    def exact(self, values: Mapping[Slot, Value], native: Native, locked: bool) -> dict[Slot, Value | None]:
        """The values that the attributes alone would not give back exactly or let be found."""
        read = self._natively(native, self._everywhere, locked)
        return {
            slot: values.get(slot)
            for slot in (read.keys() | values.keys()) - self._vias
            if values.get(slot) != read.get(slot) or not self._is_plain(slot, values[slot])
        }

    def comes_back(self, slot: Slot, values: Mapping[Slot, Value]) -> bool:
        """Whether the attributes alone give the slot's value back as it is."""
        native = self.native(values, {})
        return self._natively(native, self._everywhere, values.get(ACTIVE) is False).get(slot) == values.get(slot)

    def digest(self, held: Attributes) -> str:
        """A digest of what the managed attributes hold."""
        total = hashlib.sha256()
        for name in self.values_in:
            if name != self._record and name in held:
                total.update(b"\0".join((name.encode(), *sorted(held[name]))) + b"\1")
        return total.hexdigest()[:24]

    def locked(self, held: Attributes) -> bool:
        """Whether the entry is locked; False where nothing can lock it."""
        return self.lock is not None and self.lock.locked(tuple(held.get(self.lock.attribute, ())))

    def resource(self, content: Content, derived: Mapping[Slot, Value], want: frozenset[Slot]) -> Resource:
        """The wanted part; `derived` has the references and what follows from them."""
        values = {slot: content.values[slot] for slot in want if slot in content.values}
        values.update((slot, value) for slot, value in derived.items() if slot in want)
        return Resource(self.type.name, content.id, content.created, content.stamp, values)

    def _natively(self, held: Attributes, part: _Part, locked: bool | None = None) -> dict[Slot, Value]:
        values: dict[Slot, Value] = {}
        for slot, attribute, _, name in part.singles:
            if name in held:
                value = decoded(attribute, held[name][0])
                if value is not None:
                    values[slot] = value
        for slot, attribute, places in part.lists:
            elements = [e for place in places if place.named & held.keys() for e in elements_at(attribute, place, held)]
            if elements:
                values[slot] = elements
        if self.lock is not None:
            values[ACTIVE] = not (self.locked(held) if locked is None else locked)
        return values

    def _exactly(
        self, values: Mapping[Slot, Value], slots: Iterable[Slot], record: Record, held: Attributes
    ) -> dict[Slot, Value]:
        """The values, and for these slots those of the record, as far as the attributes are what they were when it was
        written."""
        claimed = {slot: value for slot, value in {**values, **record.values}.items() if value is not None}
        given = dict(values)
        for slot in slots:
            if not self._still_holds(slot, claimed, held):
                continue
            if slot in claimed:
                given[slot] = claimed[slot]
            else:
                given.pop(slot, None)
        return given

    def _still_holds(self, slot: Slot, claimed: Mapping[Slot, Value], held: Attributes) -> bool:
        if slot == ACTIVE and self.lock is not None:
            return self.locked(held) == (claimed.get(slot) is False)
        names = self._bound.get(slot)
        if not names:
            return True
        expected = self._written(claimed, self._writing(slot))
        return all(set(expected.get(name, ())) == set(held.get(name, ())) for name in names)

    def _reference(self, slot: Slot, record: Record, held: Attributes) -> Reference | None:
        name = self.references.get(slot)
        dns = held.get(name, ()) if name else ()
        dn = dns[0].decode("utf-8", "replace") if dns else None
        recorded = record.references.get(slot)
        if recorded is not None and recorded[1] == dn:
            return Reference(recorded[0], dn)
        return Reference(None, dn) if dn is not None else None

    def _stamp(self, entry: Entry, record: Record, created: datetime) -> Stamp:
        modified = read_time(entry.first(self.server.modified))
        if not self.by_content:
            return Stamp((entry.first(self._version) or b"").decode("ascii", "replace"), modified)
        digest = self.digest(entry.attributes)
        if record.digest and record.digest == digest:
            modified = record.changed or created
        return Stamp(f"{digest}.{record.revision}", modified)

    def _is_plain(self, slot: Slot, value: Value) -> bool:
        if isinstance(value, str):
            return text.plain(value)
        if isinstance(value, list):
            return all(
                text.plain(v)
                for e in value
                for v in (e.values() if isinstance(e, dict) else (e,))
                if isinstance(v, str)
            )
        return True
