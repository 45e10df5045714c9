"""Accounts and groups that were there long before the service."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from app.scim.query import Draft, Page, Query, Resource, ResourceId
from app.services.around import Around
from backends.base import Backend

LONG = timedelta(days=1)


class Earlier(Around):
    """The store `inner`, in which what `put` makes is a day older than it is.

    Of what is quite new a service waits for the record of its creation, for two seconds at each request, before it
    takes it for another program's. That it does so is shown elsewhere, by accounts that are as new as they look.
    """

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self._put: set[ResourceId] = set()

    def put(self, kind: str, draft: Draft) -> Resource:
        """Make a resource as another program did long ago, past the service. It is given as the store has it."""
        made = self._inner.create(kind, draft)
        self._put.add(made.id)
        return made

    def get(self, kind: str, id: ResourceId, want: frozenset[str]) -> Resource:
        return self._aged(super().get(kind, id, want))

    def search(self, kind: str, query: Query) -> Page:
        page = super().search(kind, query)
        return replace(page, items=tuple(map(self._aged, page.items)))

    def _aged(self, resource: Resource) -> Resource:
        return replace(resource, created=resource.created - LONG) if resource.id in self._put else resource
