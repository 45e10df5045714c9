"""A clock that tests move."""

from __future__ import annotations


class Clock:
    """Stands at a round second until it is moved."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        """Let this many seconds pass."""
        self.now += seconds
