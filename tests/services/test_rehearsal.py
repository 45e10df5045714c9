"""A rehearsal beyond what the conformance suite asks of every store: what it leaves alone, what stands against applying
it, and what of it holds elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from inspect import signature
from pathlib import Path

import pytest

from app.control import Fate, Managed, Wanted, Who
from app.scim.filter.nodes import Compare, Op, Some
from app.scim.query import Change, Delta, Draft, Query, Sort, Window
from app.scim.registry import load
from app.services.journal import Actor, Write
from app.services.rehearsal import Bounds, Rehearsing
from app.services.rehearsal.journal import REHEARSED, RehearsalJournal, writer
from app.services.rehearsal.scripts import NoSuchScript, script
from backends.base import Backend
from backends.errors import NotFound, TooManyCandidates
from config.settings import ProtectedSettings, Settings
from tests.conformance.helpers import MANAGER, MANAGER_NAME, attribute_of, group, groups, members, state, user, users
from tests.services.rehearsing import NOTHING, WHO, Stage, found, staged
from tests.support.probe import probed


@pytest.fixture
def stage(store: Callable[[], Backend], tmp_path: Path) -> Iterator[Stage]:
    """An empty one."""
    with staged(store(), tmp_path) as stage:
        yield stage


def test_what_comes_to_nothing_is_not_there(stage: Stage) -> None:
    """A change that is taken back, a membership that ends as it was and a user who came and went leave no net change;
    applying leaves nothing in the rehearsal and writes nothing."""
    ann, bob = users(stage.store, 2)
    team = stage.store.create("Group", group("Team", [ann]))
    before = state(stage.store, stage.store.registry)
    view = stage.view
    view.update("User", ann.id, Change({"title": "x"}))
    view.update("User", ann.id, Change({"title": None}))
    view.update("Group", team.id, Change(relations={"members": Delta((bob.id,), (ann.id,))}))
    view.update("Group", team.id, Change(relations={"members": Delta((ann.id,), clear=True)}))
    view.delete("User", view.create("User", user("gone")).id)
    assert stage.items() == []
    assert stage.control.rehearsal.counts() == {"User": 1, "Group": 1}
    assert stage.apply() == []
    assert stage.control.rehearsal.counts() == {}
    assert state(stage.store, stage.store.registry) == before


def test_the_store_is_read_live(stage: Stage) -> None:
    """What others change in the store is seen at once, apart from what the rehearsal has changed itself."""
    ann, bob = users(stage.store, 2)
    team = stage.store.create("Group", group("Team", [ann]))
    stage.view.update("User", ann.id, Change({"title": "rehearsed"}))
    stage.store.update("User", ann.id, Change({"title": "real"}))
    stage.store.update("User", bob.id, Change({"title": "real"}))
    cid = stage.store.create("User", user("cid"))
    stage.view.update("Group", team.id, Change(relations={"members": Delta((bob.id,))}))
    stage.store.update("Group", team.id, Change(relations={"members": Delta((cid.id,), (ann.id,))}))
    assert [found(stage.view, name).values["title"] for name in ("user0@corp.example", "user1@corp.example")] == [
        "rehearsed",
        "real",
    ]
    assert members(stage.view, team.id) == {bob.id, cid.id}
    assert groups(stage.view, bob.id) == {team.id}
    assert groups(stage.view, ann.id) == set()


def test_what_follows_is_no_change_of_its_own(stage: Stage) -> None:
    """That a leaver's groups lose a member and its reports their manager follows from its deletion."""
    boss, ann, bob = users(stage.store, 3)
    stage.store.update("User", ann.id, Change({MANAGER: boss.id}))
    stage.store.create("Group", group("Team", [boss, bob]))
    stage.view.delete("User", boss.id)
    assert stage.told() == [("delete", "User", "user0@corp.example")]
    assert MANAGER not in found(stage.view, "user1@corp.example").values
    assert list(stage.results().values()) == ["applied: "]
    assert stage.control.rehearsal.counts() == {}
    assert MANAGER not in found(stage.store, "user1@corp.example").values


def test_names_change_hands(stage: Stage) -> None:
    """Who gives up a name comes before who takes it: by renaming, deleting or retiring."""
    one, two, three = (stage.store.create("User", user(name)) for name in ("one", "two", "three"))
    view = stage.view
    view.retire("User", three.id)
    view.update("User", two.id, Change({"userName": "three"}))
    view.update("User", one.id, Change({"userName": "two"}))
    view.create("User", user("one"))
    assert stage.told() == [
        ("retire", "User", "three"),
        ("update", "User", "three"),
        ("update", "User", "two"),
        ("create", "User", "one"),
    ]
    assert set(stage.results().values()) == {"applied: "}
    assert found(stage.store, "two").id == one.id
    assert found(stage.store, "three").id == two.id


