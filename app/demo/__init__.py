"""A replay of what Microsoft Entra ID sends, against the running service, with invented people."""

from __future__ import annotations

from app.demo.replay import run

__all__ = ["run"]
