"""The hook by which every write is told of: intent before the store is touched, outcome after."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, Protocol

Operation = Literal["create", "replace", "patch", "delete"]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: the integration's id and name, and the dialect that its client speaks."""

    integration_id: str
    name: str
    dialect: Literal["rfc", "entra"] = "rfc"


@dataclass(slots=True)
class Write:
    """One write. `id` is unknown before a create; `attributes` are the slots and relations that change, never their
    values; `notes` name leniencies that were needed; `changed` is false for a write that changed nothing."""

    actor: Actor
    operation: Operation
    kind: str
    id: str | None = None
    attributes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    changed: bool = True
    outcome: str = field(default="open")


class Journal(Protocol):
    """Keeps record of writes. Implementations must not raise."""

    def begin(self, write: Write) -> None:
        """The write is about to be made."""

    def end(self, write: Write) -> None:
        """The write has been made (`outcome` is "done") or has failed (the name of what was reported)."""


@contextmanager
def recorded(journal: Journal, write: Write) -> Iterator[Write]:
    """Tell the journal of a write around the body, which fills in what becomes known."""
    journal.begin(write)
    try:
        yield write
        write.outcome = "done"
    except BaseException as error:
        write.outcome = type(error).__name__
        raise
    finally:
        journal.end(write)