def test_a_circle_of_names_is_refused_and_stays(stage: Stage) -> None:
    """Two who swap names can't be renamed one after the other: what is refused is told and stays."""
    one, two = (stage.store.create("User", user(name)) for name in ("one", "two"))
    view = stage.view
    view.update("User", one.id, Change({"userName": "between"}))
    view.update("User", two.id, Change({"userName": "one"}))
    view.update("User", one.id, Change({"userName": "two"}))
    assert {result.partition(":")[0] for result in stage.results().values()} >= {"refused"}
    assert stage.control.rehearsal.counts()["User"] >= 1


def test_managers_in_a_circle(stage: Stage) -> None:
    """New users who manage each other, or themselves, are created, and get their managers when those are there."""
    view = stage.view
    one = view.create("User", user("one"))
    two = view.create("User", Draft({"userName": "two", MANAGER: one.id}))
    view.update("User", one.id, Change({MANAGER: two.id}))
    own = view.create("User", user("own"))
    view.update("User", own.id, Change({MANAGER: own.id}))
    assert all(outcome.text == "" for outcome in stage.apply())
    ids = {name: found(stage.store, name) for name in ("one", "two", "own")}
    assert ids["one"].values[MANAGER] == ids["two"].id
    assert ids["two"].values[MANAGER] == ids["one"].id
    assert ids["own"].values[MANAGER] == ids["own"].id
    assert stage.control.rehearsal.counts() == {}


@pytest.mark.parametrize("change", ["same", "other", "gone"])
def test_what_was_changed_meanwhile_is_a_conflict(stage: Stage, change: str) -> None:
    """A resource that is not in the version it had when it was rehearsed is left alone and stays in the rehearsal; the
    others are applied."""
    ann, bob, cid = users(stage.store, 3)
    view = stage.view
    view.update("User", ann.id, Change({"title": "rehearsed"}))
    view.update("User", bob.id, Change({"title": "rehearsed"}))
    view.delete("User", cid.id)
    for one in (ann, cid):
        if change == "gone":
            stage.store.delete("User", one.id)
        else:
            stage.store.update("User", one.id, Change({"title" if change == "same" else "nickName": "real"}))
    results = stage.results()
    assert {name: result.partition(":")[0] for name, result in results.items()} == {
        "user0@corp.example": "conflict",
        "user1@corp.example": "applied",
        "user2@corp.example": "conflict",
    }
    assert sorted(stage.told()) == [("delete", "User", "user2@corp.example"), ("update", "User", "user0@corp.example")]
    assert found(stage.store, "user1@corp.example").values["title"] == "rehearsed"
    if change == "same":
        assert found(stage.store, "user0@corp.example").values["title"] == "real"
    assert stage.results() == {name: result for name, result in results.items() if "conflict" in result}


def test_who_is_refused_is_missing_and_comes_later(stage: Stage) -> None:
    """A new user whose name was taken meanwhile is refused. The group that should hold it is made without it, and gets
    it when it could be created after all."""
    view = stage.view
    ann, bob = view.create("User", user("ann")), view.create("User", user("bob"))
    view.create("Group", group("Team", [ann, bob]))
    taken = stage.store.create("User", user("ANN"))
    results = stage.results()
    assert results["ann"].startswith("refused: value of userName is taken")
    assert results["bob"] == "applied: "
    assert results["Team"] == "waiting: members: 1 not in the store yet"
    (team,) = stage.store.search("Group", Query(NOTHING)).items
    assert members(stage.store, team.id) == {found(stage.store, "bob").id}
    assert members(view, team.id) == {ann.id, found(stage.store, "bob").id}
    version = team.stamp.version
    assert stage.results() == {name: result for name, result in results.items() if name != "bob"}
    assert stage.store.get("Group", team.id, NOTHING).stamp.version == version
    stage.store.delete("User", taken.id)
    assert set(stage.results().values()) == {"applied: "}
    assert members(stage.store, team.id) == {found(stage.store, "ann").id, found(stage.store, "bob").id}
    assert stage.control.rehearsal.counts() == {}


