"""Leavers: a deleted user is kept aside, and comes back under its id when the identity provider sends it again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from app.scim.fold import fold
from app.scim.query import Draft, Page, Resource, ResourceId, Slot, Window
from app.scim.registry import Registry
from app.services.adoption import Adoption, names_of, work_emails
from backends.base import Backend, Capability
from backends.errors import NotFound
from config.settings import LifecycleSettings

_KIND = "User"
_NAME = "userName"
_PAGE = 500
_LOOKED_AT = 1000
"""How many retired users are looked at that have one of the names."""


class CantRetire(Exception):
    """Deleted users are to be kept, and the store has no place for them. `detail` is for clients."""

    def __init__(self) -> None:
        self.detail = "deleted users are to be retired, and the store is not set up for that; see landfall check"
        super().__init__(self.detail)


@dataclass(frozen=True, slots=True)
class Returning:
    """A retired user whom a draft names, by its userName or else by a work e-mail only."""

    user: Resource
    by_name: bool


class RetiredHere:
    """The users of a store who were retired through SCIM, among all whom it has retired.

    Where the store does not mark them they are those who are managed: what was never managed was put there by another
    program, and is left alone.
    """

    def __init__(self, backend: Backend, adoption: Adoption) -> None:
        self._backend = backend
        self._adoption = adoption

    def among(self, users: Sequence[Resource]) -> list[Resource]:
        """Those of the users, whom `Backend.retired` gave, who are such."""
        return list(users) if self._marked else self._adoption.managed_ones(_KIND, users)

    def page(self, want: frozenset[Slot], window: Window) -> Page:
        """As `Backend.retired`."""
        if self._marked:
            return self._backend.retired(_KIND, want, None, window)
        users = list(self.everyone(want))
        start = window.start - 1
        return Page(len(users), tuple(users[start : start + window.count]))

    def everyone(self, want: frozenset[Slot]) -> Iterator[Resource]:
        """All of them, first retired first."""
        start = 1
        while True:
            page = self._backend.retired(_KIND, want, None, Window(start, _PAGE))
            yield from self.among(page.items)
            start += len(page.items)
            if not page.items or start > page.total:
                return

    def find(self, id: ResourceId, want: frozenset[Slot]) -> Resource | None:
        """The one with that id. All are looked through for it, as stores know the retired by their names only."""
        return next((user for user in self.everyone(want) if user.id == id), None)

    def is_still(self, user: Resource) -> bool:
        """Whether someone whom `everyone` gave with its userName has been retired ever since: not one who came back,
        though it may have left again."""
        named: Iterable[Resource] = self.everyone(frozenset())
        if name := user.values.get(_NAME):
            named = self._backend.retired(_KIND, frozenset(), [name], Window(1, _LOOKED_AT)).items
        return any(one.id == user.id and one.stamp.modified == user.stamp.modified for one in named)

    def require(self, id: ResourceId) -> None:
        """Return where the user, if it is retired at all, is one of them. Raises NotFound."""
        if not self._marked and not self._adoption.is_managed(_KIND, id):
            raise NotFound(_KIND)

    @property
    def _marked(self) -> bool:
        return Capability.MARKS_RETIRED in self._backend.capabilities


class Retirement:
    """Decides what becomes of those who are deleted, and who comes back."""

    def __init__(self, backend: Backend, registry: Registry, settings: LifecycleSettings) -> None:
        self._backend = backend
        self._registry = registry
        self._retires = settings.delete == "retire"

    def of_deleted(self, kind: str) -> bool:
        """Whether a resource of the kind is retired when it is deleted; groups never are. Raises CantRetire."""
        if kind != _KIND or not self._retires:
            return False
        if not self._possible:
            raise CantRetire
        return True

    def returning(self, kind: str, draft: Draft, adoption: Adoption) -> Returning | None:
        """The retired user whom the draft names: the last one with its userName, else the only one who has a work
        e-mail of it as a work e-mail; with all readable slots."""
        if kind != _KIND or not self._possible:
            return None
        name, *emails = names_of(draft.values)
        # The store keeps all names of someone together: it finds a userName among e-mails too, and private e-mails.
        page = self._backend.retired(kind, self._registry.type(kind).readable, [name, *emails], Window(1, _LOOKED_AT))
        users = RetiredHere(self._backend, adoption).among(page.items)
        named = [r for r in users if fold(str(r.values.get(_NAME, ""))) == fold(name)]
        if named:
            return Returning(named[-1], by_name=True)
        wanted = frozenset(map(fold, emails))
        reached = [r for r in users if not wanted.isdisjoint(map(fold, work_emails(r.values)))]
        return Returning(reached[0], by_name=False) if len(reached) == 1 and page.total <= _LOOKED_AT else None

    @property
    def _possible(self) -> bool:
        return Capability.RETIRE in self._backend.capabilities
