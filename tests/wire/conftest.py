"""The service as it is installed: gunicorn with two workers, started by `landfall serve`, on each database."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.service import Client
from tests.wire.landfall import Landfall, serving

_HERE = Path(__file__).parent
_numbers = itertools.count(1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share a running service stay together. The hook is told of every test, of other directories too."""
    for item in items:
        if _HERE not in item.path.parents:
            continue
        parameters: dict[str, object] = getattr(getattr(item, "callspec", None), "params", {})
        if "service" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group(f"wire-{parameters.get('database', '')}"))


@pytest.fixture(scope="session")
def service(
    database: str, new_database: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Landfall]:
    """The running service on a database of each selected kind."""
    home = tmp_path_factory.mktemp("landfall") / "home"
    with serving(Landfall(home, {"LANDFALL_SQL_URL": new_database(database)})) as running:
        yield running


@pytest.fixture(scope="session")
def client(service: Landfall) -> Client:
    """A client with full access."""
    return service.client("tests")


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"wire{next(_numbers)}"
