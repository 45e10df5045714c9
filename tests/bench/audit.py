"""What the audit costs: the service beside one without it, in many short turns, on the same kind of store."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from tests.bench.cases import CASES, Case, Population
from tests.bench.load import Load
from tests.bench.measure import Side, in_turns, per_turn
from tests.bench.population import populate
from tests.bench.server import Server, serving
from tests.bench.storage import prepare, storage

_WRITES = ("post", "patch", "members")


@dataclass(frozen=True, slots=True)
class AuditFigure:
    """CPU milliseconds of a request with and without the audit, each over all that were sent."""

    case: Case
    with_ms: float
    without_ms: float

    @property
    def ratio(self) -> float:
        """How many times as much a request costs with it."""
        return self.with_ms / self.without_ms


def measure_audit(load: Load, name: str, requests: int, token: Callable[[Server, str, str], str]) -> list[AuditFigure]:
    """The cases that write, on the store of that name."""
    with ExitStack() as stack:
        pair: list[tuple[Server, Population]] = []
        for application in ("wsgi:application", "tests.bench.unaudited:application"):
            store = stack.enter_context(storage(name))
            credentials = prepare(store.home)
            server = stack.enter_context(serving(store.home, application, "/readyz", store.variables))
            pair.append((server, populate(server.port, token(server, *credentials))))
        return [_figure(load, pair, case, requests) for case in CASES if case.name in _WRITES]


def _figure(load: Load, pair: list[tuple[Server, Population]], case: Case, requests: int) -> AuditFigure:
    count = per_turn(case, requests)
    audited, bare = in_turns(load, *(Side(server, known, case, count) for server, known in pair))
    return AuditFigure(case, audited.cpu_ms, bare.cpu_ms)
