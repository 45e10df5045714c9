"""Measuring: CPU time and throughput of each case, and what the size of a group does to it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench.cases import BARE, SCIM, Case, Population, change
from tests.bench.load import Load, make_request
from tests.bench.server import Server
from tests.bench.storage import Storage

WARM_UP = 200
TURNS = 40
_SETTLED_SECONDS = 1.0
"""After that what a server does later than its answers has been done."""
SMALL, LARGE = 100, 100_000
_REPEATED = 200


@dataclass(frozen=True, slots=True)
class Figure:
    """What one request of a case costs: CPU in milliseconds, how many bare routes that is, and how many requests were
    answered in a second at best."""

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


@dataclass(frozen=True, slots=True)
class Side:
    """A server that is sent that many requests of a case in each turn."""

    server: Server
    known: Population
    case: Case
    count: int


@dataclass(frozen=True, slots=True)
class Spent:
    """CPU milliseconds of a request, over all that were sent, and how many were answered in a second at best."""

    cpu_ms: float
    per_second: float


def in_turns(load: Load, *sides: Side) -> list[Spent]:
    """What each side spends while they are sent requests in many short turns, for a machine is not equally fast at all
    times; what a server does after its answers counts too."""
    for side in sides:
        load.seconds(side.server.port, side.case.make(side.known, WARM_UP), side.case.wanted)
    time.sleep(_SETTLED_SECONDS)
    before = [side.server.cpu_seconds() for side in sides]
    rates: list[list[float]] = [[] for _ in sides]
    for turn in range(TURNS):
        for rate, side in list(zip(rates, sides, strict=True))[:: 1 if turn % 2 else -1]:
            requests = side.case.make(side.known, side.count)
            rate.append(side.count / load.seconds(side.server.port, requests, side.case.wanted))
    time.sleep(_SETTLED_SECONDS)
    spent = [side.server.cpu_seconds() - earlier for side, earlier in zip(sides, before, strict=True)]
    return [
        Spent(seconds * 1000 / (TURNS * side.count), max(rate))
        for side, seconds, rate in zip(sides, spent, rates, strict=True)
    ]


def measure(load: Load, target: Target, case: Case, requests: int) -> Figure:
    """The case beside the bare route. `requests` are sent in all, or the case's share of them."""
    own, bare = in_turns(
        load,
        Side(target.service, target.known, case, per_turn(case, requests)),
        Side(target.bare, target.known, BARE, per_turn(BARE, requests)),
    )
    return Figure(case, own.cpu_ms, own.cpu_ms / bare.cpu_ms, own.per_second)


def measure_bare(load: Load, target: Target, requests: int) -> Figure:
    """The yardstick itself."""
    (bare,) = in_turns(load, Side(target.bare, target.known, BARE, per_turn(BARE, requests)))
    return Figure(BARE, bare.cpu_ms, 1.0, bare.per_second)


def per_turn(case: Case, requests: int) -> int:
    """How many of the requests a turn has: an even number, for some come in pairs."""
    return max(2, int(requests * case.share / TURNS) // 2 * 2)


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
