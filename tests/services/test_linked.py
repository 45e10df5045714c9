"""externalIds in the control store, beyond what the conformance suite asks of every store."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.control import ControlStore, ControlUnavailable, upgrade
from app.scim.filter.nodes import Bound, Compare, Not, Op, Present
from app.scim.query import Change, Draft, Query, Resource, ResourceId, Sort, Stamp, Version, Window
from app.scim.registry import EXTERNAL_ID, META_LAST_MODIFIED, META_VERSION, Registry, load
from app.scim.types import format_instant
from app.services.linked import Linked, with_links
from backends.base import Backend, Capability
from backends.errors import NotFound, RejectedValue, TooManyCandidates, VersionMismatch
from tests.conftest import selected_backends
from tests.support.controls import new_control
from tests.support.reference import ReferenceBackend
from tests.support.servers import DatabaseServer, MariaDB, PostgreSQL
from tests.support.stores import without_external_id

SERVERS: dict[str, type[DatabaseServer]] = {"postgresql": PostgreSQL, "mariadb": MariaDB}
WANT = frozenset({"externalId", "userName", "title"})
ANN = Draft({"userName": "ann", "externalId": "E-1"})
ODD_VERSIONS = ("", ".", "1", "1.", ".1", "1.x", "1.00", "1.-1", "1.²", "1." + "9" * 5000, "\0", "\ud800")


@dataclass(frozen=True, slots=True)
class Pair:
    """A store without a place for externalId, and what it is with links."""

    inner: ReferenceBackend
    linked: Linked
    control: ControlStore


@pytest.fixture
def opened(sql_url: str) -> Iterator[Callable[..., Pair]]:
    """Opens the control store once more, as another process would, around a store."""
    upgrade(sql_url)
    controls: list[ControlStore] = []

    def make(inner: ReferenceBackend | None = None, candidates: int = 10_000) -> Pair:
        controls.append(ControlStore(sql_url))
        inner = inner or ReferenceBackend(without_external_id(load()))
        return Pair(inner, Linked(inner, controls[-1].links, candidates=candidates), controls[-1])

    yield make
    for control in controls:
        control.close()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Pair]:
    """One on SQLite that may look at three candidates."""
    url = new_control(tmp_path / "control.db")
    control = ControlStore(url)
    inner = ReferenceBackend(without_external_id(load()))
    yield Pair(inner, Linked(inner, control.links, candidates=3), control)
    control.close()


def race(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """What each returned or raised that started at one moment."""
    barrier = threading.Barrier(len(calls))

    def start(call: Callable[[], Any]) -> Any:
        barrier.wait(30)
        try:
            return call()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(start, calls))


def ids(backend: Backend, filter: Bound | None, sort: Sort | None = None) -> list[ResourceId]:
    """The ids that a search of users gives, in its order."""
    page = backend.search("User", Query(frozenset(), filter, sort, Window(1, 100)))
    assert page.total == len(page.items)
    return [item.id for item in page.items]


def test_a_store_that_has_a_place_is_left_alone(small: Pair) -> None:
    inner = ReferenceBackend(load())
    assert with_links(inner, small.control.links) is inner
    assert isinstance(with_links(small.inner, small.control.links), Linked)


def test_a_kind_that_has_a_place_is_left_alone(small: Pair, tmp_path: Path) -> None:
    whole = load()
    types = (without_external_id(whole).type("User"), whole.type("Group"))
    inner = ReferenceBackend(Registry(types, whole.configuration_schemas))
    linked = Linked(inner, small.control.links)
    small.control.close()
    (tmp_path / "control.db").unlink()
    team = linked.create("Group", Draft({"displayName": "Team", "externalId": "G-1"}))
    stamp = linked.update("Group", team.id, Change({"externalId": "G-2"}), expect=team.stamp.version)
    found = inner.get("Group", team.id, frozenset({"externalId"}))
    assert (found.stamp, found.values) == (stamp, {"externalId": "G-2"})
    assert linked.get("Group", team.id, frozenset({"externalId"})) == found
    filter = Compare(EXTERNAL_ID, Op.EQ, "G-2")
    assert linked.search("Group", Query(frozenset({"externalId"}), filter)).items == (found,)
    linked.delete("Group", team.id, expect=stamp.version)
    with pytest.raises(ControlUnavailable):
        linked.search("User", Query(frozenset(), Present(EXTERNAL_ID)))


def test_discovery_regains_external_id_alone(small: Pair) -> None:
    for kind in ("User", "Group"):
        inner, linked = small.inner.registry.type(kind), small.linked.registry.type(kind)
        assert linked.slots.keys() - inner.slots.keys() == {"externalId"}
        assert linked.common == load().type(kind).common
        assert linked.schemas == inner.schemas


@pytest.mark.parametrize("version", ODD_VERSIONS, ids=range(len(ODD_VERSIONS)))
def test_a_version_that_was_never_issued_is_none(small: Pair, version: Version) -> None:
    ann = small.linked.create("User", ANN)
    assert ids(small.linked, Compare(META_VERSION, Op.EQ, version)) == []
    for change in (Change(), Change({"externalId": "E-2"}), Change({"title": "x"})):
        with pytest.raises(VersionMismatch):
            small.linked.update("User", ann.id, change, expect=version)
    with pytest.raises(VersionMismatch):
        small.linked.delete("User", ann.id, expect=version)
    assert small.linked.get("User", ann.id, frozenset({"externalId", "userName"})) == ann


@pytest.mark.parametrize("value", ["x" * 513, "nul\0"])
def test_a_value_that_no_link_can_have_is_rejected_before_anything_is_written(small: Pair, value: str) -> None:
    with pytest.raises(RejectedValue):
        small.linked.create("User", Draft({"userName": "ann", "externalId": value}))
    assert ids(small.inner, None) == []
    ann = small.linked.create("User", ANN)
    with pytest.raises(RejectedValue):
        small.linked.update("User", ann.id, Change({"title": "x", "externalId": value}))
    assert small.linked.get("User", ann.id, WANT) == ann


def test_what_has_too_many_candidates_is_refused(small: Pair) -> None:
    made = [small.linked.create("User", Draft({"userName": f"u{n}", "externalId": f"E-{n}"})) for n in range(4)]
    before = format_instant(made[0].created)
    tests: list[Bound] = [
        Present(EXTERNAL_ID),
        Compare(EXTERNAL_ID, Op.SW, "E"),
        Compare(META_LAST_MODIFIED, Op.GE, before),
    ]
    for test in tests:
        with pytest.raises(TooManyCandidates):
            ids(small.linked, Not(test))
    for attribute in (EXTERNAL_ID, META_LAST_MODIFIED):
        with pytest.raises(TooManyCandidates):
            ids(small.linked, None, Sort(attribute))
    assert ids(small.linked, Compare(EXTERNAL_ID, Op.EQ, "E-2")) == [made[2].id]
    small.linked.delete("User", made[0].id)
    assert [ids(small.linked, test) for test in tests] == [[m.id for m in made[1:]]] * 3
    assert ids(small.linked, None, Sort(EXTERNAL_ID, descending=True)) == [m.id for m in reversed(made[1:])]


def test_workers_that_expect_one_version(opened: Callable[..., Pair]) -> None:
    """Of updates by two processes that expect one version, of externalId or of other values, one succeeds."""
    one = opened()
    two = opened(one.inner)
    ann = one.linked.create("User", Draft({"userName": "ann"}))
    seen, stored = ann.stamp, {}
    for turn in range(5):
        changes = [{"title": f"{turn}.{n}"} if n % 2 else {"externalId": f"{turn}.{n}"} for n in range(6)]
        workers = [(one, two)[n // 2 % 2].linked for n in range(6)]
        results = race(
            [
                partial(worker.update, "User", ann.id, Change(change), expect=seen.version)
                for worker, change in zip(workers, changes, strict=True)
            ]
        )
        wins = [n for n, result in enumerate(results) if isinstance(result, Stamp)]
        assert len(wins) == 1, results
        assert [type(r) for n, r in enumerate(results) if n not in wins] == [VersionMismatch] * 5
        stored.update(changes[wins[0]])
        found = two.linked.get("User", ann.id, frozenset({"title", "externalId"}))
        assert (found.stamp, found.values) == (results[wins[0]], stored)
        seen = found.stamp


def test_workers_that_change_and_delete(opened: Callable[..., Pair]) -> None:
    """A link that one process makes while another deletes the resource does not stay."""
    one = opened()
    two = opened(one.inner)
    for turn in range(5):
        ann = one.linked.create("User", Draft({"userName": f"ann{turn}"}))
        change = Change({"externalId": "E-1"})
        results = race(
            [
                partial(one.linked.update, "User", ann.id, change),
                partial(two.linked.delete, "User", ann.id),
                partial(two.linked.update, "User", ann.id, change),
            ]
        )
        assert results[1] is None
        assert {type(r) for r in (results[0], results[2])} <= {Stamp, NotFound}
        assert one.control.links.find("User", [ann.id]) == {}
        with one.control.links.held("User", ann.id) as held:
            assert held is None


def test_a_link_that_was_left_behind_is_removed(opened: Callable[..., Pair]) -> None:
    """What a service leaves that ends between the two steps of a deletion is found by nothing, and removed by the next
    write, where the store can't have retired the resource."""
    pair = opened()
    pair.inner.capabilities &= ~Capability.RETIRE
    repeats: list[Callable[[Resource], object]] = [
        lambda r: pair.linked.delete("User", r.id),
        lambda r: pair.linked.delete("User", r.id, expect=r.stamp.version),
        lambda r: pair.linked.update("User", r.id, Change({"externalId": "x"})),
        lambda r: pair.linked.update("User", r.id, Change({"title": "x"}), expect=f"{r.stamp.version}7"),
    ]
    for repeat in repeats:
        ann = pair.linked.create("User", ANN)
        pair.inner.delete("User", ann.id)
        assert ids(pair.linked, Compare(EXTERNAL_ID, Op.EQ, "E-1")) == ids(pair.linked, Present(EXTERNAL_ID)) == []
        assert pair.control.links.find("User", [ann.id])
        with pytest.raises(NotFound):
            repeat(ann)
        assert pair.control.links.find("User", [ann.id]) == {}


