"""A process of the service that is killed in the midst of a write: before the store is asked, or right after it has
answered."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from app.factory import create_app
from app.scim.query import Change, Draft, Resource, ResourceId, Stamp, Version
from app.scim.registry import Registry
from app.services.around import Around
from backends.base import Backend
from backends.ldap.backend import LdapBackend
from backends.ldap.drivers import connector
from backends.ldap.drivers.base import Access, Address
from backends.ldap.pool import Directory
from backends.sql.backend import SqlBackend
from config.directory import Bindings
from config.settings import Settings
from tests.support.service import quiet

T = TypeVar("T")

Point = Literal["before", "after"]
_PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class _Database:
    url: str

    def open(self, registry: Registry) -> Backend:
        return SqlBackend(self.url, registry)


@dataclass(frozen=True)
class _Tree:
    addresses: tuple[Address, ...]
    access: Access
    bindings: Bindings

    def open(self, registry: Registry) -> Backend:
        directory = Directory(list(self.addresses), self.access, connector("ldap3"), size=4)
        return LdapBackend(directory, self.bindings, registry)


@dataclass(frozen=True, slots=True)
class Request:
    """A request as a client sends it; `path` is below the SCIM base."""

    method: str
    path: str
    document: Mapping[str, Any] | None
    token: str


class Dying(Around):
    """The store itself, but the first write of it ends the process."""

    def __init__(self, inner: Backend, point: Point) -> None:
        super().__init__(inner)
        self._point = point

    def create(self, kind: str, draft: Draft) -> Resource:
        return self._last(lambda: self._inner.create(kind, draft))

    def update(self, kind: str, id: ResourceId, change: Change, *, expect: Version | None = None) -> Stamp:
        return self._last(lambda: self._inner.update(kind, id, change, expect=expect))

    def delete(self, kind: str, id: ResourceId, *, expect: Version | None = None) -> None:
        self._last(lambda: self._inner.delete(kind, id, expect=expect))

    def retire(self, kind: str, id: ResourceId, *, expect: Version | None = None) -> None:
        self._last(lambda: self._inner.retire(kind, id, expect=expect))

    def restore(self, kind: str, id: ResourceId, change: Change) -> Resource:
        return self._last(lambda: self._inner.restore(kind, id, change))

    def _last(self, write: Callable[[], T]) -> T:
        if self._point == "after":
            write()
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("still alive")


def killed_in(
    backend: Backend, registry: Callable[[], Registry], settings: Settings, request: Request, point: Point
) -> bool:
    """Whether a process of its own, with `quiet` settings like these and the same store, was killed at that point of a
    write. It is not when the request does not come so far as to write; then it has been answered."""
    # Settings refuse to be sent to another process, for they hold secrets; a registry would be another one there.
    where = settings.home, int(settings.bind.rpartition(":")[2])
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=_serve, args=(_recipe(backend), registry, where, request, point))
    process.start()
    process.join(_PATIENCE_SECONDS)
    assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
    return process.exitcode != 0


def _recipe(backend: Backend) -> _Database | _Tree:
    if isinstance(backend, SqlBackend):
        return _Database(backend.engine.url.render_as_string(hide_password=False))
    assert isinstance(backend, LdapBackend)
    return _Tree(backend.directory.addresses, backend.directory.access, backend.bindings)


def _serve(
    recipe: _Database | _Tree,
    registry: Callable[[], Registry],
    where: tuple[Path, int],
    request: Request,
    point: Point,
) -> None:
    settings, served = quiet(*where), registry()
    app = create_app(settings, Dying(recipe.open(served), point), served)
    with app.test_client() as client:
        client.open(
            f"/scim/v2{request.path}",
            method=request.method,
            base_url=settings.scim_url.removesuffix("/scim/v2"),
            data=None if request.document is None else json.dumps(request.document),
            headers={"Authorization": f"Bearer {request.token}", "Content-Type": "application/scim+json"},
        )
    app.extensions["landfall"].close()
