"""Private servers for the tests, of them PostgreSQL and MariaDB: temporary directory, free port, no durability.

Root and ordinary users can start them (for root the server runs as an ordinary user of the system); the
servers of the machine are left alone. `stop`, `kill` and `start` keep port and data, so that a test can take
the server away and give it back; `suspend` and `resume` make it hang.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
import pymysql
import pymysql.cursors

HOST = "127.0.0.1"
USER = "landfall"
PASSWORD = "invented"
MAX_CONNECTIONS = 200
START_SECONDS = 60
STARTS = 3
MEMORY = Path("/dev/shm")
MEMORY_BYTES = 8 * 1024**3
_PORTS = range(12_000, 32_000)
"""Below those that Linux gives to clients, unless told otherwise."""
INSTALL = "run deploy/install-test-servers.sh as root, or set BACKENDS to the ones you have"


class ServerMissing(Exception):
    """The programs of a server are not installed; the message says which and what to do."""


class ServerFailed(Exception):
    """A server did not do what it was told; the message ends with its log."""


def free_port() -> int:
    """A TCP port of the loopback address that nothing used a moment ago. It is none of those that the system gives to
    clients, so that a server which is stopped and started again finds its own free."""
    while True:
        port = secrets.choice(_PORTS)
        with suppress(OSError), socket.socket() as probe:
            probe.bind((HOST, port))
            return port


def program(name: str, *directories: str) -> str:
    """The path of an installed program; the directories are searched before PATH. Raises ServerMissing."""
    found = shutil.which(name, path=os.pathsep.join([*directories, os.environ.get("PATH", ""), "/usr/sbin"]))
    if found is None:
        raise ServerMissing(f"{name} is not installed: {INSTALL}")
    return found


class Server(ABC):
    """One private server. As a context manager it is started on entry, and on exit stopped and removed."""

    name: str
    account: str
    _stop_signal: signal.Signals = signal.SIGTERM
    _close_signal: signal.Signals | None = None

    def __init__(self) -> None:
        self.port = free_port()
        self._base = Path(tempfile.mkdtemp(prefix=f"landfall-{self.name}-", dir=_in_memory()))
        self._log = self._base / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = count(1)
        # As root the server gets an account of its own: PostgreSQL refuses to run as root.
        account = pwd.getpwnam(self.account) if os.geteuid() == 0 else None
        self._user = account.pw_uid if account else None
        self._group = account.pw_gid if account else None
        self._own(self._base)

    def __enter__(self) -> Self:
        try:
            self._initialise()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start it, unless it runs, and wait until it accepts a connection. One that does not come up, as what was
        killed may hold its port a moment longer, is started anew. Raises ServerFailed."""
        report = ""
        for _ in range(STARTS):
            if self._process is not None or self._comes_up():
                return
            report = self._report()
            self.kill()
        raise ServerFailed(f"{self.name} did not start\n{report}")

    def _comes_up(self) -> bool:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                env={**os.environ, **self._environment()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._base,
                user=self._user,
                group=self._group,
                extra_groups=None if self._user is None else [],
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def stop(self) -> None:
        """Stop it in an orderly way, without waiting for clients to leave. Port and data are kept."""
        self._end(self._stop_signal)

    def kill(self) -> None:
        """End it at once, as a power failure of the program would. Port and data are kept."""
        self._end(signal.SIGKILL)

    def suspend(self) -> None:
        """Let it hang: connections stay open, are even accepted, and nothing answers."""
        self._signal(signal.SIGSTOP)
        if self._process is not None:
            # The signal has been sent before each thread has stopped.
            os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Let it go on after `suspend`; nothing happens when it was not suspended."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """Stop it and remove its data."""
        self._end(self._close_signal or self._stop_signal)
        shutil.rmtree(self._base, ignore_errors=True)

    @abstractmethod
    def _initialise(self) -> None: ...

    @abstractmethod
    def _command(self) -> Sequence[str]: ...

    @abstractmethod
    def _answers(self) -> bool: ...

    def _environment(self) -> Mapping[str, str]:
        """What the server's process has in its environment besides that of the tests."""
        return {}

    def _report(self) -> str:
        """The end of what it has written about itself."""
        return _tail(self._log.read_bytes())

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        pids = self._pids()
        self.resume()
        self._process.send_signal(how)
        self._process.wait(START_SECONDS)
        self._process = None
        # The children of a killed PostgreSQL end by themselves; it cannot start again before they have.
        deadline = time.monotonic() + START_SECONDS
        while any(_is_alive(pid) for pid in pids) and time.monotonic() < deadline:
            time.sleep(0.01)

    def _signal(self, what: signal.Signals) -> None:
        """To the process first, for a stopped one starts no more children, and then to those it has."""
        for pid in self._pids()[:1]:
            os.kill(pid, what)
        for pid in self._pids()[1:]:
            with suppress(ProcessLookupError):
                os.kill(pid, what)

    def _pids(self) -> list[int]:
        """The process and those that it and they have started, each after the one that started it."""
        # The number of one that has ended and been waited for may be that of another by now.
        pids = [self._process.pid] if self._process is not None and self._process.poll() is None else []
        for pid in pids:
            with suppress(FileNotFoundError, ProcessLookupError):
                pids.extend(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
        return pids

    def _own(self, path: Path) -> None:
        """Give a file to the account that the server runs as."""
        if self._user is not None and self._group is not None:
            os.chown(path, self._user, self._group)

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self._base,
            check=False,
            user=self._user,
            group=self._group,
            extra_groups=None if self._user is None else [],
        )
        if done.returncode:
            raise ServerFailed(f"{command[0]} failed ({done.returncode})\n{_tail(done.stdout)}")


class DatabaseServer(Server):
    """A private server that keeps databases."""

    def new_database(self) -> str:
        """Create an empty database and return its SQLAlchemy address."""
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        self._create(name)
        return self._url(name)

    @abstractmethod
    def _create(self, database: str) -> None: ...

    @abstractmethod
    def _url(self, database: str) -> str: ...


class PostgreSQL(DatabaseServer):
    """A PostgreSQL 15 server, UTF-8, locale C.UTF-8. Raises ServerMissing when it is not installed."""

    name = "postgresql"
    account = "postgres"
    _stop_signal = signal.SIGINT

    def __init__(self) -> None:
        versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
        directories = [str(path) for path in reversed(versions)]
        self._initdb = program("initdb", *directories)
        self._postgres = program("postgres", *directories)
        super().__init__()

    def _initialise(self) -> None:
        password = self._base / "password"
        password.write_text(PASSWORD)
        self._own(password)
        options = ("-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        self._run(self._initdb, "-D", str(self._base / "data"), "-U", USER, f"--pwfile={password}", *options)

    def _command(self) -> Sequence[str]:
        settings = {
            "listen_addresses": HOST,
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": MAX_CONNECTIONS,
            "shared_buffers": "64MB",
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [self._postgres, "-D", str(self._base / "data"), *options]

    def _create(self, database: str) -> None:
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}"')

    def _answers(self) -> bool:
        try:
            psycopg.connect(self._address("postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _address(self, database: str) -> str:
        return f"postgresql://{USER}:{PASSWORD}@{HOST}:{self.port}/{database}"

    def _url(self, database: str) -> str:
        return self._address(database).replace("postgresql:", "postgresql+psycopg:", 1)


class MariaDB(DatabaseServer):
    """A MariaDB 10.11 server, utf8mb4. Raises ServerMissing when it is not installed."""

    name = "mariadb"
    account = "nobody"
    # In an orderly end it would write for seconds what is removed then.
    _close_signal = signal.SIGKILL

    def __init__(self) -> None:
        self._install = program("mariadb-install-db")
        self._mariadbd = program("mariadbd")
        super().__init__()

    def _initialise(self) -> None:
        self._run(
            self._install,
            "--no-defaults",
            f"--datadir={self._base / 'data'}",
            # What starts removes what looks like another one's temporary tables, and this starts a server too.
            f"--tmpdir={self._base}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-log-file-size=16M",
        )
        # It reads its first statements from a file, so that nothing connects as its root without password.
        script = self._base / "accounts.sql"
        script.write_text(
            f"CREATE USER IF NOT EXISTS {USER}@'{HOST}' IDENTIFIED BY '{PASSWORD}';\n"
            f"GRANT ALL ON *.* TO {USER}@'{HOST}';\n"
        )
        self._own(script)

    def _command(self) -> Sequence[str]:
        return [
            self._mariadbd,
            "--no-defaults",
            f"--datadir={self._base / 'data'}",
            f"--tmpdir={self._base}",
            f"--socket={self._base / 'socket'}",
            f"--pid-file={self._base / 'pid'}",
            f"--init-file={self._base / 'accounts.sql'}",
            f"--bind-address={HOST}",
            f"--port={self.port}",
            f"--max-connections={MAX_CONNECTIONS}",
            "--skip-name-resolve",
            "--character-set-server=utf8mb4",
            "--collation-server=utf8mb4_nopad_bin",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-buffer-pool-size=64M",
            "--innodb-log-file-size=16M",
        ]

    def _create(self, database: str) -> None:
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE `{database}` CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin")

    def _connect(self) -> pymysql.Connection[pymysql.cursors.Cursor]:
        return pymysql.connect(host=HOST, port=self.port, user=USER, password=PASSWORD, connect_timeout=5)

    def _answers(self) -> bool:
        try:
            self._connect().close()
        except pymysql.err.OperationalError:
            return False
        return True

    def _url(self, database: str) -> str:
        return f"mysql+pymysql://{USER}:{PASSWORD}@{HOST}:{self.port}/{database}?charset=utf8mb4"


@cache
def _in_memory() -> str | None:
    """Where a file system in memory with room for the servers of several workers is mounted. Nothing that servers write
    has to outlive the machine."""
    try:
        found = os.statvfs(MEMORY)
    except OSError:
        return None
    fits = found.f_bavail * found.f_frsize >= MEMORY_BYTES and not found.f_flag & (os.ST_NOEXEC | os.ST_RDONLY)
    return str(MEMORY) if fits and os.access(MEMORY, os.W_OK | os.X_OK) else None


def _tail(log: bytes) -> str:
    return log.decode(errors="replace")[-4000:]


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
