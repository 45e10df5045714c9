"""Members of groups, read from both sides and asked about; a member is a DN or a name in the directory, an id for
clients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from app.scim.query import Reference, ResourceId
from backends.ldap import dn
from backends.ldap.branch import AT_ONCE, Branch, chunks
from backends.ldap.drivers.base import Entry, Only
from config.directory import GroupBindings, MemberSyntax, UserBindings

_DISPLAY = "displayName"
_SHOWN = frozenset({_DISPLAY})
_RANGE = ";range="


class Members:
    """The relation between the groups and the users of a directory."""

    def __init__(self, groups: Branch, users: Branch) -> None:
        assert isinstance(groups.bindings, GroupBindings)
        assert isinstance(users.bindings, UserBindings)
        self.bindings = groups.bindings
        self._groups = groups
        self._users = users
        self._member_of = users.bindings.member_of if self.bindings.member_syntax is MemberSyntax.DN else None
        self._name = users.bindings.singles["userName"].attribute
        rule = groups.subschema.rule(self.bindings.member)
        # Active Directory names no rules, and ignores case.
        self._exact = rule is not None and rule.equality is not None and not rule.folds_equality
        self._shown = {b: b.entries.attributes_for(_SHOWN) for b in (groups, users)}

    @property
    def by_name(self) -> bool:
        """Whether a member is named by the user's name instead of its DN."""
        return self.bindings.member_syntax is MemberSyntax.NAME

    def value_of(self, user: Entry) -> bytes:
        """The value that makes the user a member; the entry was read with `identity`."""
        if self.by_name:
            return self._users.entries.names.named_first(user).first(self._name.lower()) or b""
        return user.dn.encode()

    @property
    def identity(self) -> tuple[str, ...]:
        """The attributes of a user that `value_of` needs."""
        return (self._name,) if self.by_name else ()

    def values(self, ids: Iterable[ResourceId]) -> dict[ResourceId, bytes]:
        """The member values of those users that there are."""
        return {id: self.value_of(entry) for id, entry in self._users.by_ids(ids, self.identity).items()}

    def key(self, value: bytes) -> str:
        """A text that is equal for two spellings of one member value."""
        name = value.decode("utf-8", "replace")
        if self.by_name:
            return name if self._exact else name.lower()
        return dn.key(name)

    def filter(self, value: bytes) -> str:
        """The filter on groups that have that member."""
        return dn.equality(self.bindings.member, value)

    def is_placeholder(self, value: bytes) -> bool:
        """Whether a member value stands for nobody."""
        return self.bindings.placeholder is not None and self.key(value) == self.key(self.bindings.placeholder.encode())

    def held(self, group: str) -> Iterator[bytes]:
        """Every member value of the group with that DN, the placeholder left out; read in the ranges in which some
        servers give them."""
        name = self.bindings.member.lower()
        wanted = self.bindings.member
        while True:
            entry = self._groups.at(group, (wanted,))
            if entry is None:
                return
            following = None
            for attribute, values in entry.attributes.items():
                base, _, span = attribute.partition(_RANGE)
                if base != name:
                    continue
                yield from (value for value in values if not self.is_placeholder(value))
                if span and not span.endswith("-*"):
                    following = int(span.partition("-")[2]) + 1
            if following is None:
                return
            wanted = f"{self.bindings.member}{_RANGE}{following}-*"

    def of_groups(self, ids: Sequence[ResourceId]) -> Iterator[tuple[ResourceId, Reference]]:
        """The members of each group, a hundred at a time."""
        found = self._groups.by_ids(ids, ())
        for id in dict.fromkeys(ids):
            if id not in found:
                continue
            seen: set[ResourceId] = set()
            for chunk in chunks(self.held(found[id].dn), AT_ONCE):
                for reference in self._users_of(chunk):
                    if reference.id not in seen:
                        seen.add(reference.id)
                        yield id, reference

    def of_users(self, ids: Sequence[ResourceId]) -> Iterator[tuple[ResourceId, Reference]]:
        """The groups of each user: by what the server keeps on the users where it does, else by a search for a hundred
        of them, or for each where the server can't tell which of them it has found."""
        if self._member_of is not None:
            yield from self._by_what_users_keep(ids, self._member_of)
            return
        values = {} if self.by_name else {id: n.encode() for id, n in self._users.recent.names(ids).items()}
        values.update(self.values(id for id in ids if id not in values))
        if self._groups.tells_values and len(values) > 1:
            yield from self._by_values(values)
            return
        for id in dict.fromkeys(ids):
            if id in values:
                yield from ((id, reference) for reference in self.groups_of(values[id]))

    def _by_values(self, values: Mapping[ResourceId, bytes]) -> Iterator[tuple[ResourceId, Reference]]:
        name = self.bindings.member.lower()
        for chunk in chunks(values.items(), AT_ONCE):
            ids = {value: id for id, value in chunk}
            by_key: dict[str, ResourceId] = {}
            found: dict[ResourceId, list[Reference]] = {id: [] for id, _ in chunk}
            only = Only(self.bindings.member, tuple(ids))
            for group in self._groups.few_with(only, self._shown[self._groups]):
                reference = self._reference(self._groups, group)
                for value in group.attributes.get(name, ()):
                    id = ids.get(value)
                    if id is None:
                        by_key = by_key or {self.key(value): id for value, id in ids.items()}
                        id = by_key.get(self.key(value))
                    if id is not None:
                        found[id].append(reference)
            yield from ((id, reference) for id, references in found.items() for reference in references)

    def _by_what_users_keep(self, ids: Sequence[ResourceId], attribute: str) -> Iterator[tuple[ResourceId, Reference]]:
        found = self._users.by_ids(ids, (attribute,))
        named = {id: [v.decode() for v in entry.attributes.get(attribute.lower(), ())] for id, entry in found.items()}
        groups = self._groups.by_dns((d for dns in named.values() for d in dns), self._shown[self._groups])
        for id in dict.fromkeys(ids):
            for group in sorted({dn.key(d) for d in named.get(id, ())} & groups.keys()):
                yield id, self._reference(self._groups, groups[group])

    def groups_of(self, value: bytes) -> list[Reference]:
        """The groups that have that member value, in one operation."""
        found = self._groups.few(self.filter(value), self._shown[self._groups])
        return [self._reference(self._groups, entry) for entry in found]

    def entries_with(self, value: bytes) -> tuple[Entry, ...]:
        """The entries of the groups that have that member value, with nothing but their ids."""
        return self.entries_with_one_of((value,))

    def entries_with_one_of(self, values: Iterable[bytes]) -> tuple[Entry, ...]:
        """The entries of the groups that have one of those member values, with nothing but their ids."""
        return self._groups.few(dn.any_of(map(self.filter, values)), self._groups.entries.stamps)

    def of_these_users(self, ids: Sequence[ResourceId]) -> list[str]:
        """Filters on groups, one for each of these users that is a member."""
        return [self.filter(value) for value in self.values(ids).values()]

    def in_these_groups(self, ids: Sequence[ResourceId], most: int) -> list[str] | None:
        """Filters on users, which together find those in one of these groups; None when they would be more than a
        number because the server keeps no such attribute on users."""
        groups = self._groups.by_ids(ids, ())
        if self._member_of is not None:
            return [dn.equality(self._member_of, group.dn) for group in groups.values()]
        name = self._name if self.by_name else self._users.server.dn_attribute
        found: dict[str, str] = {}
        for group in groups.values():
            for value in self.held(group.dn):
                found[self.key(value)] = dn.equality(name, value)
                if len(found) > most:
                    return None
        return list(found.values())

    def _users_of(self, values: Sequence[bytes]) -> list[Reference]:
        shown = self._shown[self._users]
        if self.by_name:
            filter = dn.any_of(dn.equality(self._name, value) for value in values)
            entries = {self.key(self.value_of(e)): e for e in self._users.few(filter, (*shown, self._name))}
        else:
            entries = self._users.by_dns((value.decode("utf-8", "replace") for value in values), shown)
        keys = (self.key(value) for value in values)
        return [self._reference(self._users, entries[key]) for key in keys if key in entries]

    def _reference(self, branch: Branch, entry: Entry) -> Reference:
        content = branch.content(entry, _SHOWN)
        return Reference(content.id, branch.type.name, content.values.get(_DISPLAY))
