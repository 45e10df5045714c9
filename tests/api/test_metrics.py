"""What `/metrics` tells, and to whom; tests/wire shows it for several processes."""

from __future__ import annotations

import http.client
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from app.control import ControlStore, Wanted, upgrade
from app.factory import create_app
from app.metrics.facts import Facts
from app.scim.query import Draft, Resource
from app.scim.registry import Registry, load
from app.services.around import Around
from app.services.audit import lines
from app.services.audit.spool import Spools
from app.services.brakes import Brakes
from app.services.journal import Actor, Write
from backends.base import Backend
from config.secret import Secret
from config.settings import BrakesSettings, MetricsSettings, Settings
from tests.support.prometheus import Figures
from tests.support.reference import ReferenceBackend
from tests.support.service import Service, quiet, running

Start = Callable[..., Service]

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"
TOKEN = "a-token-of-the-tests-0123456789"
REQUESTS = "landfall_http_requests_total"
LISTED = {"route": "/scim/v2/Users", "method": "GET"}
HERE = {"REMOTE_ADDR": "127.0.0.1"}


@pytest.fixture
def start(backend: Backend, registry: Registry, tmp_path: Path) -> Iterator[Start]:
    """Starts a service with these settings."""
    with ExitStack() as stack:
        yield lambda **tables: stack.enter_context(running(backend, registry, tmp_path, **tables))


def told(service: Service) -> Figures:
    answer = httpx.get(f"{service.settings.issuer}/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Figures(answer.text)


def figure(service: Service, wanted: float, name: str, /, **labels: str) -> Figures:
    """The figures, when one of them is what is wanted: a request is counted after its answer has been sent."""
    deadline = time.monotonic() + 60
    while (found := told(service)).value(name, **labels) != wanted:
        assert time.monotonic() < deadline, found.value(name, **labels)
        time.sleep(0.02)
    return found


def test_nothing_is_told_unless_an_operator_wants_it(client: httpx.Client, service: Service) -> None:
    assert httpx.get(f"{service.settings.issuer}/metrics").status_code == 404


def test_requests_by_route_method_and_status(start: Start, name: str) -> None:
    service = start(metrics=MetricsSettings(enabled=True))
    before = time.time()
    client = service.client()
    id = client.user(f"secretive-{name}")["id"]
    assert client.get(f"/Users/{id}").status_code == 200
    for _ in range(3):
        assert client.search("/Users", f'userName eq "secretive-{name}"').status_code == 200
    assert client.get(f"/Users/secretive-{name}").status_code == 404
    assert service.anonymous.get("/Users").status_code == 401
    address = urlsplit(service.settings.issuer)
    with closing(http.client.HTTPConnection(address.hostname or "", address.port)) as connection:
        connection.request("BREW", f"/pots/secretive-{name}")
        answer = connection.getresponse()
        answer.read()
    assert answer.status in (404, 405)
    figure(service, 3, REQUESTS, **LISTED, status="200")
    figure(service, 1, REQUESTS, **LISTED, status="401")
    one = {"route": "/scim/v2/Users/{id}", "method": "GET"}
    figure(service, 1, REQUESTS, **one, status="404")
    figure(service, 1, REQUESTS, **one, status="200")
    figure(service, 1, REQUESTS, route="/scim/v2/Users", method="POST", status="201")
    figure(service, 1, REQUESTS, route="other", method="other", status=str(answer.status))
    seconds = "landfall_http_request_duration_seconds"
    figures = figure(service, 2, f"{seconds}_count", **one)
    assert figures.value(f"{seconds}_bucket", **one, le="+Inf") == 2
    assert 0 < (figures.value(f"{seconds}_sum", **one) or 0) < time.time() - before
    last = figures.value("landfall_integration_last_request_timestamp_seconds", integration="full-rfc")
    assert last is not None
    assert before <= last <= time.time()
    others = [dict(labels) for labels in figures.labels(REQUESTS) if ("method", "other") in labels]
    assert [(one["route"], one["method"]) for one in others] == [("other", "other")]
    assert figures.value("landfall_control_up") == 1


def test_no_label_is_a_clients(start: Start, name: str) -> None:
    service = start(metrics=MetricsSettings(enabled=True))
    client = service.client()
    client.user(f"secretive-{name}")
    client.search("/Users", f'userName eq "secretive-{name}"')
    client.get(f"/secretive-{name}/x")
    client.request(f"SECRETIVE-{name}".partition("@")[0], "/Users")
    figure(service, 1, REQUESTS, **LISTED, status="200")
    text = httpx.get(f"{service.settings.issuer}/metrics").text.lower()
    assert "secretive" not in text
    assert client.headers["Authorization"].removeprefix("Bearer ").lower() not in text


def test_a_brake_is_told_with_its_reason(start: Start, name: str) -> None:
    limits = BrakesSettings(deactivations=0, deletions=2, member_removals=0, share=0)
    service = start(metrics=MetricsSettings(enabled=True), brakes=limits)
    client = service.client()
    ids = [client.user(f"u{number}-{name}")["id"] for number in range(5)]
    assert [client.delete(f"/Users/{id}").status_code for id in ids] == [204, 204, 503, 503, 503]
    figures = figure(service, 3, "landfall_unavailable_total", reason="brake")
    hasty = {"integration": "full-rfc", "effect": "deletions"}
    assert figures.value("landfall_braked_requests_total", **hasty) == 3
    assert figures.value("landfall_brake_applications_total", **hasty) == 1
    assert figures.value("landfall_brake_limit", **hasty) == 2
    assert (figures.value("landfall_brake_spent", **hasty) or 0) > 2
    (brake,) = service.control.brakes.applied()
    assert figures.value("landfall_brake_applied_timestamp_seconds", **hasty) == brake.applied.timestamp()
    service.control.brakes.release(brake.integration_id)
    after = told(service)
    assert after.labels("landfall_brake_applied_timestamp_seconds") == set()
    assert after.value("landfall_brake_applications_total", **hasty) == 1


def test_the_documentation_names_every_figure_and_no_other(start: Start) -> None:
    service = start(metrics=MetricsSettings(enabled=True))
    text = httpx.get(f"{service.settings.issuer}/metrics").text
    families = set(re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE))
    documented = set(re.findall(r"^\| `(landfall_\w+)`", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE))
    assert {name for name in families if not name.endswith("_created")} == documented
    assert set(re.findall(r"landfall_\w+", DOCUMENT.read_text(encoding="utf-8"))) == documented