def test_those_who_left_and_those_who_came_back(stage: Stage) -> None:
    """Retiring, restoring and purging are applied, of users of the store and of new ones."""
    stays, leaves, back, purged = (stage.store.create("User", user(n)) for n in ("stays", "leaves", "back", "purged"))
    for one in (back, purged):
        stage.store.retire("User", one.id)
    view = stage.view
    new = view.create("User", user("new"))
    view.retire("User", new.id)
    view.update("User", leaves.id, Change({"title": "last"}))
    view.retire("User", leaves.id)
    view.restore("User", back.id, Change({"title": "returned"}))
    view.purge("User", purged.id)
    view.retire("User", stays.id)
    view.restore("User", stays.id, Change())
    want = frozenset({"userName", "title"})
    seen = [dict(r.values) for r in view.retired("User", want).items]
    assert seen == [{"userName": "new"}, {"userName": "leaves", "title": "last"}]
    assert set(stage.results().values()) == {"applied: "}
    kept = [dict(r.values) for r in stage.store.retired("User", want).items]
    assert sorted(kept, key=lambda values: values["userName"], reverse=True) == seen
    assert found(stage.store, "back").values == {"title": "returned"}
    assert stage.control.rehearsal.counts() == {}


def test_passwords_are_not_kept(stage: Stage, tmp_path: Path) -> None:
    """A password is in no file of the rehearsal. That it would be set is a change, which is shown; applying says that
    it has to be sent again."""
    secret = "correct-horse-battery"
    (ann,) = users(stage.store, 1)
    view = stage.view
    stamp = view.update("User", ann.id, Change({"password": secret}))
    assert stamp.version != ann.stamp.version
    view.create("User", user("bob", password=secret))
    assert [item.secrets for item in stage.items()] == [("password",), ("password",)]
    assert {"password was not kept" in result for result in stage.results().values()} == {True}
    kept = [path for path in (tmp_path / "home").rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert kept == []


def test_records_name_who_rehearsed(stage: Stage) -> None:
    """Applied changes are in the audit, by the one who rehearsed them, with a note; the resources are managed."""
    (ann,) = users(stage.store, 1)
    stage.view.update("User", ann.id, Change({"title": "x"}))
    stage.view.create("Group", group("Team", [ann]))
    assert list(stage.control.audit.records(Wanted())) == []
    stage.apply()
    records = list(stage.control.audit.records(Wanted()))
    assert [(r.actor, r.integration_id, r.operation, r.outcome) for r in records] == [
        (WHO.name, WHO.integration_id, "patch", "done"),
        (WHO.name, WHO.integration_id, "create", "done"),
    ]
    assert all(REHEARSED in record.changes for record in records)
    assert stage.control.managed.among("User", [ann.id]) == {ann.id}


def test_protection_holds_when_it_is_applied(stage: Stage) -> None:
    """What is protected now is not changed by what was rehearsed before."""
    (ann,) = users(stage.store, 1)
    stage.view.update("User", ann.id, Change({"title": "x"}))
    stage.settings = Settings(home=stage.settings.home, protected=ProtectedSettings(users='userName sw "user"'))
    assert [result.partition(":")[0] for result in stage.results().values()] == ["refused"]
    assert found(stage.store, "user0@corp.example").values == {}


def test_discarding(stage: Stage) -> None:
    """Afterwards the store is seen as it is, and no version comes again."""
    (ann,) = users(stage.store, 1)
    first = stage.view.update("User", ann.id, Change({"title": "x"}))
    stage.view.create("Group", group("Team", [ann]))
    with stage.control.rehearsal.writing() as writing:
        writing.discard()
    assert state(stage.view, stage.store.registry) == state(stage.store, stage.store.registry)
    assert stage.items() == []
    assert stage.view.update("User", ann.id, Change({"title": "x"})).version != first.version


def test_a_failed_write_leaves_no_trace(stage: Stage) -> None:
    """A write that raises in the middle keeps nothing."""

    def fail() -> None:
        with stage.control.rehearsal.writing() as writing:
            writing.claim("User", "x", "y")
            raise NotFound

    with pytest.raises(NotFound):
        fail()
    assert stage.control.rehearsal.claims() == []


def test_managed_in_the_rehearsal_only(stage: Stage) -> None:
    """What is claimed while the service rehearses is managed there and not in earnest, until it is applied."""
    ann, bob = users(stage.store, 2)
    rehearsed: Managed = stage.control.rehearsed_managed
    new = stage.view.create("User", user("new"))
    rehearsed.claim("User", [ann.id], "entra")
    assert rehearsed.among("User", [ann.id, bob.id, new.id]) == {ann.id, new.id}
    assert stage.control.managed.among("User", [ann.id, bob.id, new.id]) == set()
    rehearsed.release("User", ann.id)
    assert rehearsed.among("User", [ann.id]) == set()
    rehearsed.claim("User", [ann.id], "entra")
    stage.apply()
    assert stage.control.managed.among("User", [ann.id]) == {ann.id}
    assert stage.control.rehearsal.claims() == []


def test_the_journal_knows_who_writes(stage: Stage) -> None:
    """Between intent and outcome, and never after that."""
    journal, write = RehearsalJournal(), Write(Actor("id", "Okta"), "patch", "User", "x")
    journal.begin(write)
    assert writer() == Who("id", "Okta")
    journal.end(write)
    assert writer() == Who()
    assert write.notes == (REHEARSED,)


def test_a_store_without_a_language(stage: Stage) -> None:
    """What can't say what it would do is told so, whatever was rehearsed."""
    if hasattr(stage.store, "engine"):
        assert list(script("sql", stage.store, stage.control.rehearsal, [])) == []
    else:
        with pytest.raises(NoSuchScript, match="can't say in SQL"):
            list(script("sql", stage.store, stage.control.rehearsal, []))


def test_tests_that_would_name_too_many(stage: Stage) -> None:
    """A filter or an order that follows from more changed resources than can be named is refused, and one on a single
    of them is not."""
    people = users(stage.store, 4)
    boss, *reports = people
    for one in reports:
        stage.store.update("User", one.id, Change({MANAGER: boss.id}))
    team = stage.view.create("Group", group("Team", people))
    stage.bounds = Bounds(named=2, candidates=2)
    relation = load().type("User").relations["groups"].attribute
    value, display = relation.sub("value"), relation.sub("display")
    assert value is not None
    assert display is not None

    def look(query: Query) -> None:
        stage.view.search("User", query)

    with pytest.raises(TooManyCandidates):
        look(Query(NOTHING, Some(relation, Compare(value, Op.EQ, team.id))))
    for one in people[:3]:
        stage.view.update("User", one.id, Change({"displayName": f"X {one.id}"}))
    name = attribute_of(probed(), MANAGER_NAME)
    with pytest.raises(TooManyCandidates):
        look(Query(NOTHING, Compare(name, Op.CO, "x")))
    stage.view.update("User", people[3].id, Change({"nickName": "n"}))
    stage.bounds = Bounds(named=10, candidates=0)
    users(stage.store, 1, "more")
    with pytest.raises(TooManyCandidates):
        look(Query(NOTHING, sort=Sort(name), window=Window(1, 1)))


def test_a_large_group_is_not_copied(stage: Stage) -> None:
    """Of a group with many members only those who come and go are kept, also where all of them are sent again."""
    people = users(stage.store, 60)
    team = stage.store.create("Group", group("Team", people))
    (new,) = users(stage.store, 1, "new")
    stage.view.update("Group", team.id, Change(relations={"members": Delta((new.id,), (people[0].id,))}))
    kept = [person.id for person in people[2:]]
    stage.view.update("Group", team.id, Change(relations={"members": Delta((*kept, new.id), clear=True)}))
    rehearsal = stage.control.rehearsal
    assert list(rehearsal.related("Group", team.id, "members", added=True)) == [new.id]
    assert set(rehearsal.related("Group", team.id, "members", added=False)) == {people[0].id, people[1].id}
    (item,) = stage.items()
    assert item.relations["members"].add == (new.id,)
    stage.view.update("Group", team.id, Change(relations={"members": Delta(clear=True)}))
    (item,) = stage.items()
    assert set(item.relations["members"].remove) == {person.id for person in people}
    assert next(rehearsal.copies("Group")).fate is Fate.PRESENT
    assert set(stage.results().values()) == {"applied: "}
    assert members(stage.store, team.id) == set()


def test_nothing_of_the_contract_goes_round_the_rehearsal() -> None:
    """A method about resources that the contract gets must be thought of here too; of where a new one would be the
    store alone knows."""
    methods = {name for name, value in vars(Backend).items() if callable(value) and not name.startswith("_")}
    of_resources = {name for name in methods if "kind" in signature(getattr(Backend, name)).parameters}
    assert of_resources - {"may_land_within", "lands_within"} <= vars(Rehearsing).keys()
