"""Figures for Prometheus, where the operator wants them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from app.auth.guard import Guard
    from app.control import ControlStore
    from app.services.brakes import Brakes
    from config.settings import Settings


def register(app: Flask, settings: Settings, guard: Guard, control: ControlStore, brakes: Brakes) -> None:
    """Afterwards requests are counted and `/metrics` tells the figures; nothing at all unless the settings want it."""
    if settings.metrics.enabled:
        # Not at the top: what nobody wants costs no memory. The library decides when it is imported how it counts.
        from app.metrics.setup import add  # noqa: PLC0415

        add(app, settings, guard, control, brakes)
