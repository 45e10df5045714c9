"""A store, a rehearsal on it, and an operator who applies that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.control import ControlStore, Who
from app.scim.filter.nodes import Compare, Op
from app.scim.query import Query, Resource
from app.services.audit import open_audit
from app.services.protected import with_protection
from app.services.rehearsal import Bounds, Rehearsing
from app.services.rehearsal.applying import Applying, Outcome
from app.services.rehearsal.beneath import Beneath
from app.services.rehearsal.net import Item, Net
from backends.base import Backend
from config.settings import Settings
from tests.conformance.helpers import MANAGER, attribute_of
from tests.support.controls import new_control

NOTHING: frozenset[str] = frozenset()
WHO = Who("id-of-entra", "Entra")
Told = tuple[str, str, str]


@dataclass
class Stage:
    """A store, its rehearsal, and what is made of that."""

    store: Backend
    control: ControlStore
    settings: Settings
    bounds: Bounds | None = None

    @property
    def view(self) -> Rehearsing:
        """What clients see and write to."""
        return Rehearsing(self.store, self.control.rehearsal, lambda: WHO, self.bounds)

    def items(self) -> list[Item]:
        """The net changes."""
        return Net(self.control.rehearsal, Beneath(self.store)).items()

    def told(self) -> list[Told]:
        """The same in short."""
        return [(item.action, item.copy.kind, item.name) for item in self.items()]

    @contextmanager
    def applying(self) -> Iterator[Iterator[Outcome]]:
        """What becomes of them, one by one: each is made when its outcome is asked for."""
        backend = with_protection(self.store, self.settings)
        with closing(open_audit(self.settings, self.control, self.store)) as journal:
            yield Applying(backend, self.control.rehearsal, self.control.managed, journal).run()

    def apply(self) -> list[Outcome]:
        """What becomes of them."""
        with self.applying() as made:
            return list(made)

    def results(self) -> dict[str, str]:
        """What becomes of them in short, by name."""
        return {outcome.item.name: f"{outcome.result}: {outcome.text}" for outcome in self.apply()}

    def adopt(self, kind: str, id: str) -> None:
        """A client has adopted it in the rehearsal."""
        self.control.rehearsed_managed.claim(kind, [id], WHO.integration_id)


@contextmanager
def staged(store: Backend, directory: Path) -> Iterator[Stage]:
    """An empty rehearsal, kept in that directory."""
    home = directory / "home"
    home.mkdir()
    url = new_control(home / "control.db")
    with closing(ControlStore(url)) as control:
        yield Stage(store, control, Settings(home=home))


def found(backend: Backend, name: str) -> Resource:
    """The user of that name."""
    attribute = attribute_of(backend.registry, "userName")
    (item,) = backend.search("User", Query(frozenset({"title", MANAGER}), Compare(attribute, Op.EQ, name))).items
    return item
