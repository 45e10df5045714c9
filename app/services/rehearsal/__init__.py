"""Rehearsal: a client provisions for real against a view of the store, and the store is never written."""

from __future__ import annotations

from app.services.rehearsal.opening import Mode, in_mode
from app.services.rehearsal.searching import Bounds
from app.services.rehearsal.view import Rehearsing

__all__ = ["Bounds", "Mode", "Rehearsing", "in_mode"]