def answered(
    settings: Settings, headers: dict[str, str], environ: dict[str, str], base: str = "http://scim.example.org"
) -> tuple[int, str]:
    """Status and body of the answer to a request that comes from another machine, or through a proxy."""
    upgrade(settings.control_url.reveal())
    application = create_app(settings, ReferenceBackend(load()), load())
    with closing(application.extensions["landfall"]):
        answer = application.test_client().get("/metrics", base, headers=headers, environ_base=environ)
        return answer.status_code, answer.text


@pytest.mark.parametrize(
    ("environ", "headers", "status"),
    [
        (HERE, {}, 200),
        ({"REMOTE_ADDR": "::1"}, {}, 200),
        ({"REMOTE_ADDR": "192.0.2.7"}, {}, 403),
        ({"REMOTE_ADDR": ""}, {}, 403),
        (HERE, {"X-Forwarded-For": "127.0.0.1"}, 403),
        (HERE, {"Forwarded": "for=192.0.2.7"}, 403),
        (HERE, {"X-Forwarded-Proto": "https"}, 403),
    ],
)
def test_without_a_token_only_this_machine_is_told(
    tmp_path: Path, environ: dict[str, str], headers: dict[str, str], status: int
) -> None:
    found, text = answered(quiet(tmp_path, 8000, metrics=MetricsSettings(enabled=True)), headers, environ)
    assert found == status
    assert ("landfall_control_up" in text) is (status == 200)


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer  {TOKEN} ", 200),
        (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        (f"Basic {TOKEN}", 401),
        ("Bearer", 401),
        ("Bearer \u00e9", 401),
        ("", 401),
    ],
)
def test_with_a_token_whoever_names_it_is_told(tmp_path: Path, header: str, status: int) -> None:
    settings = quiet(tmp_path, 8000, metrics=MetricsSettings(True, Secret(TOKEN)))
    for environ in (HERE, {"REMOTE_ADDR": "192.0.2.7"}):
        found, text = answered(settings, {"Authorization": header} if header else {}, environ)
        assert found == status
        assert ("landfall_control_up" in text) is (status == 200)
        assert TOKEN not in text