def test_the_link_of_a_retired_user_stays(opened: Callable[..., Pair]) -> None:
    """Whatever is tried on the id meanwhile, the externalId comes back with the user, or is changed by its return; it
    is gone when the user is purged."""
    pair = opened()
    ann = pair.linked.create("User", ANN)
    pair.linked.retire("User", ann.id, expect=ann.stamp.version)
    attempts: list[Callable[[], object]] = [
        lambda: pair.linked.delete("User", ann.id),
        lambda: pair.linked.delete("User", ann.id, expect=ann.stamp.version),
        lambda: pair.linked.retire("User", ann.id),
        lambda: pair.linked.retire("User", ann.id, expect=ann.stamp.version),
        lambda: pair.linked.update("User", ann.id, Change({"externalId": "x"})),
        lambda: pair.linked.update("User", ann.id, Change({"title": "x"})),
    ]
    for attempt in attempts:
        with pytest.raises(NotFound):
            attempt()
    assert ids(pair.linked, Compare(EXTERNAL_ID, Op.EQ, "E-1")) == []
    retired = pair.linked.retired("User", frozenset({"externalId"})).items[0]
    assert (retired.id, retired.values) == (ann.id, {"externalId": "E-1"})
    assert retired.stamp.modified > ann.stamp.modified
    assert pair.linked.restore("User", ann.id, Change({"title": "x"})).values["externalId"] == "E-1"
    assert ids(pair.linked, Compare(EXTERNAL_ID, Op.EQ, "E-1")) == [ann.id]
    pair.linked.retire("User", ann.id)
    restored = pair.linked.restore("User", ann.id, Change({"externalId": "E-2"}))
    assert restored == pair.linked.get("User", ann.id, pair.linked.registry.type("User").readable)
    assert restored.values["externalId"] == "E-2"
    pair.linked.retire("User", ann.id)
    pair.linked.purge("User", ann.id)
    assert pair.control.links.find("User", [ann.id]) == {}


