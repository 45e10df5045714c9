"""The contract of `backends.base` on an LDAP directory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock as ThreadLock

from app.scim.filter.nodes import Bound
from app.scim.query import (
    Change,
    Draft,
    Page,
    Query,
    Reference,
    Resource,
    ResourceId,
    Slot,
    Stamp,
    Value,
    Version,
    Window,
)
from app.scim.registry import Registry
from backends.base import FIRST_PAGE, Backend, Capability, Finding, Trial
from backends.errors import StoreError
from backends.ldap import dn, subtrees
from backends.ldap.bindings_check import check_against_subschema
from backends.ldap.branch import Branch
from backends.ldap.checking import examine, reach, unusable
from backends.ldap.drivers.base import (
    Access,
    Address,
    Connection,
    ConnectionLost,
    LdapError,
    Modification,
    Operation,
    Scope,
    Search,
)
from backends.ldap.entries import CONTENT, Content
from backends.ldap.faults import translated
from backends.ldap.filters import Compiler
from backends.ldap.followers import Followers
from backends.ldap.members import Members
from backends.ldap.membership import Membership
from backends.ldap.modifying import Modifying
from backends.ldap.planning import Planning
from backends.ldap.pool import Directory
from backends.ldap.references import References
from backends.ldap.relations import Relations
from backends.ldap.retired import RetiredBranch, Shelf
from backends.ldap.retiring import Kinds, Retiring
from backends.ldap.searching import Searching
from backends.ldap.served import served
from backends.ldap.servers import SERVERS
from backends.ldap.subschema import Subschema
from backends.ldap.trying import Tape, Trying
from backends.ldap.writing import Writer
from config.directory import Bindings, Lock
from config.errors import ConfigError

USER, GROUP = "User", "Group"
_TRIED_BY = 8
"""Connections of a trial; one thread has several where it reads while it reads."""


@dataclass(frozen=True, slots=True)
class _Opened:
    """Everything that follows from the bindings and the directory's own schema."""

    subschema: Subschema
    branches: dict[str, Branch]
    references: dict[str, References]
    searching: dict[str, Searching]
    modifying: dict[str, Modifying]
    writers: dict[str, Writer]
    members: Members
    shelf: Shelf | None = None
    retiring: Retiring | None = None


