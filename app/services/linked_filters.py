"""Filters of a store whose externalIds are links, in terms of that store: what asks about links becomes ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.control import Link, Links
from app.scim.filter.evaluate import View, matches
from app.scim.filter.nodes import And, Bound, Compare, Constant, Not, Op, Or, Present
from app.scim.query import Query, Resource, ResourceId, Stamp, Version, Window
from app.scim.registry import EXTERNAL_ID, ID, META_LAST_MODIFIED, META_VERSION
from backends.base import Backend
from backends.errors import TooManyCandidates

_DIGITS = 18
"""Digits of a revision; no database counts further."""


def combined(stamp: Stamp, link: Link | None) -> Stamp:
    """The stamp of a resource whose inner store says `stamp`: each pair of inner version and revision is a version."""
    if link is None or not link.revision:
        return Stamp(f"{stamp.version}.0", stamp.modified)
    return Stamp(f"{stamp.version}.{link.revision}", max(stamp.modified, link.changed))


def parts(version: Version) -> tuple[Version, int]:
    """The inner version and the revision of a version that `combined` made; revision -1 for any other text."""
    inner, _, revision = version.rpartition(".")
    if len(revision) <= _DIGITS and revision.isdecimal() and version == f"{inner}.{int(revision)}":
        return inner, int(revision)
    return inner, -1


def any_of(ids: Iterable[ResourceId]) -> Bound:
    """Holds for the resources with these ids."""
    return Or(tuple(Compare(ID, Op.EQ, id) for id in ids))


@dataclass(frozen=True, slots=True)
class Rewriting:
    """Rewrites the filters of one kind. `candidates` is the most links, or resources of one inner version, that are
    looked at for one comparison."""

    kind: str
    inner: Backend
    links: Links
    candidates: int

    def rewrite(self, node: Bound) -> Bound:
        """A filter that holds in the inner store for exactly those that satisfy `node`. Raises TooManyCandidates,
        ControlUnavailable."""
        match node:
            case Not(item):
                return Not(self.rewrite(item))
            case And(items):
                return And(tuple(self.rewrite(item) for item in items))
            case Or(items):
                return Or(tuple(self.rewrite(item) for item in items))
            case Present() if node.attribute is EXTERNAL_ID:
                return self._ids(self.links.assigned(self.kind, self.candidates + 1))
            case Compare() if node.attribute is EXTERNAL_ID:
                return self._external_id(node)
            case Compare() if node.attribute is META_VERSION:
                return self._version(str(node.operand))
            case Compare() if node.attribute is META_LAST_MODIFIED:
                return self._modified(node)
        return node

    def _external_id(self, test: Compare) -> Bound:
        if test.op is Op.EQ:
            return self._ids(self.links.named(self.kind, str(test.operand), self.candidates + 1))
        found = self._bounded(self.links.assigned(self.kind, self.candidates + 1))
        return any_of(link.resource_id for link in found if matches(test, _as_view(self.kind, link)))

    def _version(self, version: Version) -> Bound:
        inner, revision = parts(version)
        if revision < 0:
            return Constant(False)
        same = Query(frozenset(), Compare(META_VERSION, Op.EQ, inner), window=Window(1, self.candidates))
        page = self.inner.search(self.kind, same)
        if page.total > self.candidates:
            raise TooManyCandidates
        found = self.links.find(self.kind, [resource.id for resource in page.items])
        return any_of(
            resource.id
            for resource in page.items
            if (found[resource.id].revision if resource.id in found else 0) == revision
        )

    def _modified(self, test: Compare) -> Bound:
        """A resource was changed when it was in the inner store, or later when its link was."""
        moment = datetime.fromisoformat(str(test.operand))
        recent = self._bounded(self.links.changed_since(self.kind, moment, self.candidates + 1))

        def linked(holds: Callable[[datetime], bool]) -> Bound:
            return any_of(link.resource_id for link in recent if holds(link.changed))

        later, then = linked(lambda changed: changed > moment), linked(lambda changed: changed == moment)
        match test.op:
            case Op.GT:
                return Or((test, later))
            case Op.GE:
                return Or((test, later, then))
            case Op.LT:
                return And((test, Not(Or((later, then)))))
            case Op.LE:
                return And((test, Not(later)))
        not_later = Compare(META_LAST_MODIFIED, Op.LE, test.operand)
        return And((Or((test, And((then, not_later)))), Not(later)))

    def _ids(self, found: Sequence[Link]) -> Bound:
        return any_of(link.resource_id for link in self._bounded(found))

    def _bounded(self, found: Sequence[Link]) -> Sequence[Link]:
        if len(found) > self.candidates:
            raise TooManyCandidates
        return found


def _as_view(kind: str, link: Link) -> View:
    """What a test of the externalId alone has to look at."""
    values = {} if link.external_id is None else {EXTERNAL_ID.path: link.external_id}
    return View(Resource(kind, link.resource_id, link.changed, Stamp("", link.changed), values))
