"""The contract that every store obeys. `tests/conformance` says it in executable form."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import Flag, StrEnum, auto

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


class Capability(Flag):
    """A promise that not every store can keep; each is consulted by discovery or by the conformance suite."""

    NONE = 0
    SORT = auto()
    """`Query.sort` is honoured over the whole result."""
    ATOMIC_EXPECT = auto()
    """`expect` is compared in the write itself: of two racing updates with one expectation, one fails."""
    ATOMIC_UNIQUENESS = auto()
    """Of racing creates with one unique value exactly one succeeds."""
    EMPTY_RELATION = auto()
    """A group may have no member."""
    RETIRE = auto()
    """Users can be retired: `retire`, `retired`, `restore` and `purge` are there."""
    MARKS_RETIRED = auto()
    """`retired`, `restore` and `purge` know nobody but those whom `retire` has retired; without this, also what other
    programs put where they are."""
    KEEPS_READ = auto()
    """What `get` has read serves the `update` after it that expects the version: reading first costs nothing more."""
    SUBTREES = auto()
    """Resources are entries of a directory: `Query.within` is honoured, and `within`, `may_land_within`,
    `lands_within` and `subtree_fault` tell of places."""


class State(StrEnum):
    """How something is that was looked at: a `fault` has to be mended before the store serves as it should."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at and how it is, for an operator.

    `text` is one sentence or a few. `mend` has what to do, in lines to be run or written; it may be empty. Neither
    holds a secret.
    """

    what: str
    state: State
    text: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """A store in which changes are tried: `backend` shows them as if they were made, and nothing of them stays. `taken`
    gives what the store was asked to write since it was called last, as lines in `language`: "sql" or "ldif"."""

    backend: Backend
    language: str
    taken: Callable[[], list[str]]


FIRST_PAGE = Window()
"""The window where none is asked for."""


class Backend(ABC):
    """A store of users and groups.

    Safe for use by several threads. Each method is one atomic step: when it raises, nothing has changed. Nothing is
    held open between two calls, except by the iterator of `related` while it is being read. Ids and versions are
    issued by the store; ids never change and are never given again. Every method may raise Unavailable.
    """

    capabilities: Capability
    registry: Registry
    """The resource types with what of them the store can keep: discovery claims no more."""

    @abstractmethod
    def check(self) -> None:
        """Return when the store is reachable and fits its configuration; else raise Unavailable or
        `config.errors.ConfigError`, which names what to mend."""

    def findings(self, *, write: bool) -> Iterator[Finding]:
        """All that an operator should know of the store, as it is now; a store that has nothing to say yields nothing.

        What `check` would raise is among them. With `write` they prove what can't be read: entries are made, changed
        and removed again. Raises nothing of its own: what can't be looked at is a finding.
        """
        del write
        yield from ()

    @abstractmethod
    def close(self) -> None:
        """Give back every connection; the back end is not used afterwards."""

    def together(self, *, changes: bool = False) -> AbstractContextManager[object]:
        """Within it the calls of one thread are answered by one replica, so that it reads what it wrote, and share what
        they can of a connection. May be nested.

        With `changes` the block is going to change something: a store that takes one change at a time may wait for its
        turn at the start. Raises Unavailable where that does not come in time.
        """
        del changes
        return nullcontext()

    def trial(self) -> AbstractContextManager[Trial]:
        """A trial, which ends with the block. Used by one thread. Raises NotImplementedError where the store has
        none."""
        raise NotImplementedError

    @abstractmethod
    def get(self, kind: str, id: ResourceId, want: frozenset[Slot]) -> Resource:
        """The resource with those of the wanted slots that have a value, never with relations. Raises NotFound."""

    @abstractmethod
    def search(self, kind: str, query: Query) -> Page:
        """Exactly the matches in the window and their total. Raises TooManyCandidates.

        Only a store with SUBTREES is given a query with `within`.
        """

    @abstractmethod
    def create(self, kind: str, draft: Draft) -> Resource:
        """The new resource, with the slots of the draft. Raises Duplicate, UnknownReference, RejectedValue."""

    @abstractmethod
    def update(self, kind: str, id: ResourceId, change: Change, *, expect: Version | None = None) -> Stamp:
        """The stamp after the change. A change that changes nothing keeps the stamp.

        What is read and sent grows with the change, never with the resource. Raises NotFound, VersionMismatch
        (when `expect` is given and is not the stored version), Duplicate, UnknownReference, RejectedValue.
        """

    @abstractmethod
    def delete(self, kind: str, id: ResourceId, *, expect: Version | None = None) -> None:
        """Afterwards the resource and every relation to it are gone. Raises NotFound, VersionMismatch."""

    @abstractmethod
    def related(self, kind: str, ids: Sequence[ResourceId], relation: str) -> Iterator[tuple[ResourceId, Reference]]:
        """Pairs (one of `ids`, what it refers to) of a relation, in a stable order, grouped by nothing.

        The only way to read a relation. Memory is bounded by the store's page size, whatever the size of the
        relation. Works against the direction of storage too (`groups` of users). Unknown ids yield nothing.
        """

    def knows(self, kind: str, names: Sequence[str]) -> bool:
        """False where certainly no resource has one of these (by `app.scim.fold`) as an e-mail address, and no retired
        one as its userName or an e-mail address; True where a store would have to look in several places to tell."""
        del kind, names
        return True

    def within(self, kind: str, ids: Sequence[ResourceId], bases: Sequence[str]) -> frozenset[ResourceId]:
        """Those of the resources whose entries are in one of the subtrees of a directory that have these DNs (RFC 4514)
        at their top; none in a store that has no subtrees. Unknown ids are none of them."""
        del kind, ids, bases
        return frozenset()

    def may_land_within(self, kind: str, values: Mapping[Slot, Value], bases: Sequence[str]) -> bool:
        """Whether a new resource with these values may become an entry in one of those subtrees. Nothing is read."""
        del kind, values, bases
        return False

    def lands_within(self, kind: str, values: Mapping[Slot, Value], bases: Sequence[str]) -> bool:
        """Whether a resource with these values that is created or restored now becomes an entry in one of those
        subtrees. An update never takes an entry to another place."""
        del kind, values, bases
        return False

    def subtree_fault(self, base: str) -> str | None:
        """Why no user or group can be in the subtree with this DN at its top, in words for an operator; None where
        they can."""
        del base
        return "this store is no directory, and has no places that have a DN"

    def retire(self, kind: str, id: ResourceId, *, expect: Version | None = None) -> None:
        """Retire a user. Afterwards `get`, `search` and `related` know nothing of it, relations and references to it
        are gone as after `delete`, it can't sign in, and its id is not given again; `retired` and `restore` find it.

        Its unique values are free for others, as far as the store alone decides that: a directory whose own rule of
        uniqueness spans the retired entries too holds them back. Raises NotFound, VersionMismatch. When the service
        ends in between, the user is there and locked, and the same call again retires it.
        """
        raise NotImplementedError

    def retired(
        self, kind: str, want: frozenset[Slot], names: Sequence[str] | None = None, window: Window = FIRST_PAGE
    ) -> Page:
        """The retired users in the window, the one first that was retired first, and the number of all of them; with
        `names` only those whose userName or one of whose e-mail addresses is one of these (by `app.scim.fold`).

        A resource has its values as they were, without those that follow from other resources; `stamp.modified` is when
        it was retired. A reference to a user that has gone meanwhile may be missing.
        """
        raise NotImplementedError

    def restore(self, kind: str, id: ResourceId, change: Change) -> Resource:
        """The user, with all that it has, back under its id and with its time of creation and password, and changed by
        `change`: in the same step where the store can do that. Without a value for `active` in the change it can sign
        in exactly if it could before it was retired.

        Its groups do not come back, nor does a reference to a resource that is not there; one to it that was made while
        it was retired may go on to hold nothing but the id. Raises NotFound for what is not retired, Duplicate,
        UnknownReference, RejectedValue; it is still retired then.
        """
        raise NotImplementedError

    def purge(self, kind: str, id: ResourceId) -> None:
        """Afterwards the retired user is gone for ever. Raises NotFound for what is not retired."""
        raise NotImplementedError
