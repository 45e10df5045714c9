"""What entries are called: which of their values are in the RDN (RFC 4512 section 2.3.1), and the names derived from
slots that no client gives but the directory asks for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from app.scim.query import Slot, Value
from backends.ldap import dn, text
from backends.ldap.drivers.base import Entry
from backends.ldap.encoding import Native
from backends.ldap.subschema import Subschema
from config.directory import Derived, KindBindings


class Names:
    """The names of the entries of one resource type; `derived` has the attributes that are derived from slots, in lower
    case."""

    def __init__(self, bindings: KindBindings, subschema: Subschema) -> None:
        self._subschema = subschema
        self._rdn = bindings.rdn.lower()
        self._bound = frozenset(attribute.lower() for _, attribute in bindings.attributes())
        self.derived: Mapping[str, Derived] = {name.lower(): derived for name, derived in bindings.derived.items()}

    def known_as(self, attribute: str) -> str:
        """The lower-case name by which an attribute is bound, of any of its names."""
        name = attribute.strip(" ").lower()
        return self._known_as.get(name, name)

    @cached_property
    def _known_as(self) -> Mapping[str, str]:
        bound = sorted({*self._bound, *self.derived, self._rdn})
        # A name with options is that of some values only, and no RDN has it.
        rules = {name: self._subschema.rule(name) for name in bound if ";" not in name}
        others = {other.lower(): name for name, rule in rules.items() if rule is not None for other in rule.names}
        return {**others, **{name: name for name in bound}}

    def named_first(self, entry: Entry) -> Entry:
        """The entry with the value that is in its RDN before other values of the same attribute, which servers may give
        in any order."""
        chosen = self.chosen(entry)
        return ordered(entry, chosen) if chosen else entry

    def chosen(self, entry: Entry) -> Mapping[str, bytes]:
        """The values in the RDN, of the attributes that have others besides."""
        held = entry.attributes
        if "+" not in entry.dn and len(held.get(self.known_as(entry.dn.partition("=")[0]), ())) < 2:
            return {}
        chosen: dict[str, bytes] = {}
        for ava in dn.avas(dn.split(entry.dn)[0]):
            name = self.known_as(dn.attribute_of(ava))
            values = held.get(name, ())
            if len(values) > 1:
                key = dn.key(dn.rdn(name, dn.value_of(ava)))
                same = [v for v in values if dn.key(dn.rdn(name, v.decode("utf-8", "replace"))) == key]
                chosen.update({name: same[0]} if same else {})
        return chosen

    def apart(self, values: Mapping[Slot, Value], attributes: Native) -> Native | None:
        """The attributes with other values for those that are derived from slots; None where there are none."""
        names = {
            name: derived
            for name, derived in self.derived.items()
            if name not in self._bound and any(values.get(slot) is not None for slot in derived.slots)
        }
        if not names:
            return None
        new = {n: text.apart(source_of(d, values), d.max, d.forbid).encode() for n, d in names.items()}
        return {**attributes, **{name: (value,) for name, value in new.items()}}

    def rdn_apart(self, rdn: str) -> str | None:
        """Another RDN that no entry has; None where the RDN says what a slot holds."""
        present = dn.avas(rdn)
        for at, ava in enumerate(present):
            attribute = dn.attribute_of(ava)
            name = self.known_as(attribute)
            derived = None if name in self._bound else self.derived.get(name)
            if derived is not None:
                other = dn.rdn(attribute, text.apart(dn.value_of(ava), derived.max, derived.forbid))
                return dn.joined((*present[:at], other, *present[at + 1 :]))
        return None


def ordered(entry: Entry, first: Mapping[str, bytes]) -> Entry:
    """The entry with these values before the others of their attributes."""
    held = entry.attributes
    moved = {n: (value, *(other for other in held[n] if other != value)) for n, value in first.items()}
    return Entry(entry.dn, {**held, **moved})


def source_of(derived: Derived, values: Mapping[Slot, Value]) -> str:
    """The text that a derived name is made of."""
    return next((str(values[slot]) for slot in derived.slots if values.get(slot) is not None), "-")
