"""Changes of membership: by adding and deleting values, never by reading the members or writing all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.scim.query import Delta, ResourceId
from backends.errors import UnknownReference
from backends.ldap.branch import Branch, chunks
from backends.ldap.drivers.base import Modification, Operation
from backends.ldap.members import Members

RELATION = "members"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Member values that are to be there and not to be there afterwards; `replace` when nobody else is to be."""

    add: tuple[bytes, ...] = ()
    remove: tuple[bytes, ...] = ()
    replace: bool = False

    @property
    def empty(self) -> bool:
        return not (self.add or self.remove or self.replace)


class Membership:
    """Makes the modifications of a group's members."""

    def __init__(self, groups: Branch, members: Members) -> None:
        self._groups = groups
        self._members = members
        self.attribute = members.bindings.member.lower()
        placeholder = members.bindings.placeholder
        self._placeholder = (placeholder.encode(),) if placeholder else ()

    def initial(self, ids: Sequence[ResourceId]) -> tuple[bytes, ...]:
        """The member values of a new group, with the placeholder. Raises UnknownReference."""
        return (*self._placeholder, *self._known(ids).values())

    def wanted(self, group: str, delta: Delta) -> Wanted:
        """What a delta asks for. Raises UnknownReference. The members are read only where all are to go."""
        ids = tuple(dict.fromkeys((*delta.add, *delta.remove)))
        known = self._members.values(ids) if ids else {}
        add = self._checked(delta.add, known)
        if not delta.clear:
            gone = dict.fromkeys(known[id] for id in delta.remove if id in known)
            return Wanted(add, tuple(value for value in gone if value not in add))
        kept = {self._members.key(value) for value in add}
        held = {self._members.key(value): value for value in self._members.held(group)}
        new = tuple(value for value in add if self._members.key(value) not in held)
        gone_now = tuple(value for key, value in held.items() if key not in kept)
        everyone = len(gone_now) == len(held) and bool(held)
        return Wanted(new, gone_now, replace=everyone)

    def needed(self, group: str, wanted: Wanted) -> Wanted:
        """The part of it that is not so already, by asking the directory about each member."""
        if wanted.replace:
            return wanted
        return Wanted(
            tuple(value for value in wanted.add if not self._is_member(group, value)),
            tuple(value for value in wanted.remove if self._is_member(group, value)),
        )

    def modifications(self, wanted: Wanted, *, placeholder: bool = False) -> Iterator[list[Modification]]:
        """The modifications, in pieces that the server takes at once; with `placeholder` the last one also adds
        that."""
        if wanted.replace and len(wanted.add) <= self._members.bindings.pieces:
            values = (*self._placeholder, *wanted.add)
            yield [Modification(Operation.REPLACE, self.attribute, values)]
            return
        size = self._members.bindings.pieces
        added = [Modification(Operation.ADD, self.attribute, tuple(part)) for part in chunks(wanted.add, size)]
        removed = [Modification(Operation.DELETE, self.attribute, tuple(part)) for part in chunks(wanted.remove, size)]
        if placeholder:
            added.insert(0, self.placeholder)
        if len(wanted.add) + len(wanted.remove) <= size:
            yield [*added, *removed]
            return
        yield from ([one] for one in (*added, *removed))

    @property
    def placeholder(self) -> Modification:
        """The modification that adds the placeholder."""
        return Modification(Operation.ADD, self.attribute, self._placeholder)

    @property
    def needs_placeholder(self) -> bool:
        """Whether a group may not be without members."""
        return bool(self._placeholder)

    def _known(self, ids: Sequence[ResourceId]) -> Mapping[ResourceId, bytes]:
        wanted = tuple(dict.fromkeys(ids))
        known = self._members.values(wanted) if wanted else {}
        self._checked(wanted, known)
        return {id: known[id] for id in wanted}

    def _checked(self, ids: Sequence[ResourceId], known: Mapping[ResourceId, bytes]) -> tuple[bytes, ...]:
        unknown = [id for id in dict.fromkeys(ids) if id not in known]
        if unknown:
            raise UnknownReference(RELATION, unknown)
        return tuple(dict.fromkeys(known[id] for id in ids))

    def _is_member(self, group: str, value: bytes) -> bool:
        # Not by a compare: Samba makes a filter of the value without escaping it.
        return self._groups.holds(group, self._members.filter(value))
