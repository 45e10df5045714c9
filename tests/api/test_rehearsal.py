"""Provisioning in rehearse mode over HTTP: clients see what they wrote, the store is never written, and what is applied
afterwards is what provisioning would have made of it."""

from __future__ import annotations

import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from app.control import ControlStore, Wanted
from app.scim.registry import Registry
from app.services.audit import open_audit
from app.services.linked import with_links
from app.services.rehearsal import Rehearsing
from app.services.rehearsal.applying import Applying, Outcome, Result
from app.services.rehearsal.beneath import Beneath
from app.services.rehearsal.net import Net
from app.services.rehearsal.scripts import NoSuchScript, script
from backends.base import Backend
from backends.sql.backend import SqlBackend
from config.settings import Settings
from tests.api.opening import opened
from tests.support.directories import DIRECTORY_SERVERS
from tests.support.directory_base import Directory
from tests.support.provisioning import provision, settle, snapshot
from tests.support.service import Service, running

NO_SUCH_ATTRIBUTE, LOOKS = 16, 50

Open = Callable[[], AbstractContextManager[Backend]]


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A store, the service that rehearses on it, and what an operator does then."""

    store: Backend
    service: Service

    @property
    def settings(self) -> Settings:
        return self.service.settings

    @property
    def control(self) -> ControlStore:
        return self.service.control

    @property
    def whole(self) -> Backend:
        """The store with what the control store keeps for it."""
        return with_links(self.store, self.control.links)

    @property
    def view(self) -> Rehearsing:
        """What clients see."""
        return Rehearsing(self.whole, self.control.rehearsal)

    def apply(self) -> list[Outcome]:
        """What becomes of each change."""
        with closing(open_audit(self.settings, self.control, self.whole)) as journal:
            return list(Applying(self.whole, self.control.rehearsal, self.control.managed, journal).run())


@pytest.fixture(autouse=True)
def nothing_is_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was there before is not taken for one whose record is still on its way, although it is seconds old."""
    monkeypatch.setattr("app.services.adoption._NEW", timedelta(0))


@pytest.fixture
def open_store(
    store_name: str,
    registry: Registry,
    new_database: Callable[[str], str],
    directory_servers: Callable[[str], Directory],
) -> Open:
    """Opens fresh stores of the kind."""
    return lambda: opened(store_name, registry, new_database, directory_servers)


@contextmanager
def rehearsing(store: Backend, registry: Registry, home: Path) -> Iterator[Rehearsed]:
    """The service in rehearse mode."""
    home.mkdir()
    with running(store, registry, home, mode="rehearse") as service:
        yield Rehearsed(store, service)


@pytest.mark.every_store
def test_what_is_rehearsed_is_what_provisioning_does(open_store: Open, registry: Registry, tmp_path: Path) -> None:
    """The same requests to a service that rehearses and to one that provisions: clients see the same; the store of the
    first one is untouched until the rehearsal is applied, and is the same as the other one after that."""
    # Not at the same time: names are unique in a whole domain of Active Directory.
    with open_store() as direct:
        settle(direct)
        (tmp_path / "direct").mkdir()
        with running(direct, registry, tmp_path / "direct") as service:
            provision(service.client())
            wanted = snapshot(with_links(direct, service.control.links))
    with open_store() as store:
        settle(store)
        with rehearsing(store, registry, tmp_path / "rehearsed") as rehearsed:
            before = snapshot(rehearsed.whole)
            provision(rehearsed.service.client())
            assert snapshot(rehearsed.whole) == before
            assert snapshot(rehearsed.view) == wanted
            assert rehearsed.control.audit.verify().count == 0
            assert rehearsed.control.managed.count("User") == 0
            outcomes = rehearsed.apply()
            assert [(o.item.action, o.item.name, o.text) for o in outcomes if o.result is not Result.APPLIED] == []
            assert snapshot(rehearsed.whole) == snapshot(rehearsed.view) == wanted
            assert rehearsed.control.rehearsal.counts() == {}
            check_records(rehearsed, outcomes)


def check_records(rehearsed: Rehearsed, outcomes: list[Outcome]) -> None:
    """Each change has its record, by the integration that rehearsed it, and what it was made of is managed."""
    records = list(rehearsed.control.audit.records(Wanted()))
    assert rehearsed.control.audit.verify().wrong is None
    assert {record.outcome for record in records} == {"done"}
    assert {record.actor for record in records} == {"full-rfc"}
    assert Counter(r.resource_id for r in records) == Counter(outcome.id for outcome in outcomes)
    kept = [o for o in outcomes if o.item.action in ("create", "update")]
    for kind in ("User", "Group"):
        ids = {outcome.id for outcome in kept if outcome.item.copy.kind == kind}
        assert ids
        assert rehearsed.control.managed.among(kind, list(ids)) == ids


