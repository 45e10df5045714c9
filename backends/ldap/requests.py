"""The write requests of one resource type, and what an answer to one is worth."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from backends.errors import NotFound
from backends.ldap import dn, faults
from backends.ldap.branch import NOTHING, Branch
from backends.ldap.drivers.base import Attributes, Connection, Entry, LdapError, Modification, Operation
from config.directory import Kind


class Requests:
    """Sends writes; each returns the entry as it is afterwards, as far as the server tells it (RFC 4527)."""

    def __init__(self, branch: Branch) -> None:
        self._branch = branch

    def add(self, name: str, attributes: Attributes) -> Entry:
        """Afterwards the entry exists."""
        found = self._branch.directory.run(
            partial(_add, name=name, attributes=attributes, read=self._read_back), idempotent=False
        )
        return found if found is not None else Entry(name, {})

    def modify(self, name: str, changes: Sequence[Modification], assertion: str | None = None) -> Entry:
        """Afterwards all changes are made, or none."""
        found = self._branch.directory.run(
            partial(_modify, name=name, changes=changes, assertion=assertion, read=self._read_back), idempotent=False
        )
        return found if found is not None else Entry(name, {})

    def rename(self, name: str, rdn: str) -> Entry:
        """Afterwards the entry has the new RDN, without the values of the old one and with the other values of its
        attributes. 389 Directory Server fails to take away an old RDN that has escapes in it (operationsError): there
        the old values are taken away afterwards."""
        renamed = dn.child(rdn, dn.split(name)[1])
        call = partial(_rename, name=name, rdn=rdn, read=self._read_back)
        try:
            found = self._branch.directory.run(call, idempotent=False)
        except LdapError as error:
            if error.code != faults.OPERATIONS_ERROR or "\\" not in dn.split(name)[0]:
                raise
            self._branch.directory.run(partial(call, keep_old=True), idempotent=False)
            changes = self._without_old(renamed, dn.split(name)[0], rdn)
            return self.modify(renamed, changes) if changes else Entry(renamed, {})
        return found if found is not None else Entry(renamed, {})

    def _without_old(self, renamed: str, old: str, new: str) -> list[Modification]:
        """What takes the values of the old RDN out of an entry that has the new one and has kept them."""
        present = {dn.attribute_of(ava).lower(): dn.value_of(ava).encode() for ava in dn.avas(new)}
        gone = [ava for ava in dn.avas(old) if ava not in dn.avas(new)]
        entry = self._branch.at(renamed, [dn.attribute_of(ava) for ava in gone])
        attributes: Attributes = {} if entry is None else entry.attributes
        changes = []
        for ava in gone:
            attribute = dn.attribute_of(ava)
            held = attributes.get(attribute.lower(), ())
            first = [present[attribute.lower()]] if attribute.lower() in present else []
            # By key: of two spellings of one value the entry has one, which may be the old.
            taken = {dn.key(ava), *(dn.key(dn.rdn(attribute, value.decode())) for value in first)}
            kept = (v for v in held if dn.key(dn.rdn(attribute, v.decode("utf-8", "replace"))) not in taken)
            changes.append(Modification(Operation.REPLACE, attribute, (*first, *kept)))
        return changes

    def move(self, name: str, rdn: str, superior: str, *, keep_old: bool = False) -> Entry:
        """Afterwards the entry has that RDN and is below `superior`, with the value of its old RDN if `keep_old`."""
        moved = dn.child(rdn, superior)
        # An RDN that stays is not to be taken out. Active Directory takes no request that keeps one.
        same = dn.key(rdn) == dn.key(dn.split(name)[0])
        keep_old = (keep_old or same) and self._branch.server.kind is not Kind.ACTIVE_DIRECTORY
        found = self._branch.directory.run(
            partial(_rename, name=name, rdn=rdn, read=self._read_back, keep_old=keep_old, superior=superior),
            idempotent=False,
        )
        return found if found is not None else Entry(moved, {})

    def delete(self, name: str, assertion: str | None = None) -> None:
        """Afterwards there is no such entry."""
        self._branch.directory.run(partial(_delete, name=name, assertion=assertion), idempotent=False)

    def set_password(self, name: str, password: str) -> None:
        """Afterwards the account has the password, by the Password Modify operation (RFC 3062)."""
        self._branch.directory.run(partial(_set_password, name=name, password=password), idempotent=False)

    def complete(self, entry: Entry) -> Entry:
        """The whole entry after a write: what the write returned, or what is read now. Raises NotFound."""
        if entry.first(self._branch.server.id) is not None:
            return entry
        found = self._branch.at(entry.dn, self._branch.entries.everything)
        if found is None:
            raise NotFound
        return found

    def explained(self, error: LdapError, name: str) -> LdapError:
        """The error, or noSuchObject: some servers say of an entry that is gone that it may not be written."""
        if error.code == faults.NO_ACCESS and self._branch.at(name, NOTHING) is None:
            return LdapError(faults.NO_SUCH_OBJECT, error.message)
        return error

    @property
    def _read_back(self) -> tuple[str, ...]:
        return self._branch.entries.everything if self._branch.server.post_read else ()


def _add(connection: Connection, name: str, attributes: Attributes, read: Sequence[str]) -> Entry | None:
    return connection.add(name, attributes, read=read)


def _modify(
    connection: Connection, name: str, changes: Sequence[Modification], assertion: str | None, read: Sequence[str]
) -> Entry | None:
    return connection.modify(name, changes, assertion=assertion, read=read)


def _rename(
    connection: Connection,
    name: str,
    rdn: str,
    read: Sequence[str],
    keep_old: bool = False,
    superior: str | None = None,
) -> Entry | None:
    return connection.rename(name, rdn, superior=superior, keep_old=keep_old, read=read)


def _delete(connection: Connection, name: str, assertion: str | None) -> None:
    connection.delete(name, assertion=assertion)


def _set_password(connection: Connection, name: str, password: str) -> None:
    connection.set_password(name, password)
