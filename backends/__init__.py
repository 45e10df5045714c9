"""Where users and groups are kept. `backends.base` is the contract; each package beside it is a store that obeys it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from backends.base import Backend
from config.errors import ConfigError, Fault

if TYPE_CHECKING:
    from app.scim.registry import Registry
    from config.settings import Settings


def open_backend(settings: Settings, registry: Registry) -> Backend:
    """The back end that `settings.backend` names, ready for use; it connects when it is first asked something.

    `sql`, `ldap`, or `package.module:factory` for a third party's: the factory is called with the settings and the
    registry. Raises ConfigError when there is no such back end.
    """
    if settings.backend == "sql":
        return _open_sql(settings, registry)
    if settings.backend == "ldap":
        return _open_ldap(settings, registry)
    return _open_foreign(settings, registry)


def _open_sql(settings: Settings, registry: Registry) -> Backend:
    # Not at the top: a service on another back end runs without the database libraries.
    from backends.sql.backend import SqlBackend  # noqa: PLC0415

    return SqlBackend(
        settings.sql_url.reveal(),
        registry,
        pool_size=settings.sql.pool_size,
        connect_timeout=settings.sql.connect_timeout_seconds,
        statement_timeout=settings.sql.statement_timeout_seconds,
    )


def _open_ldap(settings: Settings, registry: Registry) -> Backend:
    # Not at the top: a service on a database runs without the directory's libraries.
    from backends.ldap.opening import open_ldap  # noqa: PLC0415

    return open_ldap(settings, registry)


def _open_foreign(settings: Settings, registry: Registry) -> Backend:
    module, _, name = settings.backend.partition(":")
    try:
        factory = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise _fault(f"{settings.backend} can't be imported: {error}") from error
    backend = factory(settings, registry)
    if not isinstance(backend, Backend):
        raise _fault(f"{settings.backend} gave no backends.base.Backend")
    return backend


def _fault(message: str) -> ConfigError:
    return ConfigError([Fault("backend", message)])
