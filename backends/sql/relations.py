"""Membership: changed by deltas whose cost is that of the delta, read as a stream of pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, and_, bindparam, delete, func, select
from sqlalchemy.sql import ClauseElement

from app.scim.query import Delta, Reference, ResourceId
from backends.errors import UnknownReference
from backends.sql.columns import ID_LENGTH
from backends.sql.operands import storable
from backends.sql.prepared import Session
from backends.sql.tables import Link, display

_CHUNK = 500
_PAGE = 1000

Read = Callable[[ClauseElement, Mapping[str, Any]], Sequence[Sequence[Any]]]


def possible(id: ResourceId) -> bool:
    """Whether the text can be an id that was issued here."""
    return len(id) <= ID_LENGTH and storable(id)


class Relations:
    """The relations of one link, as the resource at its near end has them."""

    def __init__(self, link: Link) -> None:
        self._link = link
        far, rows = link.target.table, link.table
        near: ColumnElement[Any] = bindparam("near", type_=link.near.type)
        ids: BindParameter[Any] = bindparam("ids", expanding=True)
        self._known = (
            select(far.c.id, link.far)
            .select_from(far.outerjoin(rows, and_(link.far == far.c.id, link.near == near)))
            .where(far.c.id.in_(ids))
            # A user that is being deleted is waited for, one that is here stays till the end.
            .with_for_update(read=True, key_share=True, of=far)
        )
        self._remove = delete(rows).where(link.near == near, link.far.in_(ids))
        self._clear = delete(rows).where(link.near == near)
        others = self._clear.where(link.far.not_in(ids))
        from_low = link.far >= bindparam("low", type_=link.far.type)
        to_high = link.far < bindparam("high", type_=link.far.type)
        self._others = {
            (False, False): others,
            (True, False): others.where(from_low),
            (False, True): others.where(to_high),
            (True, True): others.where(from_low, to_high),
        }
        self._count = select(func.count()).select_from(rows).where(link.near == near)
        shown = display(link.target, far, keys=False)
        stream = (
            select(link.near, link.far, shown)
            .select_from(rows.join(far, far.c.id == link.far))
            .order_by(link.near, link.far)
            .limit(_PAGE)
        )
        self._of_many = stream.where(link.near.in_(ids))
        self._rest_of_one = stream.where(link.near == near, link.far > bindparam("after", type_=link.far.type))

    def apply(self, session: Session, near: ResourceId, delta: Delta) -> bool:
        """Make the change and return whether it was one. The caller has locked the near end.

        What is read is the ids that are named; the number of members does not matter, but for one count when the
        relation is cleared. Raises UnknownReference, which names every id that refers to nothing.
        """
        missing, present = self._sort_out(session, near, delta.add)
        changed = False
        if delta.clear:
            changed = self._keep_only(session, near, delta.add, present)
        else:
            for ids in chunks([id for id in dict.fromkeys(delta.remove) if possible(id)]):
                changed = session.execute(self._remove, {"near": near, "ids": ids}).rowcount > 0 or changed
        if missing:
            rows = [{self._link.near.name: near, self._link.far.name: id} for id in missing]
            session.insert(self._link.table, rows)
        return changed or bool(missing)

    def stream(self, read: Read, ids: Sequence[ResourceId]) -> Iterator[tuple[ResourceId, Reference]]:
        """The pairs of these resources and what they refer to, by id of the first, then of the second.

        At most one page is in memory, and between two pages nothing is held in the database.
        """
        for chunk in chunks(sorted({id for id in ids if possible(id)})):
            rest = chunk
            while rest:
                page = read(self._of_many, {"ids": rest})
                yield from map(self._pair, page)
                if len(page) < _PAGE:
                    break
                last = page[-1]
                yield from self._more(read, last[0], last[1])
                rest = [id for id in rest if id > last[0]]

    def _more(self, read: Read, near: ResourceId, far: ResourceId) -> Iterator[tuple[ResourceId, Reference]]:
        """What one resource refers to beyond `far`."""
        while True:
            page = read(self._rest_of_one, {"near": near, "after": far})
            yield from map(self._pair, page)
            if len(page) < _PAGE:
                return
            far = page[-1][1]

    def _pair(self, row: Sequence[Any]) -> tuple[ResourceId, Reference]:
        return row[0], Reference(row[1], self._link.target.type.name, row[2])

    def _sort_out(self, session: Session, near: ResourceId, add: Sequence[ResourceId]) -> tuple[list[ResourceId], int]:
        """Those of the ids that are not members yet, and the number of those that are."""
        wanted = dict.fromkeys(add)
        known: dict[ResourceId, bool] = {}
        for ids in chunks([id for id in wanted if possible(id)]):
            known.update(
                (row[0], row[1] is not None) for row in session.execute(self._known, {"near": near, "ids": ids}).rows
            )
        unknown = [id for id in wanted if id not in known]
        if unknown:
            raise UnknownReference(self._link.name, unknown)
        missing = [id for id in wanted if not known[id]]
        return missing, len(wanted) - len(missing)

    def _keep_only(self, session: Session, near: ResourceId, keep: Sequence[ResourceId], present: int) -> bool:
        """Remove all members but those to keep, `present` of which are members; whether there were others.

        The ids are cut into ranges, so that each statement names few and together they cover every member.
        """
        if not keep:
            return session.execute(self._clear, {"near": near}).rowcount > 0
        if session.execute(self._count, {"near": near}).rows[0][0] == present:
            return False
        parts = list(chunks(sorted(set(keep))))
        for n, ids in enumerate(parts):
            bounds = {"near": near, "ids": ids}
            if n > 0:
                bounds["low"] = ids[0]
            if n + 1 < len(parts):
                bounds["high"] = parts[n + 1][0]
            session.execute(self._others["low" in bounds, "high" in bounds], bounds)
        return True


def chunks(ids: Sequence[ResourceId]) -> Iterator[Sequence[ResourceId]]:
    """The ids in pieces that every database takes as the parameters of one statement."""
    return (ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK))