def test_a_return_whose_link_fails_is_taken_back(small: Pair, tmp_path: Path) -> None:
    ann = small.linked.create("User", ANN)
    small.linked.retire("User", ann.id)
    small.control.close()
    (tmp_path / "control.db").unlink()
    with pytest.raises(ControlUnavailable):
        small.linked.restore("User", ann.id, Change({"externalId": "E-2"}))
    assert [r.id for r in small.inner.retired("User", frozenset()).items] == [ann.id]


def test_no_link_is_made_for_an_id_that_does_not_exist(opened: Callable[..., Pair]) -> None:
    pair = opened()
    for id in ("nobody", "", "\0", "\ud800", "x" * 100_000):
        for expect in (None, "1.0"):
            with pytest.raises(NotFound):
                pair.linked.update("User", id, Change({"externalId": "E-1"}), expect=expect)
            with pytest.raises(NotFound):
                pair.linked.delete("User", id, expect=expect)
    assert pair.control.links.assigned("User", 9) == []
    with pair.control.links.held("User", "nobody") as held:
        assert held is None


class Ending(ReferenceBackend):
    """A store during whose next write the control store goes away, and where what is not found is gone for ever."""

    def __init__(self, server: DatabaseServer) -> None:
        super().__init__(without_external_id(load()))
        self.capabilities &= ~Capability.RETIRE
        self._server = server
        self.armed = False

    def create(self, kind: str, draft: Draft) -> Resource:
        created = super().create(kind, draft)
        self._end()
        return created

    def update(self, kind: str, id: ResourceId, change: Change, *, expect: Version | None = None) -> Stamp:
        stamp = super().update(kind, id, change, expect=expect)
        self._end()
        return stamp

    def delete(self, kind: str, id: ResourceId, *, expect: Version | None = None) -> None:
        super().delete(kind, id, expect=expect)
        self._end()

    def _end(self) -> None:
        if self.armed:
            self.armed = False
            self._server.stop()