class LdapBackend(Backend):
    """Users and groups in the directory of `bindings`, reached through `directory`.

    `candidates` is the most entries that one search may test one by one, `page_size` the entries that are read at a
    time. Nothing is asked of the directory before the first call, so that it may be constructed before a fork.
    """

    capabilities = (
        Capability.SORT
        | Capability.ATOMIC_EXPECT
        | Capability.ATOMIC_UNIQUENESS
        | Capability.EMPTY_RELATION
        | Capability.KEEPS_READ
        | Capability.SUBTREES
    )

    def __init__(
        self,
        directory: Directory,
        bindings: Bindings,
        registry: Registry,
        *,
        candidates: int = 10_000,
        page_size: int = 500,
    ) -> None:
        self.directory = directory
        self.bindings = bindings
        self.registry = served(registry, bindings)
        self._candidates = candidates
        self._page_size = page_size
        self._lock = ThreadLock()
        self._state: _Opened | None = None
        if bindings.users.retired is not None and bindings.users.lock is not Lock.NONE:
            self.capabilities |= Capability.RETIRE
        if bindings.users.record is not None:
            self.capabilities |= Capability.MARKS_RETIRED

    def check(self) -> None:
        with self._step() as opened:
            found = check_against_subschema(self.bindings, opened.subschema)
            for table, kind in (("users", USER), ("groups", GROUP)):
                branch = opened.branches[kind]
                if branch.at(branch.bindings.base, ("1.1",)) is None:
                    message = f"there is no entry {branch.bindings.base}, or the service account may not read it"
                    found.append(self.bindings.fault((table, "base"), message))
            retired = self.bindings.users.retired
            if retired is not None and opened.branches[USER].at(retired, ("1.1",)) is None:
                message = f"there is no entry {retired}, or the service account may not read it"
                found.append(self.bindings.fault(("users", "retired"), message))
        if found:
            raise ConfigError(found)

    def findings(self, *, write: bool) -> Iterator[Finding]:
        usable = False
        for finding, signed_in in reach(self.directory, self.bindings):
            usable = usable or signed_in
            yield finding
        if not usable:
            return
        try:
            branches = self._opened().branches
            yield from examine(self, self.directory, self.bindings, branches, self._page_size, write=write)
        except (StoreError, LdapError, ConnectionLost) as error:
            yield unusable(error)

    def close(self) -> None:
        self.directory.close()

    def together(self, *, changes: bool = False) -> AbstractContextManager[object]:
        del changes
        return self.directory.pinned()

    @contextmanager
    def trial(self) -> Iterator[Trial]:
        bindings = (self.bindings.users, self.bindings.groups)
        versions = tuple({b.version.lower() for b in bindings if b.version != CONTENT})
        tape, real = Tape(SERVERS[self.bindings.kind], versions, self._referring()), self.directory

        def connect(address: Address, access: Access) -> Connection:
            return Trying(real.connect(address, access), tape)

        tried = LdapBackend(
            Directory(real.addresses, real.access, connect, size=_TRIED_BY),
            self.bindings,
            self.registry,
            candidates=self._candidates,
            page_size=self._page_size,
        )
        with closing(tried):
            yield Trial(tried, "ldif", tape.taken)

    def _referring(self) -> tuple[tuple[str, str], ...]:
        """The attributes that hold DNs, after the bases of the entries that have them."""
        users, groups = self.bindings.users, self.bindings.groups
        vias = {lookup.via for lookup in self.registry.type(USER).lookups.values()}
        managers = [(users.base, users.singles[via].attribute) for via in vias if via in users.singles]
        return (*managers, (groups.base, groups.member))

    def get(self, kind: str, id: ResourceId, want: frozenset[Slot]) -> Resource:
        with self._step() as opened:
            branch = opened.branches[kind]
            content = branch.content(branch.by_id(id, branch.entries.everything))
            branch.recent.remember(content)
            branch.recent.name((content,))
            following = opened.references[kind].follow([content], want)[0]
            return branch.entries.resource(content, following, want)

    def search(self, kind: str, query: Query) -> Page:
        with self._step() as opened:
            return opened.searching[kind].search(query)

    def create(self, kind: str, draft: Draft) -> Resource:
        with self._step() as opened:
            return opened.writers[kind].create(draft)

    def update(self, kind: str, id: ResourceId, change: Change, *, expect: Version | None = None) -> Stamp:
        with self._step() as opened:
            return opened.writers[kind].update(id, change, expect)

    def delete(self, kind: str, id: ResourceId, *, expect: Version | None = None) -> None:
        with self._step() as opened:
            leave = partial(self._leave, opened) if kind == USER else _leave_nothing
            opened.writers[kind].delete(id, expect, leave)

    def retire(self, kind: str, id: ResourceId, *, expect: Version | None = None) -> None:
        with self._step() as opened:
            self._retiring(opened, kind).retire(id, expect)

    def retired(
        self, kind: str, want: frozenset[Slot], names: Sequence[str] | None = None, window: Window = FIRST_PAGE
    ) -> Page:
        with self._step() as opened:
            if opened.shelf is None or kind != USER:
                raise NotImplementedError
            return opened.shelf.page(want, names, window)

    def restore(self, kind: str, id: ResourceId, change: Change) -> Resource:
        with self._step() as opened:
            content = self._retiring(opened, kind).restore(id, change)
            want = opened.branches[USER].type.readable
            following = opened.references[USER].follow([content], want)[0]
            return opened.branches[USER].entries.resource(content, following, want)

    def purge(self, kind: str, id: ResourceId) -> None:
        with self._step() as opened:
            self._retiring(opened, kind).purge(id)

    def related(self, kind: str, ids: Sequence[ResourceId], relation: str) -> Iterator[tuple[ResourceId, Reference]]:
        with translated():
            members = self._opened().members
            yield from members.of_groups(ids) if kind == GROUP else members.of_users(ids)

    def within(self, kind: str, ids: Sequence[ResourceId], bases: Sequence[str]) -> frozenset[ResourceId]:
        with self._step() as opened:
            return subtrees.within(opened.branches[kind], ids, bases)

    def may_land_within(self, kind: str, values: Mapping[Slot, Value], bases: Sequence[str]) -> bool:
        bindings = self.bindings.users if kind == USER else self.bindings.groups
        return subtrees.may_land_within(bindings, values, bases)

    def lands_within(self, kind: str, values: Mapping[Slot, Value], bases: Sequence[str]) -> bool:
        with self._step() as opened:
            return subtrees.lands_within(opened.branches[kind], values, bases)

    def subtree_fault(self, base: str) -> str | None:
        with self._step() as opened:
            return subtrees.fault([opened.branches[USER], opened.branches[GROUP]], base)

    @contextmanager
    def _step(self) -> Iterator[_Opened]:
        """One call of the contract: on one server from its first operation to its last."""
        with translated(), ExitStack() as stack:
            stack.enter_context(self.directory.pinned())
            yield self._opened()

    def _opened(self) -> _Opened:
        with self._lock:
            if self._state is None:
                self._state = self._open(*self._described())
            return self._state

    def _open(self, subschema: Subschema, controls: frozenset[str]) -> _Opened:
        server = SERVERS[self.bindings.kind]
        bindings = {USER: self.bindings.users, GROUP: self.bindings.groups}
        branches = {
            type.name: Branch(self.directory, type, bindings[type.name], server, subschema, self._page_size, controls)
            for type in self.registry.types
        }
        members = Members(branches[GROUP], branches[USER])
        searching: dict[str, Searching] = {}

        def dn_of(kind: str, id: ResourceId) -> str | None:
            entry = branches[kind].by_ids([id], ()).get(id)
            return None if entry is None else entry.dn

        def far_ends(kind: str, filter: Bound, most: int) -> list[ResourceId] | None:
            page = searching[kind].search(Query(frozenset(), filter, window=Window(1, most + 1)))
            return None if page.total > most else [item.id for item in page.items]

        relations = Relations({type.name: type for type in self.registry.types}, members, far_ends)
        references = {kind: References(branch.type, branches) for kind, branch in branches.items()}
        compilers = {
            kind: Compiler(branch.entries, subschema, dn_of, relations.filter, branch.bindings.held)
            for kind, branch in branches.items()
        }
        searching.update(
            (kind, Searching(branch, compilers[kind], references[kind], members, self._candidates))
            for kind, branch in branches.items()
        )
        memberships = {GROUP: Membership(branches[GROUP], members)}
        plannings = {
            kind: Planning(branch, compilers[kind], references[kind], dn_of) for kind, branch in branches.items()
        }
        modifying = {
            kind: Modifying(branch, plannings[kind], memberships.get(kind)) for kind, branch in branches.items()
        }
        writers = {
            kind: Writer(branch, plannings[kind], modifying[kind], memberships.get(kind))
            for kind, branch in branches.items()
        }
        followers = Followers(branches[USER], members, modifying[GROUP].touch, writers[USER].refer)
        modifying[USER].renamed = followers.follow
        opened = _Opened(subschema, branches, references, searching, modifying, writers, members)
        retired_base = self.bindings.users.retired
        if retired_base is None or Capability.RETIRE not in self.capabilities:
            return opened
        there = replace(self.bindings.users, base=retired_base, placement=())
        users = branches[USER]
        retired = RetiredBranch(self.directory, users.type, there, server, subschema, self._page_size, controls)
        compiler = Compiler(retired.entries, subschema, dn_of, relations.filter, there.held)
        leave = partial(self._leave, opened)
        kinds = Kinds(
            users,
            retired,
            plannings[USER],
            references[USER],
            dn_of,
            members,
            writers[USER],
            modifying[USER],
            modifying[GROUP],
            leave,
        )
        return replace(opened, shelf=Shelf(retired, compiler, references[USER]), retiring=Retiring(kinds))

    @staticmethod
    def _retiring(opened: _Opened, kind: str) -> Retiring:
        if opened.retiring is None or kind != USER:
            raise NotImplementedError
        return opened.retiring

    def _described(self) -> tuple[Subschema, frozenset[str]]:
        """The directory's own schema, and the controls that it serves."""
        root = self._one("", ("subschemaSubentry", "supportedControl"))
        wanted = ("attributeTypes", "objectClasses", "dITContentRules")
        entry = self._one(root["subschemasubentry"][0].decode(), wanted)
        types, classes, rules = (entry.get(name.lower(), ()) for name in wanted)
        controls = frozenset(oid.decode() for oid in root.get("supportedcontrol", ()))
        return Subschema.parse(types, classes, rules), controls

    def _one(self, name: str, attributes: tuple[str, ...]) -> dict[str, Sequence[bytes]]:
        def read(connection: Connection) -> dict[str, Sequence[bytes]]:
            found = connection.search(Search(name, Scope.BASE, "(objectClass=*)", attributes))
            return dict(found.entries[0].attributes)

        return self.directory.run(read, idempotent=True)

    def _leave(self, opened: _Opened, content: Content) -> Callable[[], None]:
        """Take a user out of its groups and away from whom it manages; gives what puts it back. Nothing is changed when
        it fails."""
        members, groups, users = opened.members, opened.modifying[GROUP], opened.writers[USER]
        value = members.value_of(content.entry)
        attribute = members.bindings.member
        left: list[Callable[[], None]] = []

        def put_back() -> None:
            for back in left:
                with suppress(LdapError, StoreError):
                    back()

        try:
            for group in members.entries_with(value):
                touched = groups.touch(group, [Modification(Operation.DELETE, attribute, (value,))])
                left.append(partial(groups.put_back, group, touched))
            branch = opened.branches[USER]
            for via, name in branch.entries.references.items():
                for entry in branch.few(dn.equality(name, content.dn), branch.entries.everything):
                    if dn.key(entry.dn) == dn.key(content.dn):
                        continue
                    users.refer(entry, via, None)
                    left.append(partial(users.refer, entry, via, content.id))
        except (LdapError, StoreError):
            put_back()
            raise
        return put_back


def _leave_nothing(_: Content) -> Callable[[], None]:
    return lambda: None
