"""The directory in which the worker processes count, so that any of them can tell what all have done."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from config.settings import Settings

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Names the directory to prometheus_client, before that is imported."""


def directory(settings: Settings) -> Path:
    """Where the processes of this copy of the service count; two copies can't listen at one address."""
    return settings.home.absolute() / "metrics" / re.sub(r"[^A-Za-z0-9.-]", "-", settings.bind)


def start_anew(path: Path) -> None:
    """Afterwards the directory is there, and what processes of before have counted is gone. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    for file in path.glob("*.db"):
        with suppress(FileNotFoundError):
            file.unlink()
