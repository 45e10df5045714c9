"""The audit: what is told to the journal goes into a file of the process at once, and from there into the trail."""

from __future__ import annotations

from app.services.audit.journal import AuditJournal
from app.services.audit.mover import CATCH_UP_SECONDS
from app.services.audit.opening import open_audit, open_spools, recovering
from app.services.audit.record import described
from app.services.audit.recovery import Recovered, Recovery
from app.services.audit.spool import Spools

__all__ = [
    "CATCH_UP_SECONDS",
    "AuditJournal",
    "Recovered",
    "Recovery",
    "Spools",
    "described",
    "open_audit",
    "open_spools",
    "recovering",
]