@pytest.mark.parametrize("kind", [kind for kind in selected_backends() if kind in SERVERS])
def test_a_control_store_that_goes_away_between_the_two_writes(kind: str) -> None:
    """The request is refused, and succeeds when it is repeated after the control store has come back."""
    with SERVERS[kind]() as server:
        url = server.new_database()
        upgrade(url)
        control, inner = ControlStore(url), Ending(server)
        linked = Linked(inner, control.links)

        def refused(call: Callable[[], object]) -> None:
            inner.armed = True
            with pytest.raises(ControlUnavailable):
                call()
            server.start()

        refused(lambda: linked.create("User", ANN))
        assert ids(inner, None) == []
        ann = linked.create("User", ANN)
        change = Change({"externalId": "E-2", "title": "x"})
        refused(lambda: linked.update("User", ann.id, change, expect=ann.stamp.version))
        between = linked.get("User", ann.id, WANT)
        assert between.values == {"userName": "ann", "externalId": "E-1", "title": "x"}
        assert between.stamp.version != ann.stamp.version
        linked.update("User", ann.id, change, expect=between.stamp.version)
        assert linked.get("User", ann.id, WANT).values == {"userName": "ann", "externalId": "E-2", "title": "x"}
        refused(lambda: linked.delete("User", ann.id))
        with pytest.raises(NotFound):
            linked.delete("User", ann.id)
        assert control.links.find("User", [ann.id]) == {}
        control.close()


def test_a_control_store_that_is_away_stops_all_before_anything_is_written(tmp_path: Path) -> None:
    path = tmp_path / "control.db"
    upgrade(f"sqlite:///{path}")
    control, inner = ControlStore(f"sqlite:///{path}"), ReferenceBackend(without_external_id(load()))
    linked = Linked(inner, control.links)
    ann = linked.create("User", ANN)
    before = inner.get("User", ann.id, WANT)
    control.close()
    for file in tmp_path.glob("control.db*"):
        if file.is_file():
            file.unlink()
    calls: list[Callable[[], object]] = [
        lambda: linked.get("User", ann.id, WANT),
        lambda: linked.search("User", Query(WANT)),
        lambda: linked.create("User", Draft({"userName": "bob", "externalId": "E-2"})),
        lambda: linked.update("User", ann.id, Change({"title": "x"})),
        lambda: linked.update("User", ann.id, Change({"title": "x", "externalId": "E-2"})),
        lambda: linked.update("User", ann.id, Change({"title": "x"}), expect=ann.stamp.version),
        lambda: linked.delete("User", ann.id, expect=ann.stamp.version),
    ]
    for call in calls:
        with pytest.raises(ControlUnavailable):
            call()
    assert inner.get("User", ann.id, WANT) == before
    assert ids(inner, None) == [ann.id]
    control.close()
