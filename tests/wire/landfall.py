"""Landfall as an operator runs it: `landfall serve` in a process of its own, and the other commands beside it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import httpx

from tests.support.commands import INSTALLED
from tests.support.directories import Directory, Tree
from tests.support.servers import free_port
from tests.support.service import Client

START_SECONDS = 180
_T = TypeVar("_T")

BRAKES = ("LANDFALL_BRAKES_DEACTIVATIONS", "LANDFALL_BRAKES_DELETIONS", "LANDFALL_BRAKES_MEMBER_REMOVALS")
"""They are off in tests that are not about them."""


@dataclass
class Landfall:
    """One copy of the service with its own home and address, started by `command`. `workers` are set to two."""

    home: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    command: Sequence[str] = (*INSTALLED.words, "serve")
    _process: subprocess.Popen[bytes] | None = None
    _clients: list[Client] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def scim_url(self) -> str:
        """The tenant URL."""
        return f"{self.url}/scim/v2"

    @property
    def output(self) -> str:
        """What it has written to both its streams since it was first started."""
        return (self.home.parent / f"{self.home.name}.log").read_text()

    def start(self) -> None:
        """Start it and wait until it can serve. Fails with its output when it does not."""
        with (self.home.parent / f"{self.home.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command, env=self._environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            until(self._ready)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop it in an orderly way; what it stored is kept."""
        while self._clients:
            self._clients.pop().close()
        if self._process is not None:
            self._process.terminate()
            self._process.wait(START_SECONDS)
            self._process = None

    def ended(self) -> int:
        """The exit status, when it has ended of itself."""
        assert self._process is not None
        return self._process.wait(START_SECONDS)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The outcome of another command with the same settings."""
        return INSTALLED.run(arguments, env=self._environment(), timeout=300)

    def report(self, *arguments: str) -> Any:
        """The JSON that a command prints with --json, which has to succeed."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def integration(self, name: str, access: str = "full", *options: str) -> dict[str, Any]:
        """A new integration with its credentials, made by the command."""
        created: dict[str, Any] = self.report("integration", "create", name, "--access", access, *options)
        return created

    def client(self, name: str, access: str = "full", *options: str) -> Client:
        """A client with a token from the token endpoint, of a new integration."""
        return self.speak(access_token(self.integration(name, access, *options)))

    def speak(self, token: str) -> Client:
        """A client with this token, open until the service stops."""
        client = Client(self.scim_url, token)
        self._clients.append(client)
        return client

    def workers(self) -> set[int]:
        """The process ids of gunicorn's workers."""
        assert self._process is not None
        pid = self._process.pid
        return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))

    def connections(self, each: int = 1) -> list[HTTPConnection]:
        """That many kept connections to each worker, those of one worker after those of the other."""
        workers = self.workers()
        found: dict[int, list[HTTPConnection]] = {worker: [] for worker in workers}
        spare: list[HTTPConnection] = []
        while min(map(len, found.values())) < each and len(spare) < 1000:
            connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            mine = found[self.worker_of(connection)]
            (mine if len(mine) < each else spare).append(connection)
        for connection in spare:
            connection.close()
        assert [len(mine) for mine in found.values()] == [each] * len(workers)
        return [connection for mine in found.values() for connection in mine]

    def worker_of(self, connection: HTTPConnection) -> int:
        """The worker at the other end: the one that holds the socket whose inode the system names."""
        remote = f":{connection.sock.getsockname()[1]:04X}"
        rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
        local = f":{self.port:04X}"
        inode = next(r[9] for r in rows if r[1].endswith(local) and r[2].endswith(remote))
        for worker in self.workers():
            for descriptor in Path(f"/proc/{worker}/fd").iterdir():
                if str(_target(descriptor)) == f"socket:[{inode}]":
                    return worker
        raise AssertionError("no worker holds the connection")

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.output
        try:
            return httpx.get(f"{self.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("LANDFALL_")}
        own = {
            "LANDFALL_HOME": str(self.home),
            "LANDFALL_BIND": f"127.0.0.1:{self.port}",
            "LANDFALL_SERVER_WORKERS": "2",
            **dict.fromkeys(BRAKES, "0"),
        }
        return {**inherited, **own, **self.variables}


@contextmanager
def serving(landfall: Landfall) -> Iterator[Landfall]:
    """The copy, running until the block ends."""
    landfall.start()
    try:
        yield landfall
    finally:
        landfall.stop()


def access_token(integration: Mapping[str, Any]) -> str:
    """A token from the token endpoint that the command named."""
    answer = httpx.post(
        integration["token_endpoint"],
        auth=(integration["client_id"], integration["client_secret"]),
        data={"grant_type": "client_credentials"},
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def until(reached: Callable[[], _T]) -> _T:
    """Wait for something to become true, and return it."""
    deadline = time.monotonic() + START_SECONDS
    while not (value := reached()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.1)
    return value


def _target(descriptor: Path) -> Path | None:
    """What an entry of /proc/<pid>/fd stands for; None when it has been closed meanwhile."""
    try:
        return descriptor.readlink()
    except FileNotFoundError:
        return None


def directory_settings(server: Directory, tree: Tree, home: Path) -> dict[str, str]:
    """The settings for a tree of a server, with the shipped bindings for its kind."""
    text = (files("config.bindings") / f"{server.kind}.toml").read_text()
    bases = iter((tree.people, tree.groups))
    bindings = home.parent / f"{home.name}.toml"
    text = re.sub(r'(?m)^base = ".*"$', lambda _: f'base = "{next(bases)}"', text)
    bindings.write_text(re.sub(r'(?m)^retired = ".*"$', f'retired = "{tree.retired}"', text))
    return {
        "LANDFALL_BACKEND": "ldap",
        "LANDFALL_LDAP_SERVERS": server.ldaps_url,
        "LANDFALL_LDAP_BIND_DN": server.service_dn,
        "LANDFALL_LDAP_PASSWORD": server.service_password,
        "LANDFALL_LDAP_CA_FILE": str(server.ca_file),
        "LANDFALL_LDAP_BINDINGS": str(bindings),
    }
