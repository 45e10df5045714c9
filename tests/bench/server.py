"""The services to be measured: gunicorn with one worker, and what its processes have spent."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.servers import free_port

ROOT = Path(__file__).parents[2]
START_SECONDS = 30
_OF_PROCESS = 2
"""What makes the id of a clock of a process's id (CPUCLOCK_SCHED of Linux)."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running gunicorn."""

    port: int
    process: subprocess.Popen[bytes]

    def cpu_seconds(self) -> float:
        """User and system time of gunicorn and its worker so far; that of a database server is not in it."""
        return sum(map(_cpu_seconds, (self.process.pid, *_children(self.process.pid))))


@contextmanager
def serving(home: Path, application: str, probe: str, environment: Mapping[str, str]) -> Iterator[Server]:
    """gunicorn with the configuration of the service and one worker, until the block ends."""
    port = free_port()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LANDFALL_")}
    variables = {"LANDFALL_HOME": str(home), "LANDFALL_BIND": f"127.0.0.1:{port}", "LANDFALL_SERVER_WORKERS": "1"}
    # The brakes count, and are never applied.
    variables |= {f"LANDFALL_BRAKES_{name}": "10000000" for name in ("DEACTIVATIONS", "DELETIONS", "MEMBER_REMOVALS")}
    log = home / f"{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", application],
            cwd=ROOT,
            env={**clean, **variables, **environment},
            stdout=output,
            stderr=output,
        )
    try:
        _wait(f"http://127.0.0.1:{port}{probe}", process, log)
        yield Server(port, process)
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            httpx.get(url).raise_for_status()
        except httpx.HTTPError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"gunicorn did not start\n{log.read_text()[-4000:]}") from None
            time.sleep(0.05)
        else:
            return


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _cpu_seconds(pid: int) -> float:
    """CPU time of a process, with its threads that have ended; to the nanosecond, unlike what /proc tells."""
    return time.clock_gettime((~pid << 3) | _OF_PROCESS)
