"""Undo: what records say that was written is put back to what it was before, where it still is what they left."""

from __future__ import annotations

from app.services.undo.models import OPERATOR, Conflict, Idle, Made, Step, Undoing
from app.services.undo.undo import Undo

__all__ = ["OPERATOR", "Conflict", "Idle", "Made", "Step", "Undo", "Undoing"]
