"""What of the service depends on whether it provisions or rehearses."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from app.control import ControlStore, Managed
from app.services.journal import Journal
from app.services.rehearsal.journal import RehearsalJournal, writer
from app.services.rehearsal.view import Rehearsing
from backends.base import Backend
from config.settings import BrakesSettings, Settings

_log = structlog.get_logger("landfall.rehearsal")


@dataclass(frozen=True, slots=True)
class Mode:
    """Where clients write, what is managed, what keeps record of it, and which brakes there are."""

    backend: Backend
    managed: Managed
    journal: Journal
    brakes: BrakesSettings


def in_mode(settings: Settings, control: ControlStore, backend: Backend, audit: Journal) -> Mode:
    """What the settings want. While the service rehearses nothing is written but the rehearsal, brakes stop nobody, and
    the log says so."""
    if not settings.rehearses:
        return Mode(backend, control.managed, audit, settings.brakes)
    _log.warning("rehearsal: users and groups are read and never written; see landfall rehearsal show")
    none = BrakesSettings(deactivations=0, deletions=0, member_removals=0)
    return Mode(Rehearsing(backend, control.rehearsal, writer), control.rehearsed_managed, RehearsalJournal(), none)
