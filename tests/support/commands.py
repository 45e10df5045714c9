"""The command line for tests that run many commands: each is a fork of a process that has imported everything once.

A new process takes a second and a half to import what it needs, many times what most commands take. A fork has the
environment, working directory, umask, arguments and streams that a new process would have, and ends as one does.
A test that sends signals to a command, reads its output while it runs, or needs its process id starts `words`.
"""

from __future__ import annotations

import atexit
import io
import json
import os
import select
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

from tests.support import command_server
from tests.support.command_server import LENGTH

_AT_START = ("PYTHON", "LC_", "LANG", "TZ", "HOME", "LD_", "LDAP", "OPENSSL_", "PROMETHEUS_")
"""How the names of variables begin that are read when the interpreter starts or a library is loaded. Commands that
differ in one are forks of different processes."""

_STOP_SECONDS = 30


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A way to start `landfall`: by the installed program `script`, or else by `python -m app.cli`; `options` are the
    interpreter's.
    """

    options: tuple[str, ...] = ()
    script: str | None = None

    @property
    def words(self) -> list[str]:
        """What a process of its own is started with; the arguments follow."""
        own = ["-m", "app.cli"] if self.script is None else [self.script]
        return [sys.executable, *self.options, *own]

    def run(
        self,
        arguments: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path | None = None,
        answers: str | None = None,
        timeout: float,
    ) -> subprocess.CompletedProcess[str]:
        """What became of a command, whose standard input has the `answers` and no more.

        Raises subprocess.TimeoutExpired, after the command was ended, when it has run for `timeout` seconds.
        """
        asked = {
            "module": "app.cli",
            "script": self.script,
            "arguments": list(arguments),
            "environ": dict(env),
            "directory": str(cwd or Path.cwd()),
            "umask": _umask(),
        }
        server = _server(self.options, tuple(sorted(_at_start(env).items())))
        words = [*self.words, *arguments]
        with ExitStack() as stack:
            connection = stack.enter_context(server.connect())
            output, error = (stack.enter_context(_Pipe()) for _ in range(2))
            with _standard_input(answers) as given:
                _send(connection, asked, (given, output.writing, error.writing))
            output.close_writing()
            error.close_writing()
            code, out, err = _gather((connection.fileno(), output.reading, error.reading), words, timeout)
        if not code:
            raise RuntimeError(f"the command server has ended: {server.said()}")
        return subprocess.CompletedProcess(words, int(code), _text(out), _text(err))


INSTALLED = CommandLine(script=str(Path(sys.executable).with_name("landfall")))
"""The program as it is installed."""


class _Server:
    """A running command server for one set of options of the interpreter and one of variables."""

    def __init__(self, options: tuple[str, ...], environ: Mapping[str, str]) -> None:
        self._path = Path(tempfile.mkdtemp(prefix="landfall-")) / "commands"
        self._process = subprocess.Popen(
            [sys.executable, *options, command_server.__file__, str(self._path)],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self._process.stdout is not None
        first = self._process.stdout.readline()
        if first != b"ready\n":
            raise RuntimeError((first + self._process.stdout.read()).decode())

    def connect(self) -> socket.socket:
        """A connection for one command."""
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(self._path))
        return connection

    def said(self) -> str:
        """What a server that has ended said last."""
        assert self._process.stdout is not None
        return self._process.stdout.read().decode()

    def stop(self) -> None:
        """End it, and wait until it has ended."""
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait(_STOP_SECONDS)


class _Pipe:
    """A pipe; what is open of it is closed with the block."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        self._open = [self.reading, self.writing]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self._open:
            os.close(self._open.pop())

    def close_writing(self) -> None:
        """So that the pipe ends with the last process that writes to it."""
        os.close(self._open.pop())


@cache
def _server(options: tuple[str, ...], variables: tuple[tuple[str, str], ...]) -> _Server:
    path = os.environ.get("PATH", os.defpath)
    server = _Server(options, {"PATH": path, **dict(variables)})
    atexit.register(server.stop)
    return server


def _at_start(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name.startswith(_AT_START)}


def _umask() -> int:
    # os.umask tells it only by setting another, which files of other threads would be made with.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1], 8) for line in lines if line.startswith("Umask:"))


@contextmanager
def _standard_input(answers: str | None) -> Iterator[int]:
    """What gives the answers and then ends; without any, the null device."""
    if answers is None:
        reading = os.open(os.devnull, os.O_RDONLY)
    else:
        octets = answers.encode()
        assert len(octets) <= select.PIPE_BUF, "the pipe has to take them while nobody reads"
        reading, writing = os.pipe()
        os.write(writing, octets)
        os.close(writing)
    try:
        yield reading
    finally:
        os.close(reading)


def _send(connection: socket.socket, asked: Mapping[str, object], streams: Sequence[int]) -> None:
    body = json.dumps(asked).encode()
    socket.send_fds(connection, [len(body).to_bytes(LENGTH, "big")], streams)
    connection.sendall(body)


def _gather(sources: Sequence[int], words: list[str], timeout: float) -> list[bytes]:
    """All that comes from each, until all have ended."""
    got = [bytearray() for _ in sources]
    deadline = time.monotonic() + timeout
    with selectors.PollSelector() as selector:
        for source, into in zip(sources, got, strict=True):
            selector.register(source, selectors.EVENT_READ, into)
        while selector.get_map():
            ready = selector.select(max(deadline - time.monotonic(), 0))
            if time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired(words, timeout, bytes(got[1]), bytes(got[2]))
            for key, _ in ready:
                part = os.read(key.fd, 1 << 16)
                key.data.extend(part)
                if not part:
                    selector.unregister(key.fd)
    return [bytes(into) for into in got]


def _text(octets: bytes) -> str:
    """As subprocess makes text of output."""
    return io.TextIOWrapper(io.BytesIO(octets)).read()
