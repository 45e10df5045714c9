"""Stores for tests that need a service of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.scim.registry import Extension, Registry, ResourceType, Schema, load
from backends.base import Backend
from backends.sql.backend import SqlBackend
from config.settings import LimitsSettings
from tests.support import ldapstores
from tests.support.directories import DIRECTORY_SERVERS
from tests.support.directory_base import Directory
from tests.support.reference import ReferenceBackend
from tests.support.service import Service, running

DEVICE = "urn:example:params:scim:schemas:core:2.0:Device"
WARRANTY = "urn:example:params:scim:schemas:extension:warranty:2.0:Device"

_DEVICE: dict[str, Any] = {
    "id": DEVICE,
    "name": "Device",
    "attributes": [
        {"name": "serial", "required": True, "uniqueness": "server"},
        {"name": "model"},
        {"name": "ports", "multiValued": True},
    ],
}
_WARRANTY: dict[str, Any] = {
    "id": WARRANTY,
    "name": "Warranty",
    "attributes": [{"name": "contract", "required": True}, {"name": "note"}],
}


def devices() -> Registry:
    """The standard resource types and Device, whose extension is required."""
    extension = Extension(Schema.parse(_WARRANTY, extension=True), required=True)
    device = ResourceType("Device", "/Devices", "A machine", Schema.parse(_DEVICE), (extension,))
    standard = load()
    return replace(standard, types=(*standard.types, device))


@contextmanager
def opened(
    store_name: str,
    registry: Registry,
    new_database: Callable[[str], str],
    directory_servers: Callable[[str], Directory] | None = None,
) -> Iterator[Backend]:
    """An empty store of the kind, until the block ends."""
    if store_name == "reference":
        yield ReferenceBackend(registry)
        return
    if directory_servers is not None and store_name in DIRECTORY_SERVERS:
        with ldapstores.opened(directory_servers(store_name), registry) as (directory, *_):
            yield directory
        return
    backend = SqlBackend(new_database(store_name), registry)
    backend.create_schema()
    try:
        yield backend
    finally:
        backend.close()


@contextmanager
def own_service(
    store_name: str,
    registry: Registry,
    new_database: Callable[[str], str],
    home: Path,
    limits: LimitsSettings | None = None,
) -> Iterator[Service]:
    """A service on an empty store of the kind, until the block ends."""
    with opened(store_name, registry, new_database) as backend, running(backend, registry, home, limits) as service:
        yield service
