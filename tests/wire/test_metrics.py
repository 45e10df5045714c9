"""The figures of a service with several workers, as Prometheus gets them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import httpx

from tests.support.prometheus import Figures
from tests.wire.landfall import Landfall, access_token, serving, until

LIMIT = 10
TOKEN = "a-token-of-the-tests-0123456789"
ENABLED = {"LANDFALL_METRICS_ENABLED": "true"}
REQUESTS = "landfall_http_requests_total"
LISTED = {"route": "/scim/v2/Users", "method": "GET"}


def _asked(connection: HTTPConnection, path: str, headers: dict[str, str] | None = None) -> str:
    connection.request("GET", path, headers=headers or {})
    return connection.getresponse().read().decode()


def _told(connection: HTTPConnection, reached: Callable[[Figures], bool]) -> Figures:
    """What one worker says once it is so: a request is counted when its answer has been sent."""

    def look() -> Figures | None:
        found = Figures(_asked(connection, "/metrics"))
        return found if reached(found) else None

    figures = until(look)
    assert figures is not None
    return figures


def test_each_worker_tells_what_all_have_done(tmp_path: Path) -> None:
    """Also what one did that is no more; a new start counts anew."""
    landfall = Landfall(tmp_path / "home", ENABLED)
    with serving(landfall):
        began = time.time()
        token = {"Authorization": f"Bearer {access_token(landfall.integration('counted'))}"}
        connections = landfall.connections(2)
        assert len({landfall.worker_of(connection) for connection in connections}) == 2
        for connection in connections:
            for _ in range(5):
                _asked(connection, "/scim/v2/Users")
            for _ in range(3):
                _asked(connection, "/scim/v2/Users", token)

        def complete(figures: Figures) -> bool:
            counts = [figures.value(REQUESTS, **LISTED, status=status) for status in ("401", "200")]
            return counts == [20, 12]

        for connection in connections[::2]:
            figures = _told(connection, complete)
            assert figures.value("landfall_http_request_duration_seconds_count", **LISTED) == 32
            last = figures.value("landfall_integration_last_request_timestamp_seconds", integration="counted")
            assert last is not None
            assert began <= last <= time.time()
        for connection in connections:
            connection.close()
        gone = min(landfall.workers())
        os.kill(gone, signal.SIGKILL)
        until(lambda: len(landfall.workers()) == 2 and gone not in landfall.workers())
        connections = landfall.connections(1)
        for connection in connections:
            _told(connection, complete)
        for connection in connections:
            _asked(connection, "/scim/v2/Users")
        for connection in connections:
            _told(connection, lambda figures: figures.value(REQUESTS, **LISTED, status="401") == 22)
            connection.close()
        files = list((landfall.home / "metrics").rglob("*"))
        assert files
        assert not any(path.stat().st_mode & 0o077 for path in files if path.is_dir())
        assert (landfall.home / "metrics").stat().st_mode & 0o077 == 0
    with serving(landfall):
        answer = httpx.get(f"{landfall.url}/metrics")
        assert Figures(answer.text).labels(REQUESTS).isdisjoint({frozenset({**LISTED, "status": "200"}.items())})


def test_a_brake_that_many_requests_meet_is_applied_once(tmp_path: Path) -> None:
    variables = {**ENABLED, "LANDFALL_BRAKES_DELETIONS": str(LIMIT), "LANDFALL_BRAKES_SHARE": "0"}
    with serving(Landfall(tmp_path / "home", variables)) as landfall:
        token = access_token(landfall.integration("hasty"))
        client = landfall.speak(token)
        ids = [client.user(f"user{number}@corp.example")["id"] for number in range(LIMIT + 8)]
        clients = [landfall.speak(token) for _ in range(8)]
        with ThreadPoolExecutor(len(clients)) as pool:
            jobs = [pool.submit(clients[n % len(clients)].delete, f"/Users/{id}") for n, id in enumerate(ids)]
        codes = [job.result().status_code for job in jobs]
        assert (codes.count(204), codes.count(503)) == (LIMIT, 8)
        hasty = {"integration": "hasty", "effect": "deletions"}

        def told(figures: Figures) -> bool:
            return figures.value("landfall_unavailable_total", reason="brake") == 8

        for connection in landfall.connections(1):
            figures = _told(connection, told)
            assert figures.value("landfall_braked_requests_total", **hasty) == 8
            assert figures.value("landfall_brake_applications_total", **hasty) == 1
            assert figures.value("landfall_brake_limit", **hasty) == LIMIT
            assert figures.value("landfall_brake_spent", **hasty) == LIMIT + 1
            assert figures.value("landfall_brake_applied_timestamp_seconds", **hasty) is not None
            assert figures.value("landfall_control_up") == 1
            connection.close()
        assert landfall.run("brakes", "release", "hasty").returncode == 0
        after = Figures(httpx.get(f"{landfall.url}/metrics").text)
        assert after.labels("landfall_brake_applied_timestamp_seconds") == set()


def test_the_token_is_read_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text(f"{TOKEN}\n")
    with serving(Landfall(tmp_path / "home", {**ENABLED, "LANDFALL_METRICS_TOKEN_FILE": str(secret)})) as landfall:
        refused = httpx.get(f"{landfall.url}/metrics")
        assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
        answer = httpx.get(f"{landfall.url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == 200
        assert TOKEN not in landfall.output


def test_without_the_setting_nothing_is_counted(tmp_path: Path) -> None:
    with serving(Landfall(tmp_path / "home")) as landfall:
        assert httpx.get(f"{landfall.url}/metrics").status_code == 404
        assert not (landfall.home / "metrics").exists()
