"""A process that has imported the command line once, and forks for each command. `tests.support.commands` starts it.

It is a program, not a module: it takes the path of the socket that it listens on, says `ready`, and ends when its
standard input does. No thread is started and nothing is opened in it, so that a fork is what a new process is after its
imports.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import random
import runpy
import selectors
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

LATER = (
    "alembic.autogenerate",
    "alembic.command",
    "alembic.config",
    "alembic.runtime.migration",
    "app.demo",
    "backends.ldap.opening",
    "backends.sql.backend",
    "backends.sql.trying",
    "backends.sql.upgrade",
    "sqlalchemy.dialects.mysql.pymysql",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.pysqlite",
)
"""What commands import only when they come to need it."""

DRIVERS = ("psycopg", "pymysql", "backends.ldap.drivers.with_libldap")
"""The same, where the library is installed."""

LENIENT = ("backends.ldap.drivers.with_ldap3",)
"""The same, where warnings that it makes are no errors: ldap3 uses names that pyasn1 has deprecated."""

LENGTH = 4
"""The octets that a request begins with: how long the rest is."""


@dataclass(frozen=True, slots=True)
class Command:
    """What a fork is to be. Without `script` it is `python -m module`."""

    module: str
    script: str | None
    arguments: list[str]
    environ: dict[str, str]
    directory: str
    umask: int


@dataclass(frozen=True, slots=True)
class Running:
    """A fork, what tells that it has ended, and where its exit status goes."""

    process: int
    ended: int
    answer: socket.socket


class Server:
    """Forks for each request, and tells its sender the exit status. A sender that goes away ends its command."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._selector = selectors.PollSelector()
        self._selector.register(listener, selectors.EVENT_READ)
        self._selector.register(sys.stdin, selectors.EVENT_READ)

    def command(self) -> Command | None:
        """In each fork, what it is to be; in the server itself None, at its end."""
        while True:
            # One at a time: it may undo what another was told of.
            for key, _ in self._selector.select()[:1]:
                if key.fileobj is sys.stdin:
                    self._end()
                    return None
                if key.fileobj is self._listener:
                    command = self._accept()
                    if command is not None:
                        return command
                elif key.fd == key.data.ended:
                    self._has_ended(key.data)
                else:
                    self._selector.unregister(key.fileobj)
                    os.kill(key.data.process, signal.SIGKILL)

    def _accept(self) -> Command | None:
        answer, _ = self._listener.accept()
        first, streams, _, _ = socket.recv_fds(answer, LENGTH, 3)
        with answer.makefile("rb") as rest:
            command = Command(**json.loads(rest.read(int.from_bytes(first, "big"))))
        assert len([*Path("/proc/self/task").iterdir()]) == 1, "a fork has one thread only"
        process = os.fork()
        if process == 0:
            answer.close()
            self._leave()
            _become(command, streams)
            return command
        for stream in streams:
            os.close(stream)
        running = Running(process, os.pidfd_open(process), answer)
        self._selector.register(running.ended, selectors.EVENT_READ, running)
        self._selector.register(answer, selectors.EVENT_READ, running)
        return None

    def _has_ended(self, running: Running) -> None:
        _, status = os.waitpid(running.process, 0)
        self._selector.unregister(running.ended)
        os.close(running.ended)
        with suppress(KeyError):
            self._selector.unregister(running.answer)
        with running.answer, suppress(BrokenPipeError):
            running.answer.sendall(str(os.waitstatus_to_exitcode(status)).encode())

    def _end(self) -> None:
        """End what still runs: whoever asked for it is no longer there."""
        for key in self._selector.get_map().values():
            if key.data is not None and key.fd == key.data.ended:
                os.kill(key.data.process, signal.SIGKILL)

    def _leave(self) -> None:
        """Close what is the server's alone."""
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
            elif isinstance(key.fileobj, int):
                os.close(key.fileobj)
        self._selector.close()


def _become(command: Command, streams: list[int]) -> None:
    """Make this fork the process that was asked for."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(command.directory)
    os.umask(command.umask)
    os.environ.clear()
    os.environ.update(command.environ)
    random.seed()


def _run(command: Command) -> NoReturn:
    """Do what the interpreter does with its own arguments."""
    start = ["-m", command.module] if command.script is None else [command.script]
    own = len(sys.orig_argv) - len(sys.argv)
    sys.orig_argv[own:] = [*start, *command.arguments]
    sys.argv[:] = [start[0], *command.arguments]
    if not sys.flags.safe_path:
        sys.path.insert(0, command.directory if command.script is None else str(Path(command.script).resolve().parent))
    if command.script is None:
        runpy.run_module(command.module, run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(command.script, run_name="__main__")
    sys.exit()


def _load() -> None:
    """Import all that commands may need."""
    main = importlib.import_module("app.cli.main")
    for name in sorted(set(main._MODULES.values())):
        importlib.import_module(f"app.cli.{name}")
    for name in LATER:
        importlib.import_module(name)
    for name in DRIVERS:
        with suppress(ImportError):
            importlib.import_module(name)
    if "error" not in sys.warnoptions or "ignore::DeprecationWarning" in sys.warnoptions:
        for name in LENIENT:
            importlib.import_module(name)
    gc.collect()
    gc.freeze()


def _serve(path: Path) -> Command | None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        os.write(sys.stdout.fileno(), b"ready\n")
        command = Server(listener).command()
    if command is None:
        path.unlink()
        path.parent.rmdir()
    return command


if __name__ == "__main__":
    if not sys.flags.safe_path:
        # The directory of this file: the modules in it are not at the top for a command.
        del sys.path[0]
    _load()
    # The fork runs out here, where the interpreter ends: nothing of the server is above the command.
    if (wanted := _serve(Path(sys.argv[1]))) is not None:
        _run(wanted)
