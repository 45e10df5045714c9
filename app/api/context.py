"""What the views need, made once by the factory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from flask import g

from app.scim.registry import Registry
from app.services.journal import Actor
from app.services.resources import Resources
from app.services.search import Search
from backends.base import Backend
from config.settings import Settings


@dataclass(frozen=True, slots=True)
class Context:
    """The services behind the API, and the settings that the API itself obeys."""

    settings: Settings
    registry: Registry
    backend: Backend
    resources: Resources
    search: Search


def current_actor() -> Actor:
    """The integration that the request of this moment speaks for; the gate has put it there."""
    return cast(Actor, g.actor)
