"""`python -m tests.bench`: measure, and print the tables."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

import httpx
from rich.console import Console
from rich.table import Table

from tests.bench.audit import AuditFigure, measure_audit
from tests.bench.cases import CASES, Case
from tests.bench.load import CONNECTIONS, Load, client
from tests.bench.measure import (
    LARGE,
    SMALL,
    TURNS,
    Comparison,
    Figure,
    SizeFigure,
    Target,
    compare,
    measure,
    measure_bare,
    measure_sizes,
)
from tests.bench.population import GROUPS, USERS, populate
from tests.bench.profiling import profile
from tests.bench.server import Server, serving
from tests.bench.storage import NAMES, Storage, prepare, storage

SIZE_TARGET = 1.5
AUDIT_TARGET = 1.15


def main() -> None:
    """Measure what was asked for."""
    arguments = _arguments()
    console = Console(width=100)
    if arguments.profile:
        case = next(case for case in CASES if case.name == arguments.profile)
        name = arguments.backends.partition(",")[0]
        console.print(_layers(name, case, profile(name, case, max(1, arguments.requests // 40))))
        return
    names = [name.strip() for name in arguments.backends.split(",") if name.strip()]
    if unknown := set(names) - set(NAMES):
        raise SystemExit(f"there is no {', '.join(sorted(unknown))}; known are {', '.join(NAMES)}")
    console.print(
        f"One gunicorn worker with threads, {USERS} users and {GROUPS} groups, {CONNECTIONS} kept connections, "
        f"up to {arguments.requests} requests of a case in {TURNS} turns with the bare route. "
        "CPU is that of gunicorn alone."
    )
    measured: dict[str, Sequence[Figure]] = {}
    with client() as load:
        for name in names:
            if arguments.audit:
                console.print(_audit(name, measure_audit(load, name, arguments.requests, _token)))
                continue
            with storage(name) as store:
                measured[name] = _measure_all(console, load, name, store, arguments.requests)
    for name, figures in measured.items():
        if comparisons := compare(name, figures, measured.get("sqlite", ())):
            console.print(_beside_sqlite(name, comparisons))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    # Of what BACKENDS names, that which is measured; OpenLDAP with both libraries.
    named = (os.environ.get("BACKENDS") or "sqlite,postgresql,openldap").replace(
        "openldap", "openldap,openldap-libldap"
    )
    default = ",".join(name for name in named.split(",") if name in NAMES)
    parser.add_argument("--backends", default=default, help=", ".join(NAMES))
    parser.add_argument("--requests", type=int, default=8000, help="most requests of a case (default: 8000)")
    parser.add_argument("--audit", action="store_true", help="measure writes with and without the audit only")
    parser.add_argument("--profile", choices=[case.name for case in CASES], help="show where a case's time goes")
    return parser.parse_args()


def _measure_all(console: Console, load: Load, name: str, store: Storage, requests: int) -> Sequence[Figure]:
    client_id, secret = prepare(store.home)
    with (
        serving(store.home, "tests.bench.bare:application", "/bare", {}) as bare,
        serving(store.home, "wsgi:application", "/readyz", store.variables) as service,
    ):
        target = Target(service, bare, populate(service.port, _token(service, client_id, secret)))
        figures = [measure_bare(load, target, requests), *(measure(load, target, case, requests) for case in CASES)]
        console.print(_figures(name, figures))
        console.print(_sizes(name, measure_sizes(load, target, store)))
    return figures


def _token(service: Server, client_id: str, secret: str) -> str:
    url = f"http://127.0.0.1:{service.port}/oauth/token"
    answer = httpx.post(url, auth=(client_id, secret), data={"grant_type": "client_credentials"}, timeout=30)
    return str(answer.raise_for_status().json()["access_token"])


def _figures(name: str, figures: Sequence[Figure]) -> Table:
    table = Table("case", title=f"What a request costs on {name}")
    for column in ("CPU ms", "requests/s", "bare routes", "target", "met"):
        table.add_column(column, justify="right")
    for figure in figures:
        target = figure.case.target
        goal = ("", "") if target is None else (f"{target:g}", _met(figure.ratio, target))
        numbers = (f"{figure.cpu_ms:.2f}", f"{figure.per_second:.0f}", f"{figure.ratio:.1f}")
        table.add_row(figure.case.title, *numbers, *goal)
    return table


def _sizes(name: str, figures: Sequence[SizeFigure]) -> Table:
    table = Table("operation", title=f"A group of {SMALL:,} and one of {LARGE:,} members on {name}")
    for column in (f"ms at {SMALL:,}", f"ms at {LARGE:,}", "ratio", "target", "met"):
        table.add_column(column, justify="right")
    for figure in figures:
        times = (f"{figure.small_ms:.2f}", f"{figure.large_ms:.2f}", f"{figure.ratio:.2f}")
        table.add_row(figure.title, *times, f"{SIZE_TARGET:g}", _met(figure.ratio, SIZE_TARGET))
    return table


def _beside_sqlite(name: str, comparisons: Sequence[Comparison]) -> Table:
    table = Table("case", title=f"CPU on {name} beside SQLite")
    for column in ("ratio", "target", "met"):
        table.add_column(column, justify="right")
    for row in comparisons:
        goal = ("", "") if row.target is None else (f"{row.target:g}", _met(row.ratio, row.target))
        table.add_row(row.title, f"{row.ratio:.2f}", *goal)
    return table


def _audit(name: str, figures: Sequence[AuditFigure]) -> Table:
    table = Table("request", title=f"With and without the audit on {name}")
    for column in ("ms with", "ms without", "ratio", "target", "met"):
        table.add_column(column, justify="right")
    for figure in figures:
        times = (f"{figure.with_ms:.2f}", f"{figure.without_ms:.2f}", f"{figure.ratio:.2f}")
        table.add_row(figure.case.title, *times, f"{AUDIT_TARGET:g}", _met(figure.ratio, AUDIT_TARGET))
    return table


def _layers(name: str, case: Case, spent: Sequence[tuple[str, float]]) -> Table:
    table = Table("layer", title=f"{case.title}: CPU by layer ({name})")
    table.add_column("ms", justify="right")
    table.add_column("share", justify="right")
    total = sum(ms for _, ms in spent)
    for layer, ms in spent:
        table.add_row(layer, f"{ms:.3f}", f"{ms / total:.0%}")
    table.add_row("together", f"{total:.3f}", "")
    return table


def _met(value: float, target: float) -> str:
    return "yes" if value <= target else "no"


if __name__ == "__main__":
    main()
