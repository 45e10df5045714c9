"""Two workers of one service, which share a control store as gunicorn's workers do."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.auth.keys import new_key
from app.control import Access, ControlStore, Dialect, upgrade
from config.settings import Settings
from tests.auth.service import Client, Service, running
from tests.control.clock import Clock

PUBLIC_URL = "https://scim.example/t1"

NewClient = Callable[..., Client]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", public_url=PUBLIC_URL)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A control store with one signing key, to be copied: making both takes longer than most tests."""
    path = tmp_path_factory.mktemp("template") / "control.db"
    upgrade(f"sqlite:///{path}")
    store = ControlStore(f"sqlite:///{path}", clock=Clock())
    store.replace_signing_key(new_key(), previous=None)
    store.close()
    return path


@pytest.fixture
def control(settings: Settings, clock: Clock, template: Path) -> Iterator[ControlStore]:
    """The store as an operator's command sees it."""
    settings.home.mkdir()
    shutil.copy(template, settings.home / "control.db")
    store = ControlStore(settings.control_url.reveal(), clock=clock)
    yield store
    store.close()


@pytest.fixture
def start(settings: Settings, control: ControlStore, clock: Clock) -> Iterator[Callable[..., Service]]:
    """Starts a further worker, with other settings where they are given."""
    with ExitStack() as stack:

        def make(changed: Settings | None = None) -> Service:
            used = changed or settings
            own = ControlStore(used.control_url.reveal(), clock=clock)
            stack.callback(own.close)
            return stack.enter_context(running(used, own, clock))

        yield make


@pytest.fixture
def service(start: Callable[..., Service]) -> Service:
    return start()


@pytest.fixture
def other_worker(start: Callable[..., Service]) -> Service:
    return start()


@pytest.fixture
def new_client(control: ControlStore) -> NewClient:
    """Makes an integration with one secret."""

    def make(name: str, access: Access = Access.FULL) -> Client:
        integration = control.create_integration(name, access, Dialect.ENTRA)
        return Client(integration.id, control.add_secret(integration.id).value)

    return make


@pytest.fixture
def full(new_client: NewClient) -> Client:
    return new_client("entra-id")


@pytest.fixture
def read_only(new_client: NewClient) -> Client:
    return new_client("reader", Access.READ_ONLY)
