"""Stores behind one contract (`backends.base`); `open_backend` picks the one that the configuration names."""

from __future__ import annotations

from app.scim.registry import Registry
from backends.base import Backend
from config.settings import Settings


def open_backend(settings: Settings, registry: Registry) -> Backend:
    """The configured back end."""
    raise RuntimeError(settings.backend)
