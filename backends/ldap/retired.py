"""Retired users as a directory has them: locked entries in a subtree of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from app.scim.filter.evaluate import View, matches
from app.scim.filter.nodes import Bound, Compare, Op, Or, Some
from app.scim.fold import fold
from app.scim.query import Page, Resource, ResourceId, Slot, Window
from backends.errors import NotFound
from backends.ldap import dn, text
from backends.ldap.branch import NOTHING, Branch
from backends.ldap.drivers.base import Entry
from backends.ldap.entries import Content
from backends.ldap.filters import ALL, Candidates, Compiler
from backends.ldap.record import Record, Retirement
from backends.ldap.references import References

_NAMES: frozenset[Slot] = frozenset({"userName", "emails"})


class RetiredBranch(Branch):
    """The subtree of retired users. What an entry says is what it said before it was retired, but for the time of its
    last change: that is when it was retired.

    Where there is a record, an entry of which that does not say that it was retired is none of them: another program
    has put it there.
    """

    def within(self, filter: str) -> str:
        record = self.bindings.record
        return super().within(filter if record is None else dn.all_of((filter, dn.presence(record))))

    def by_id(self, id: ResourceId, attributes: Sequence[str]) -> Entry:
        record = self.bindings.record
        if record is None:
            return super().by_id(id, attributes)
        asked = (name for name in attributes if name not in NOTHING)
        entry = super().by_id(id, tuple(dict.fromkeys((*asked, record.lower()))))
        if not self.has(entry):
            raise NotFound
        return entry

    def has(self, entry: Entry) -> bool:
        """Whether an entry that was read here, with its record, is one of them."""
        return self.bindings.record is None or self._retirement(entry) is not None

    def _retirement(self, entry: Entry) -> Retirement | None:
        record = self.bindings.record
        return Record.read(entry.first(record.lower())).retired if record is not None else None

    def content(self, entry: Entry, want: frozenset[Slot] | None = None) -> Content:
        content = self.entries.content(self._before(entry), want)
        retired = content.record.retired
        if retired is None:
            return content
        return replace(content, stamp=replace(content.stamp, modified=retired.at))

    def _before(self, entry: Entry) -> Entry:
        """The entry without the lock that it got, and without the name that it got where another one had its own."""
        attributes = dict(entry.attributes)
        retired = self._retirement(entry)
        lock = self.entries.lock
        if lock is not None and lock.attribute in attributes and not (retired is not None and retired.locked):
            attributes[lock.attribute] = lock.values(False, tuple(attributes[lock.attribute]))
        for ava in dn.avas(dn.split(entry.dn)[0]):
            name, value = self.entries.names.known_as(dn.attribute_of(ava)), dn.value_of(ava)
            held = attributes.get(name, ())
            others = tuple(octets for octets in held if text.stands_for(value, octets.decode("utf-8", "replace")))
            if others:
                attributes[name] = others
        return Entry(entry.dn, attributes)


class Shelf:
    """Reads lists of retired users."""

    def __init__(self, branch: RetiredBranch, compiler: Compiler, references: References) -> None:
        self._branch = branch
        self._compiler = compiler
        self._references = references

    def page(self, want: frozenset[Slot], names: Sequence[str] | None, window: Window) -> Page:
        """The window of those that have one of the names, first retired first, and the number of all of these. Only
        ids and times are held of those outside the window."""
        if names is not None:
            names = [name for name in names if _is_unicode(name)]
            if not names:
                return Page(0, ())
        found = ALL if names is None else self._named(names)
        slots = frozenset() if names is None else _NAMES
        marks: list[tuple[datetime, ResourceId]] = []
        for entry in self._branch.all(found.filter, self._attributes(slots)):
            if not self._branch.has(entry):
                continue
            content = self._branch.content(entry, slots)
            if found.rest is None or matches(found.rest, View(self._resource(content, slots))):
                marks.append((content.stamp.modified, content.id))
        marks.sort()
        start = max(window.start, 1) - 1
        chosen = [id for _, id in marks[start : start + max(window.count, 0)]]
        return Page(len(marks), tuple(self._read(chosen, want)))

    def _named(self, names: Sequence[str]) -> Candidates:
        """What finds the entries with one of the names, and the values that stand in for one."""
        slots = self._branch.type.slots
        # Without a record a directory may have no place for e-mails.
        emails = slots.get("emails")
        address = None if emails is None else emails.sub("value")
        terms: list[Bound] = []
        for name in map(fold, names):
            terms.append(Compare(slots["userName"], Op.EQ, name))
            if emails is not None and address is not None:
                terms.append(Some(emails, Compare(address, Op.EQ, name)))
        compiled = self._compiler.compile(Or(tuple(terms)))
        attribute = self._branch.bindings.singles["userName"].attribute
        begins = (text.stand_ins(name) for name in names)
        stands_in = [f"({attribute}={dn.escape(beginning)}*)" for beginning in begins]
        return Candidates(dn.any_of((*(() if compiled.nothing else (compiled.filter,)), *stands_in)), Or(tuple(terms)))

    def _read(self, ids: Sequence[ResourceId], want: frozenset[Slot]) -> list[Resource]:
        own = want.difference(self._branch.type.lookups)
        found = self._branch.by_ids(ids, self._attributes(own))
        there = (found[id] for id in ids if id in found)
        contents = [self._branch.content(entry, own) for entry in there if self._branch.has(entry)]
        following = self._references.follow(contents, own)
        pairs = zip(contents, following, strict=True)
        return [self._branch.entries.resource(content, derived, own) for content, derived in pairs]

    def _attributes(self, slots: frozenset[Slot]) -> tuple[str, ...]:
        """Those of the slots, and of the time of retiring."""
        record = self._branch.bindings.record
        named = self._branch.entries.attributes_for(slots)
        return named if record is None else tuple(dict.fromkeys((*named, record.lower())))

    def _resource(self, content: Content, want: frozenset[Slot]) -> Resource:
        return self._branch.entries.resource(content, {}, want)


def _is_unicode(name: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in name)
