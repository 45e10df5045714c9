"""What the audit costs: the service beside one without it, in many short turns, on the same kind of store."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from tests.bench.cases import CASES, Case, Population
from tests.bench.load import Load
from tests.bench.measure import WARM_UP
from tests.bench.population import populate
from tests.bench.server import Server, serving
from tests.bench.storage import prepare, storage

_TURNS = 40
"""What is compared differs by little, and a machine is not equally fast at all times."""
_SETTLED_SECONDS = 2
"""After that the records of all writes are in the trail; that work is counted too."""
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
    count = int(requests * case.share) // 2 * 2
    for server, known in pair:
        load.seconds(server.port, case.make(known, WARM_UP), case.wanted)
    time.sleep(_SETTLED_SECONDS)
    before = [server.cpu_seconds() for server, _ in pair]
    for turn in range(_TURNS):
        for server, known in pair if turn % 2 else reversed(pair):
            load.seconds(server.port, case.make(known, count), case.wanted)
    time.sleep(_SETTLED_SECONDS)
    spent = [server.cpu_seconds() - earlier for (server, _), earlier in zip(pair, before, strict=True)]
    audited, bare = (seconds * 1000 / (_TURNS * count) for seconds in spent)
    return AuditFigure(case, audited, bare)
