"""Databases and directories for the tests. `BACKENDS` names the kinds to test: all by default.

A kind that is selected and not installed fails; nothing is left out silently. Under pytest-xdist each worker
has its own servers, started when a test first asks for them.
"""

from __future__ import annotations

import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.directory_base import Directory
from tests.support.directory_tls import Authority
from tests.support.servers import DatabaseServer, MariaDB, PostgreSQL

DATABASES = ("sqlite", "postgresql", "mariadb")
DIRECTORIES = ("openldap", "389ds", "samba")

SECONDS = {
    "tests/api/test_histories.py": 200,
    "tests/sql/test_large_group.py": 20,
    "tests/wire/test_hostile.py": 0.1,
    "tests/wire/": 5,
    "tests/cli/": 0.8,
    "tests/conformance/test_generated_filters.py": 4,
    "tests/conformance/test_state_machine.py": 4,
    "tests/conformance/test_concurrency.py": 1.5,
    "tests/conformance/test_cost.py": 1,
    "tests/conformance/test_sort_and_windows.py": 1,
    "tests/conformance/test_filters.py": 0.4,
    "tests/services/test_undo_histories.py": 3,
}
"""About how long a test of these takes; of others it is a tenth."""


def pytest_configure(config: pytest.Config) -> None:
    """Afterwards this process and those that it starts have one authority to trust where they name none, and it has
    signed nothing. To read all that a system knows takes a tenth of a second, for each connection to MariaDB anew."""
    if hasattr(config, "workerinput"):
        return
    directory = tempfile.TemporaryDirectory(prefix="landfall-authority-")
    config.add_cleanup(directory.cleanup)
    file = Path(directory.name, "authority.pem")
    file.write_bytes(Authority("Authority of nobody").certificate_pem)
    os.environ["SSL_CERT_FILE"] = str(file)


def selected_backends() -> tuple[str, ...]:
    """The database kinds to test, in a fixed order. Raises UsageError for a name that is none."""
    return _selected(DATABASES)


def selected_directories() -> tuple[str, ...]:
    """The kinds of directory to test, in a fixed order. Raises UsageError for a name that is none."""
    return _selected(DIRECTORIES)


def _selected(among: tuple[str, ...]) -> tuple[str, ...]:
    known = (*DATABASES, *DIRECTORIES)
    text = os.environ.get("BACKENDS") or ",".join(known)
    names = {name.strip() for name in text.split(",") if name.strip()}
    if not names or not names <= set(known):
        raise pytest.UsageError(f"BACKENDS={text}: name some of {', '.join(known)}")
    return tuple(name for name in among if name in names)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`database` takes each selected kind in turn, and with it `sql_url`."""
    if "database" in metafunc.fixturenames:
        metafunc.parametrize("database", selected_backends(), indirect=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Under `--dist loadgroup` the tests of one file on one store stay together, with what they share. Has to be
    done before xdist looks at the markers."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            parameters: dict[str, object] = getattr(getattr(item, "callspec", None), "params", {})
            file = item.nodeid.partition("::")[0]
            store = parameters.get("database", parameters.get("store_name", ""))
            item.add_marker(pytest.mark.xdist_group(f"{file}-{store}"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Under pytest-xdist the group that takes longest comes first: if it came last, one worker would go on when the
    others have nothing to do. It has no effect without `--no-loadscope-reorder`, for xdist itself goes by how many
    tests a group has."""
    if not hasattr(session.config, "workerinput"):
        return
    seconds: dict[str, float] = defaultdict(float)
    for item in session.items:
        seconds[_group(item)] += _seconds(item)
    # Each group's tests stay in their order, by which what they share is made once.
    session.items.sort(key=lambda item: (-seconds[_group(item)], _group(item)))


def _group(item: pytest.Item) -> str:
    marker = item.get_closest_marker("xdist_group")
    assert marker is not None
    return str(marker.args[0])


def _seconds(item: pytest.Item) -> float:
    return next((seconds for start, seconds in SECONDS.items() if item.nodeid.startswith(start)), 0.1)


@pytest.fixture(scope="session")
def database_servers() -> Iterator[Callable[[str], DatabaseServer]]:
    """The running server of a kind (`postgresql`, `mariadb`); one of each serves the whole run."""
    running: dict[str, DatabaseServer] = {}
    kinds: dict[str, type[DatabaseServer]] = {"postgresql": PostgreSQL, "mariadb": MariaDB}
    with ExitStack() as stack:

        def server(kind: str) -> DatabaseServer:
            if kind not in running:
                running[kind] = stack.enter_context(kinds[kind]())
            return running[kind]

        yield server


@pytest.fixture(scope="session")
def postgresql_server(database_servers: Callable[[str], DatabaseServer]) -> DatabaseServer:
    """The PostgreSQL of this run. A test that stops it starts it again."""
    return database_servers("postgresql")


@pytest.fixture(scope="session")
def mariadb_server(database_servers: Callable[[str], DatabaseServer]) -> DatabaseServer:
    """The MariaDB of this run. A test that stops it starts it again."""
    return database_servers("mariadb")


@pytest.fixture(scope="session")
def new_database(
    database_servers: Callable[[str], DatabaseServer], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], str]:
    """Makes an empty database of the given kind and returns its SQLAlchemy address."""

    def make(kind: str) -> str:
        if kind == "sqlite":
            return f"sqlite:///{tmp_path_factory.mktemp('sqlite') / 'landfall.db'}"
        return database_servers(kind).new_database()

    return make


@pytest.fixture(scope="session")
def directory_servers() -> Iterator[Callable[[str], Directory]]:
    """The running server of a kind (`openldap`, `389ds`, `samba`); one of each serves the whole run."""
    from tests.support.directories import DIRECTORY_SERVERS

    running: dict[str, Directory] = {}
    with ExitStack() as stack:

        def server(kind: str) -> Directory:
            if kind not in running:
                running[kind] = stack.enter_context(DIRECTORY_SERVERS[kind]())
            return running[kind]

        yield server


@pytest.fixture(scope="session")
def database(request: pytest.FixtureRequest) -> str:
    """The kind of database under test: sqlite, postgresql or mariadb."""
    return str(request.param)


@pytest.fixture
def sql_url(database: str, new_database: Callable[[str], str]) -> str:
    """The SQLAlchemy address of a fresh, empty database of each selected kind in turn."""
    return new_database(database)
