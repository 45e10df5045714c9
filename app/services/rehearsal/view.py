"""A copy-on-write view of a store: clients write to it for real, and the store beneath is only ever read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from app.control import Rehearsal, Who
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
    Version,
    Window,
)
from app.services.around import Around
from app.services.rehearsal.beneath import Beneath
from app.services.rehearsal.searching import Bounds, Searching
from app.services.rehearsal.seen import Seen, places
from app.services.rehearsal.written import Written
from backends.base import FIRST_PAGE, Backend


def nobody() -> Who:
    """Nobody in particular."""
    return Who()


class Rehearsing(Around):
    """The store `inner` as it would be, had the writes to this one gone there.

    A resource that is written is copied into `rehearsal` and read from there from then on; of a group only what is
    added and removed is kept, never its members. All else is read live. Writes follow one another. `who` tells who
    writes. New ids and versions are of the rehearsal: the store would give others. A value that the store would refuse
    is not refused here, unless it is one that only one resource may have.

    Passwords are not kept, only that there would be one. Every method may also raise ControlUnavailable.
    """

    def __init__(
        self, inner: Backend, rehearsal: Rehearsal, who: Callable[[], Who] = nobody, bounds: Bounds | None = None
    ) -> None:
        super().__init__(inner)
        self._rehearsal = rehearsal
        self._beneath = Beneath(inner)
        self._seen = Seen(self._beneath, rehearsal)
        self._searching = Searching(self._seen, bounds or Bounds())
        self._written = Written(self._seen, who)

    def get(self, kind: str, id: ResourceId, want: frozenset[Slot]) -> Resource:
        return self._seen.get(kind, id, want)

    def search(self, kind: str, query: Query) -> Page:
        return self._searching.search(kind, query)

    def create(self, kind: str, draft: Draft) -> Resource:
        return self._written.create(kind, draft)

    def update(self, kind: str, id: ResourceId, change: Change, *, expect: Version | None = None) -> Stamp:
        return self._written.update(kind, id, change, expect)

    def delete(self, kind: str, id: ResourceId, *, expect: Version | None = None) -> None:
        self._written.delete(kind, id, expect)

    def related(self, kind: str, ids: Sequence[ResourceId], relation: str) -> Iterator[tuple[ResourceId, Reference]]:
        return self._seen.related(kind, ids, relation)

    def within(self, kind: str, ids: Sequence[ResourceId], bases: Sequence[str]) -> frozenset[ResourceId]:
        copies = self._rehearsal.find(kind, ids)
        present = [copy for copy in copies.values() if copy.present]
        live = self._inner.within(kind, [id for id in ids if id not in copies], bases)
        return live | places(self._beneath, kind, present, bases)

    def retire(self, kind: str, id: ResourceId, *, expect: Version | None = None) -> None:
        self._written.retire(kind, id, expect)

    def knows(self, kind: str, names: Sequence[str]) -> bool:
        # Who is only here is not known to the store beneath.
        return True

    def retired(
        self, kind: str, want: frozenset[Slot], names: Sequence[str] | None = None, window: Window = FIRST_PAGE
    ) -> Page:
        return self._searching.retired(kind, want, names, window)

    def restore(self, kind: str, id: ResourceId, change: Change) -> Resource:
        self._written.restore(kind, id, change)
        return self._seen.get(kind, id, self.registry.type(kind).readable)

    def purge(self, kind: str, id: ResourceId) -> None:
        self._written.purge(kind, id)
