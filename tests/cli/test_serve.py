"""`landfall serve`: from nothing to a service that answers, and again."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.cli.conftest import Landfall
from tests.support.commands import CommandLine
from tests.support.servers import free_port


class Served:
    """A running service and what it printed before it answered."""

    def __init__(self, printed: str, http: httpx.Client) -> None:
        self.printed = printed
        self.http = http

    def field(self, name: str) -> str:
        found = re.search(rf"^  {name} +(\S+)$", self.printed, re.MULTILINE)
        assert found is not None, self.printed
        return found[1]

    def status_with(self, client_id: str, secret: str) -> int:
        form = {"grant_type": "client_credentials"}
        answer = self.http.post("/oauth/token", data=form, auth=(client_id, secret))
        if answer.status_code != 200:
            return answer.status_code
        headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        return self.http.get("/scim/v2/Users", headers=headers).status_code


@contextmanager
def serving(landfall: Landfall, port: int) -> Iterator[Served]:
    log = landfall.directory / "serve.log"
    environ = {**landfall.environ, "LANDFALL_BIND": f"127.0.0.1:{port}"}
    with log.open("w") as output:
        process = subprocess.Popen(
            [*CommandLine().words, "serve"], env=environ, cwd=landfall.directory, stdout=output, stderr=output
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", verify=False) as http:
            while not _answers(http):
                assert process.poll() is None, log.read_text()
                time.sleep(0.05)
            yield Served(log.read_text(), http)
    finally:
        process.terminate()
        process.wait(60)


def _answers(http: httpx.Client) -> bool:
    try:
        return http.get("/oauth/jwks").status_code == 200
    except httpx.TransportError:
        return False


def test_the_first_start_makes_everything_and_the_second_keeps_it(landfall: Landfall) -> None:
    port = free_port()
    with serving(landfall, port) as first:
        assert first.field("Tenant URL") == f"http://127.0.0.1:{port}/scim/v2"
        assert first.field("Token endpoint") == f"http://127.0.0.1:{port}/oauth/token"
        assert str(landfall.home / "landfall.db") in first.printed
        client = first.field("Client ID"), first.field("Client secret")
        assert first.status_with(*client) == 200
        keys = first.http.get("/oauth/jwks").json()
        assert landfall.home.stat().st_mode & 0o777 == 0o700
        created = landfall.json("integration", "create", "second", "--access", "read-only")
        second_client = created["client_id"], created["client_secret"]
        assert first.status_with(*second_client) == 200
    with serving(landfall, port) as second:
        assert second.field("Tenant URL") == f"http://127.0.0.1:{port}/scim/v2"
        assert "lfs_" not in second.printed
        assert "landfall integration list" in second.printed
        assert [second.status_with(*credentials) for credentials in (client, second_client)] == [200, 200]
        assert second.http.get("/oauth/jwks").json() == keys
        landfall.output("integration", "revoke", "entra-id")
        assert [second.status_with(*client) for _ in range(4)] == [401] * 4
    assert [item["name"] for item in landfall.json("integration", "list")] == ["entra-id", "second"]


def test_a_home_that_cannot_be_made_is_one_clear_sentence(landfall: Landfall) -> None:
    landfall.home.write_text("in the way")
    message = landfall.refusal("serve")
    assert str(landfall.home) in message
