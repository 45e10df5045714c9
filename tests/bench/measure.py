"""Measuring: CPU time and throughput of each case, and what the size of a group does to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench.cases import SCIM, Case, Population, change
from tests.bench.load import Load, make_request
from tests.bench.population import add_crowd
from tests.bench.server import Server

WARM_UP = 200
ROUNDS = 3
SMALL, LARGE = 100, 100_000
_REPEATED = 200


@dataclass(frozen=True, slots=True)
class Figure:
    """What one request of a case costs: CPU in milliseconds, and how many were answered in a second."""

    case: Case
    cpu_ms: float
    per_second: float


def measure(load: Load, server: Server, case: Case, known: Population, requests: int) -> Figure:
    """The cheapest of a few rounds: whatever else the machine does only ever adds."""
    count = max(2, int(requests * case.share) // 2 * 2)
    load.seconds(server.port, case.make(known, min(WARM_UP, count)), case.wanted)
    rounds = [_round(load, server, case, case.make(known, count)) for _ in range(ROUNDS)]
    return Figure(case, min(cpu for cpu, _ in rounds), max(rate for _, rate in rounds))


def _round(load: Load, server: Server, case: Case, requests: Sequence[bytes]) -> tuple[float, float]:
    before = server.cpu_seconds()
    seconds = load.seconds(server.port, requests, case.wanted)
    return (server.cpu_seconds() - before) * 1000 / len(requests), len(requests) / seconds


@dataclass(frozen=True, slots=True)
class SizeFigure:
    """Median milliseconds of one operation on a small and on a large group."""

    title: str
    small_ms: float
    large_ms: float

    @property
    def ratio(self) -> float:
        """How many times as long it takes on the large one."""
        return self.large_ms / self.small_ms


def measure_sizes(load: Load, server: Server, known: Population, sql_url: str) -> list[SizeFigure]:
    """One member joins, one leaves, and the group is read without its members, at both sizes in turn."""
    small, large = known.group_ids[:2]
    add_crowd(sql_url, small, SMALL)
    add_crowd(sql_url, large, LARGE)
    spare = known.user_ids[:_REPEATED]
    for requests in (_turns(known.token, small, large, user) for user in spare[:20]):
        load.each(server.port, requests)
    times = load.each(server.port, [r for user in spare for r in _turns(known.token, small, large, user)])
    titles = ("add one member", "read without members", "remove one member")
    return [
        SizeFigure(title, median(times[2 * n :: 6]) * 1000, median(times[2 * n + 1 :: 6]) * 1000)
        for n, title in enumerate(titles)
    ]


def _turns(token: str, small: str, large: str, user: str) -> list[tuple[bytes, int]]:
    requests = []
    for op in ("Add", None, "Remove"):
        for group in (small, large):
            path = f"{SCIM}/Groups/{group}"
            if op is None:
                requests.append((make_request("GET", f"{path}?excludedAttributes=members", token), 200))
            else:
                body = change({"op": op, "path": "members", "value": [{"value": user}]})
                requests.append((make_request("PATCH", path, token, body), 204))
    return requests
