"""Measuring: CPU time and throughput of each case, and what the size of a group does to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench.cases import BARE, SCIM, Case, Population, change
from tests.bench.load import Load, make_request
from tests.bench.server import Server
from tests.bench.storage import Storage

WARM_UP = 200
ROUNDS = 5
SMALL, LARGE = 100, 100_000
_REPEATED = 200


@dataclass(frozen=True, slots=True)
class Figure:
    """What one request of a case costs: CPU in milliseconds, how many bare routes that is, and how many requests were
    answered in a second."""

    case: Case
    cpu_ms: float
    ratio: float
    per_second: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """How many times the CPU of the same request on SQLite one takes. `target` is the most that it may be."""

    title: str
    ratio: float
    target: float | None


# The most that a mix of the short requests, and a page, may cost on a directory beside SQLite.
_BESIDE_SQLITE = {"openldap": (2.2, None), "openldap-libldap": (1.3, 6.0)}


def compare(name: str, figures: Sequence[Figure], sqlite: Sequence[Figure]) -> list[Comparison]:
    """The figures of a store beside those of SQLite, both in bare routes, for they were measured at different times.
    The mix is each of the short requests once. Empty where there are no targets, or no figures of SQLite."""
    if name not in _BESIDE_SQLITE or not sqlite:
        return []
    mix, page = _BESIDE_SQLITE[name]
    pairs = [(own, other) for own, other in zip(figures, sqlite, strict=True) if own.case is not BARE]
    short = [(own, other) for own, other in pairs if own.case.name != "page"]
    single = [
        Comparison(own.case.title, own.ratio / other.ratio, page if own.case.name == "page" else None)
        for own, other in pairs
    ]
    return [
        *single,
        Comparison("mix", sum(own.ratio for own, _ in short) / sum(other.ratio for _, other in short), mix),
    ]


@dataclass(frozen=True, slots=True)
class Target:
    """What is measured: the service, and beside it the bare route."""

    service: Server
    bare: Server
    known: Population


def measure(load: Load, target: Target, case: Case, requests: int) -> Figure:
    """A few rounds, each beside one of the bare route, for the machine is not equally fast at all times.

    The cheapest round counts for CPU and throughput, since whatever else the machine does only ever adds; the ratio
    is the median over the rounds.
    """
    count = max(2, int(requests * case.share) // 2 * 2)
    for server, warmed in ((target.bare, BARE), (target.service, case)):
        load.seconds(server.port, warmed.make(target.known, min(WARM_UP, count)), warmed.wanted)
    bare, own = [], []
    for _ in range(ROUNDS):
        bare.append(run_round(load, target.bare, BARE, BARE.make(target.known, requests // 2)))
        own.append(run_round(load, target.service, case, case.make(target.known, count)))
    ratio = median(mine[0] / yardstick[0] for mine, yardstick in zip(own, bare, strict=True))
    return Figure(case, min(cpu for cpu, _ in own), ratio, max(rate for _, rate in own))


def measure_bare(load: Load, target: Target, requests: int) -> Figure:
    """The yardstick itself."""
    rounds = [run_round(load, target.bare, BARE, BARE.make(target.known, requests)) for _ in range(ROUNDS)]
    return Figure(BARE, min(cpu for cpu, _ in rounds), 1.0, max(rate for _, rate in rounds))


def run_round(load: Load, server: Server, case: Case, requests: Sequence[bytes]) -> tuple[float, float]:
    """CPU milliseconds of one of the requests, and how many were answered in a second."""
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


def measure_sizes(load: Load, target: Target, store: Storage) -> list[SizeFigure]:
    """One member joins, one leaves, and the group is read without its members, at both sizes in turn."""
    server, known = target.service, target.known
    small, large = known.group_ids[:2]
    store.add_crowd(small, SMALL)
    store.add_crowd(large, LARGE)
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
