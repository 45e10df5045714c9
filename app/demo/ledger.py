"""What was sent, answered and found stored, step by step, and what was not as the identity provider needs it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.demo.wire import Answer

_LISTED = 20


@dataclass(slots=True)
class Entry:
    """The account of one step: requests by answered status, and checks that held and did not."""

    title: str
    answers: Counter[int] = field(default_factory=Counter)
    held: int = 0
    failed: int = 0


class Ledger:
    """Accounts of the steps in their order. Safe for use by several threads within one step."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.failures: list[str] = []
        self._lock = threading.Lock()

    def begin(self, title: str) -> None:
        """What follows belongs to a new step."""
        self.entries.append(Entry(title))

    def answered(self, request: str, answer: Answer, wanted: Collection[int]) -> bool:
        """Account for an answer; True when its status is one of the wanted."""
        good = answer.status in wanted
        with self._lock:
            self.entries[-1].answers[answer.status] += 1
            if not good:
                self._fail(f"{request}: {_said(answer)}, wanted {' or '.join(map(str, wanted))}")
        return good

    def check(self, holds: bool, what: str) -> None:
        """Account for something that has to hold; `what` is the sentence that is shown when it does not."""
        with self._lock:
            if holds:
                self.entries[-1].held += 1
            else:
                self._fail(what)

    def _fail(self, what: str) -> None:
        self.entries[-1].failed += 1
        self.failures.append(f"{self.entries[-1].title}: {what}")

    def show(self, console: Console) -> None:
        """Print the closing table, and below it what failed."""
        table = Table(title="What was sent, what was answered, and what was found stored")
        table.add_column("step", no_wrap=True)
        table.add_column("sent", justify="right")
        table.add_column("answers")
        table.add_column("checks held", justify="right")
        for entry in self.entries:
            table.add_row(*_row(entry))
        table.add_section()
        checks = sum(entry.held for entry in self.entries)
        table.add_row("together", str(sum(e.answers.total() for e in self.entries)), "", str(checks))
        console.print(table)
        for failure in self.failures[:_LISTED]:
            console.print(Text(f"✗ {failure}", style="red"))
        if len(self.failures) > _LISTED:
            console.print(f"… and {len(self.failures) - _LISTED} more")


def _row(entry: Entry) -> tuple[str | Text, ...]:
    answers = ", ".join(f"{status or 'none'} × {number}" for status, number in sorted(entry.answers.items()))
    held = Text(str(entry.held))
    if entry.failed:
        held = Text(f"{entry.held}, {entry.failed} failed", style="red")
    return entry.title, str(entry.answers.total()), answers, held


def _said(answer: Answer) -> str:
    if not answer.status:
        return f"no answer ({answer.fault})"
    detail = answer.document.get("detail", "")
    return f"answered {answer.status}" + (f" ({detail})" if detail else "")