@pytest.mark.every_store
def test_a_script_tells_what_would_be_done(
    open_store: Open,
    registry: Registry,
    tmp_path: Path,
    store_name: str,
    directory_servers: Callable[[str], Directory],
) -> None:
    """The script of the store's own language has each change, changes nothing itself, and is refused in another one.
    Statements that are run in a database, and changes that are made in OpenLDAP, make of it what was rehearsed."""
    language, other = ("ldif", "sql") if store_name in DIRECTORY_SERVERS else ("sql", "ldif")
    with open_store() as store, rehearsing(store, registry, tmp_path / "home") as rehearsed:
        settle(store)
        before = snapshot(rehearsed.whole)
        provision(rehearsed.service.client())
        wanted = snapshot(rehearsed.view)
        items = Net(rehearsed.control.rehearsal, Beneath(rehearsed.whole)).items()
        with pytest.raises(NoSuchScript, match="users and groups are in"):
            list(script(other, store, rehearsed.control.rehearsal, items))
        lines = list(script(language, store, rehearsed.control.rehearsal, items))
        assert snapshot(rehearsed.whole) == before
        assert snapshot(rehearsed.view) == wanted
        mark = "#" if language == "ldif" else "--"
        told = [line.removeprefix(f"{mark} ") for line in lines if line.startswith(mark)]
        assert [line for line in told if "can't be done" in line] == []
        assert set(told) >= {f"{item.action} {item.copy.kind} {item.name}" for item in items}
        if isinstance(store, SqlBackend):
            with store.engine.connect() as connection:
                for statement in (line for line in lines if line and not line.startswith("--")):
                    connection.exec_driver_sql(statement.replace("%", "%%") if store_name != "sqlite" else statement)
            assert snapshot(rehearsed.whole) == wanted
        elif store_name == "openldap":
            load(directory_servers("openldap"), lines, tmp_path / "changes.ldif")
            assert snapshot(rehearsed.whole) == wanted
        else:
            kinds = Counter(line.partition(": ")[2] for line in lines if line.startswith("changetype: "))
            assert kinds["add"] == sum(item.action == "create" for item in items)
            assert kinds["delete"] == 1
            assert kinds["modify"] > kinds["moddn"] > 0


def load(server: Directory, lines: list[str], path: Path) -> None:
    """Let the program of OpenLDAP make the changes, as the service's account."""
    command = ["ldapmodify", "-x", "-H", server.ldaps_url, "-D", server.service_dn, "-w", server.service_password]
    environ = {**os.environ, "LDAPTLS_CACERT": str(server.ca_file)}
    for change in "\n".join(lines).split("\n\n"):
        path.write_text(f"{change}\n")
        done = subprocess.run([*command, "-f", str(path)], env=environ, capture_output=True, text=True, check=False)
        # References follow a renamed entry a moment after OpenLDAP has answered.
        for _ in range(LOOKS if done.returncode == NO_SUCH_ATTRIBUTE else 0):
            time.sleep(0.1)
            done = subprocess.run([*command, "-f", str(path)], env=environ, capture_output=True, text=True, check=False)
            if done.returncode != NO_SUCH_ATTRIBUTE:
                break
        assert done.returncode == 0, done.stderr


def test_versions_are_those_of_the_rehearsal(open_store: Open, registry: Registry, tmp_path: Path) -> None:
    """A version that was seen is accepted in If-Match as long as it is the last one, and one of the store is not once
    the rehearsal has changed the resource."""
    with open_store() as store, rehearsing(store, registry, tmp_path / "home") as rehearsed:
        settle(store)
        client = rehearsed.service.client()
        (id,) = client.found("/Users", 'userName eq "hal"')
        tags = [client.get(f"/Users/{id}").headers["ETag"]]
        for title, tag, code in (("a", tags[0], 200), ("b", tags[0], 412), ("c", "", 200)):
            condition = {"If-Match": tag} if tag else {}
            answer = client.change(f"/Users/{id}", {"op": "replace", "path": "title", "value": title}, **condition)
            assert answer.status_code == code
            if code == 200:
                tags.append(answer.headers["ETag"])
        assert len(set(tags)) == 3
        shown = client.get(f"/Users/{id}")
        assert (shown.json()["title"], shown.headers["ETag"]) == ("c", tags[-1])
        assert client.delete(f"/Users/{id}", headers={"If-Match": tags[1]}).status_code == 412
        assert client.delete(f"/Users/{id}", headers={"If-Match": tags[-1]}).status_code == 204
        assert client.get(f"/Users/{id}").status_code == 404


def test_after_discard_adoptions_are_noted_again(open_store: Open, registry: Registry, tmp_path: Path) -> None:
    """A service that goes on running has forgotten the rehearsal like everybody else: who was adopted or retired in it
    is adopted anew in the next one, and managed once that is applied."""
    with open_store() as store, rehearsing(store, registry, tmp_path / "home") as rehearsed:
        settle(store)
        client, control = rehearsed.service.client(), rehearsed.control
        ids = {name: client.found("/Users", f'userName eq "{name}"').pop() for name in ("hal", "gus")}

        def rehearse() -> None:
            for title in ("Clerk", "Head"):
                answer = client.change(f"/Users/{ids['hal']}", {"op": "replace", "path": "title", "value": title})
                assert answer.status_code == 200
            assert client.delete(f"/Users/{ids['gus']}").status_code == 204
            assert control.rehearsed_managed.among("User", list(ids.values())) == set(ids.values())
            assert client.user("gus")["id"] == ids["gus"]

        rehearse()
        with control.rehearsal.writing() as writing:
            writing.discard()
        assert control.rehearsed_managed.among("User", list(ids.values())) == frozenset()
        rehearse()
        assert {id for _, id, _ in control.rehearsal.claims()} == set(ids.values())
        assert {outcome.result for outcome in rehearsed.apply()} == {Result.APPLIED}
        assert control.managed.among("User", list(ids.values())) == set(ids.values())
