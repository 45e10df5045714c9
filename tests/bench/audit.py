"""What the audit costs: the service beside one without it, in turn, on the same kind of store."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

from tests.bench.cases import CASES, Case, Population
from tests.bench.load import Load
from tests.bench.measure import ROUNDS, WARM_UP, run_round
from tests.bench.population import populate
from tests.bench.server import Server, serving
from tests.bench.storage import prepare, storage

_WRITES = ("post", "patch", "members")


@dataclass(frozen=True, slots=True)
class AuditFigure:
    """CPU milliseconds of a request with and without the audit, each of the cheapest round; the ratio is the median
    over the rounds."""

    case: Case
    with_ms: float
    without_ms: float
    ratio: float


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
    rounds = [
        [run_round(load, server, case, case.make(known, count))[0] for server, known in pair] for _ in range(ROUNDS)
    ]
    ratio = median(audited / bare for audited, bare in rounds)
    return AuditFigure(case, min(r[0] for r in rounds), min(r[1] for r in rounds), ratio)
