"""How much of a directory's work a caller causes, counted on each connection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from backends.ldap.drivers.base import Attributes, Connection, Entry, Found, Modification, Search

_WRITES = ("add", "modify", "rename", "delete", "set_password")


@dataclass(frozen=True, slots=True)
class Counts:
    """Operations sent by kind (the names of Connection's methods, and `connect`), and what searches and post-reads
    returned. A refused operation counts; an attempt that no server accepted does not."""

    operations: Mapping[str, int] = field(default_factory=Counter)
    entries: int = 0
    values: int = 0

    @property
    def total(self) -> int:
        """All operations, without those that connect."""
        return sum(self.operations.values()) - self.operations.get("connect", 0)

    def since(self, earlier: Counts) -> Counts:
        """What was added after `earlier`."""
        operations = Counter(self.operations)
        operations.subtract(earlier.operations)
        return Counts(+operations, self.entries - earlier.entries, self.values - earlier.values)


class Metered(Connection):
    """A connection that counts. Only the thread that has the connection writes the numbers: exact without a lock."""

    def __init__(self, connection: Connection) -> None:
        self.address = connection.address
        # Every kind from the start: the dictionary never changes its size while another thread sums it up.
        self.operations = Counter({"connect": 1, "search": 0, "compare": 0} | dict.fromkeys(_WRITES, 0))
        self.entries = 0
        self.values = 0
        self.writes = 0
        """Operations so far that can have changed the directory."""
        self._connection = connection

    def search(self, search: Search) -> Found:
        """See Connection."""
        self.operations["search"] += 1
        found = self._connection.search(search)
        for entry in found.entries:
            self._read(entry)
        return found

    def compare(self, dn: str, attribute: str, value: bytes) -> bool:
        """See Connection."""
        self.operations["compare"] += 1
        return self._connection.compare(dn, attribute, value)

    def add(self, dn: str, attributes: Attributes, *, read: Sequence[str] = ()) -> Entry | None:
        """See Connection."""
        self._count("add")
        return self._read(self._connection.add(dn, attributes, read=read))

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
        self._count("modify")
        return self._read(self._connection.modify(dn, changes, assertion=assertion, read=read, timeout=timeout))

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
        self._count("rename")
        found = self._connection.rename(dn, rdn, superior=superior, keep_old=keep_old, assertion=assertion, read=read)
        return self._read(found)

    def delete(self, dn: str, *, assertion: str | None = None) -> None:
        """See Connection."""
        self._count("delete")
        self._connection.delete(dn, assertion=assertion)

    def set_password(self, dn: str, password: str) -> None:
        """See Connection."""
        self._count("set_password")
        self._connection.set_password(dn, password)

    def usable(self) -> bool:
        """See Connection."""
        return self._connection.usable()

    def close(self) -> None:
        """See Connection."""
        self._connection.close()

    def _count(self, write: str) -> None:
        self.operations[write] += 1
        self.writes += 1

    def _read(self, entry: Entry | None) -> Entry | None:
        if entry is not None:
            self.entries += 1
            self.values += sum(map(len, entry.attributes.values()))
        return entry
