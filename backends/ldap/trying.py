"""A trial: the directory is read, and what would be written to it is kept in memory and as LDIF."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from backends.ldap import dn, faults, ldif
from backends.ldap.drivers.base import (
    Attributes,
    Connection,
    Entry,
    Found,
    LdapError,
    Modification,
    Operation,
    Scope,
    Search,
)
from backends.ldap.matching import holds, same, without
from backends.ldap.servers import Server
from config.directory import Kind

_EVERYTHING = ("*", "+")


@dataclass(slots=True)
class Tape:
    """What was written in a trial: entries as they are then by `dn.key`, None for one that is gone, and the lines of
    LDIF. `server` is the kind of directory, `versions` the attributes that tell versions, and `references` those that
    hold DNs, each with the base of the entries that have it: the server lets them follow when an entry is renamed."""

    server: Server
    versions: tuple[str, ...]
    references: tuple[tuple[str, str], ...] = ()
    entries: dict[str, Entry | None] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    writes: int = 0

    def taken(self) -> list[str]:
        """The lines since it was called last."""
        lines, self.lines = self.lines, []
        return lines

    def keep(self, entry: Entry, *, new: bool = False) -> Entry:
        """The entry as it is after a write, with what a server would have set; id, times and version are made up."""
        self.writes += 1
        now = datetime.now(UTC).strftime("%Y%m%d%H%M%S") + self.server.fraction + "Z"
        made_up: dict[str, Sequence[bytes]] = {
            self.server.modified: (now.encode(),),
            self.server.dn_attribute.lower(): (entry.dn.encode(),),
            **{name: (f"{10**15 + self.writes}".encode(),) for name in self.versions},
        }
        if new:
            made_up |= {self.server.id: (_new_id(self.server.kind),), self.server.created: (now.encode(),)}
        if self.server.kind is Kind.ACTIVE_DIRECTORY:
            made_up["objectcategory"] = (_category(entry),)
        kept = Entry(entry.dn, {**entry.attributes, **made_up})
        self.entries[dn.key(entry.dn)] = kept
        return kept


class Trying(Connection):
    """A connection that sends no write: reads find what was written in the trial. What a server keeps by itself is not
    found but for references to entries that were renamed: `memberOf` is as it was before the trial."""

    def __init__(self, real: Connection, tape: Tape) -> None:
        self.address = real.address
        self._real = real
        self._tape = tape

    def search(self, search: Search) -> Found:
        """See Connection."""
        try:
            found = self._real.search(search)
        except LdapError as error:
            if error.code != faults.NO_SUCH_OBJECT or self._tape.entries.get(dn.key(search.base)) is None:
                raise
            found = Found(())
        entries = [entry for entry in found.entries if dn.key(entry.dn) not in self._tape.entries]
        if not search.cookie:
            written = (entry for entry in self._tape.entries.values() if entry is not None)
            entries += [
                _shown(e, search) for e in written if _in_scope(e, search) and holds(search.filter, e.attributes)
            ]
        return replace(found, entries=tuple(entries))

    def compare(self, dn: str, attribute: str, value: bytes) -> bool:
        """See Connection."""
        return any(same(held, value) for held in self._entry(dn).attributes.get(attribute.lower(), ()))

    def add(self, dn: str, attributes: Attributes, *, read: Sequence[str] = ()) -> Entry | None:
        """See Connection."""
        if self._find(dn) is not None:
            raise LdapError(faults.ALREADY_EXISTS)
        self._tape.lines += ldif.addition(dn, attributes)
        given = {name.lower(): tuple(values) for name, values in attributes.items()}
        return _read(self._tape.keep(Entry(dn, given), new=True), read)

    def modify(
        self,
        dn: str,
        changes: Sequence[Modification],
        *,
        assertion: str | None = None,
        read: Sequence[str] = (),
        timeout: float | None = None,
    ) -> Entry | None:
        """See Connection."""
        entry = self._entry(dn, assertion)
        attributes = _changed(entry.attributes, changes)
        self._tape.lines += ldif.modification(dn, changes)
        return _read(self._tape.keep(Entry(entry.dn, attributes)), read)

    def rename(
        self,
        dn: str,
        rdn: str,
        *,
        superior: str | None = None,
        keep_old: bool = False,
        assertion: str | None = None,
        read: Sequence[str] = (),
    ) -> Entry | None:
        """See Connection."""
        entry = self._entry(dn, assertion)
        name = _child(rdn, superior, dn)
        if not _same_entry(name, dn) and self._find(name) is not None:
            raise LdapError(faults.ALREADY_EXISTS)
        self._tape.lines += ldif.renaming(dn, rdn, superior, keep_old=keep_old)
        self._forget(dn)
        self._follow(dn, name)
        return _read(self._tape.keep(Entry(name, _renamed(entry, rdn, keep_old=keep_old))), read)

    def delete(self, dn: str, *, assertion: str | None = None) -> None:
        """See Connection."""
        self._entry(dn, assertion)
        self._tape.lines += ldif.deletion(dn)
        self._forget(dn)

    def set_password(self, dn: str, password: str) -> None:
        """See Connection."""
        self._tape.keep(self._entry(dn))
        self._tape.lines += [f"# a password is set for {dn} (RFC 3062)", ""]

    def usable(self) -> bool:
        """See Connection."""
        return self._real.usable()

    def close(self) -> None:
        """See Connection."""
        self._real.close()

    def _forget(self, name: str) -> None:
        self._tape.entries[dn.key(name)] = None

    def _follow(self, old: str, new: str) -> None:
        """What refers to an entry that is renamed does so under its new name."""
        for base, attribute in self._tape.references:
            search = Search(base, Scope.SUBTREE, dn.equality(attribute, old), ("1.1",))
            for found in self.search(search).entries:
                entry, name = self._entry(found.dn), attribute.lower()
                values = (*without(entry.attributes.get(name, ()), (old.encode(),)), new.encode())
                self._tape.keep(Entry(entry.dn, {**entry.attributes, name: values}))

    def _find(self, name: str) -> Entry | None:
        if dn.key(name) in self._tape.entries:
            return self._tape.entries[dn.key(name)]
        server = self._tape.server
        # What is operational is told by name only, by some servers.
        named = (server.id, server.created, server.modified, server.dn_attribute, *self._tape.versions)
        try:
            search = Search(name, Scope.BASE, "(objectClass=*)", (*_EVERYTHING, *named))
            return next(iter(self._real.search(search).entries), None)
        except LdapError as error:
            if error.code != faults.NO_SUCH_OBJECT:
                raise
            return None

    def _entry(self, name: str, assertion: str | None = None) -> Entry:
        entry = self._find(name)
        if entry is None:
            raise LdapError(faults.NO_SUCH_OBJECT)
        if assertion is not None and not holds(assertion, entry.attributes):
            raise LdapError(faults.ASSERTION_FAILED)
        return entry


def _changed(attributes: Attributes, changes: Sequence[Modification]) -> Mapping[str, Sequence[bytes]]:
    changed = {name: tuple(values) for name, values in attributes.items()}
    for change in changes:
        name = change.attribute.lower()
        held = changed.pop(name, ())
        if change.operation is Operation.ADD:
            if len(without(held, change.values)) != len(held):
                raise LdapError(faults.VALUE_EXISTS)
            after = (*held, *change.values)
        elif change.operation is Operation.DELETE:
            after = without(held, change.values) if change.values else ()
            if len(held) - len(after) < max(len(change.values), 1):
                raise LdapError(faults.NO_SUCH_ATTRIBUTE)
        else:
            after = change.values
        if after:
            changed[name] = after
    return changed


def _renamed(entry: Entry, rdn: str, *, keep_old: bool) -> Attributes:
    attributes = {name: tuple(values) for name, values in entry.attributes.items()}
    for ava in () if keep_old else dn.avas(dn.split(entry.dn)[0]):
        name, value = _named(ava)
        attributes[name] = without(attributes.get(name, ()), (value,))
    for ava in dn.avas(rdn):
        name, value = _named(ava)
        attributes[name] = (*without(attributes.get(name, ()), (value,)), value)
    return {name: values for name, values in attributes.items() if values}


def _named(ava: str) -> tuple[str, bytes]:
    return dn.attribute_of(ava).lower(), dn.value_of(ava).encode()


def _child(rdn: str, superior: str | None, name: str) -> str:
    return dn.child(rdn, superior if superior is not None else dn.split(name)[1])


def _same_entry(one: str, other: str) -> bool:
    return dn.key(one) == dn.key(other)


def _in_scope(entry: Entry, search: Search) -> bool:
    own, base = dn.key(entry.dn), dn.key(search.base)
    match search.scope:
        case Scope.BASE:
            return own == base
        case Scope.ONE:
            return dn.key(dn.split(entry.dn)[1]) == base
        case Scope.SUBTREE:
            return own == base or own.endswith(f"\0{base}") or not base


def _shown(entry: Entry, search: Search) -> Entry:
    shown = _read(entry, search.attributes) or Entry(entry.dn, {})
    if search.only is None:
        return shown
    name = search.only.attribute.lower()
    held = entry.attributes.get(name, ())
    some = tuple(value for value in held if any(same(value, one) for one in search.only.values))
    return Entry(entry.dn, {**shown.attributes, name: some} if some else shown.attributes)


def _read(entry: Entry, names: Sequence[str]) -> Entry | None:
    """The entry with the attributes of these names; None where none was asked for."""
    if not names:
        return None
    wanted = {name.lower() for name in names}
    if wanted & {"*", "+"}:
        return entry
    return Entry(entry.dn, {name: values for name, values in entry.attributes.items() if name in wanted})


def _category(entry: Entry) -> bytes:
    """What filters on objectCategory take for the DN that it holds: the name of the class that it follows from."""
    held = entry.first("objectcategory")
    if held is not None:
        return dn.value_of(dn.split(held.decode("utf-8", "replace"))[0]).encode() if b"=" in held else held
    classes = {name.lower() for name in entry.attributes.get("objectclass", ())}
    return b"person" if b"person" in classes else b"group"


def _new_id(kind: Kind) -> bytes:
    made = uuid.uuid4()
    if kind is Kind.ACTIVE_DIRECTORY:
        return made.bytes_le
    if kind is Kind.DS389:
        return "-".join(made.hex[start : start + 8] for start in range(0, 32, 8)).encode()
    return str(made).encode()