def test_the_token_is_not_taken_in_the_clear_where_https_is_promised(tmp_path: Path) -> None:
    metrics = MetricsSettings(True, Secret(TOKEN))
    settings = quiet(tmp_path, 8000, metrics=metrics, public_url="https://scim.example.org")
    given = {"Authorization": f"Bearer {TOKEN}"}
    assert answered(settings, given, {"REMOTE_ADDR": "192.0.2.7"})[0] == 403
    assert answered(settings, given, {"REMOTE_ADDR": "192.0.2.7"}, "https://scim.example.org")[0] == 200
    assert answered(settings, given, HERE)[0] == 200


def samples(facts: Facts) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = {}
    for family in facts.collect():
        found.update({(s.name, next(iter(s.labels.values()), "")): s.value for s in family.samples})
    return found


class Held(Around):
    """A store in which the creation of whoever is called `slow` takes until `free` is set."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self.begun, self.free = threading.Event(), threading.Event()

    def create(self, kind: str, draft: Draft) -> Resource:
        if draft.values.get("userName") == "slow":
            self.begun.set()
            assert self.free.wait(60)
        return super().create(kind, draft)


def test_what_is_in_the_trail_does_not_wait_for_it(tmp_path: Path, registry: Registry) -> None:
    """A spool in which a write is under way goes on to hold the records of others that are in the trail."""
    held = Held(ReferenceBackend(registry))
    spooled = "landfall_audit_spool_records"
    with (
        running(held, registry, tmp_path, metrics=MetricsSettings(enabled=True)) as service,
        ThreadPoolExecutor() as pool,
    ):
        client = service.client()
        slow = pool.submit(client.user, "slow")
        assert held.begun.wait(60)
        for number in range(3):
            client.user(f"quick{number}")
        deadline = time.monotonic() + 60
        while len(list(service.control.audit.records(Wanted()))) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        figures = told(service)
        held.free.set()
        slow.result()
        assert (tmp_path / "audit").is_dir()
        assert figures.value(spooled, state="under_way") == 1
        assert figures.value(spooled, state="waiting") == 0
        assert figures.value(spooled, state="without_outcome") == 0


def test_records_that_wait_and_a_control_store_that_is_away(tmp_path: Path) -> None:
    spools = Spools(tmp_path / "audit")
    actor = Actor("one", "one", "rfc")
    held, left = spools.open(), spools.open()
    held.append(lines.intent(Write(actor, "create", "User"), 1))
    for _ in range(2):
        held.append(lines.outcome(Write(actor, "create", "User", outcome="done"), 1))
    for _ in range(3):
        left.append(lines.intent(Write(actor, "create", "User"), 1))
    left.close()
    control = ControlStore(f"sqlite:///{tmp_path / 'none.db'}")
    brakes = Brakes(control.brakes, control.managed, ReferenceBackend(load()), BrakesSettings())
    expected: dict[tuple[str, str], Any] = {
        ("landfall_audit_spool_records", "under_way"): 1,
        ("landfall_audit_spool_records", "waiting"): 2,
        ("landfall_audit_spool_records", "without_outcome"): 3,
        ("landfall_control_up", ""): 0,
    }
    assert samples(Facts(control, brakes, spools, minutes=60)) == expected
    held.close()
    control.close()
