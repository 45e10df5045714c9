"""Entries below the unit of retired users that were not retired here: no client and no command has to do with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli.operator import Operator
from app.cli.retired import retired
from app.scim.query import Change, Draft, Query
from backends.base import Backend, State
from backends.errors import NotFound
from backends.ldap import checks_retired
from backends.ldap.backend import LdapBackend
from config.directory import Bindings
from config.settings import LifecycleSettings, Settings
from tests.ldap.checkups import findings
from tests.ldap.store import Beside, opened, with_users
from tests.ldap.test_retired import _without_record
from tests.support.directories import Directory, Tree
from tests.support.ldapstores import bindings_for
from tests.support.service import USER, Client, running

NAME, MAIL = "former.pilot", "former@corp.example"
PURGE = ("purge", "--older-than", "0d", "--yes")


class Beneath(Operator):
    """The operator of a running service, who has its settings and its store."""

    def __init__(self, settings: Settings, store: LdapBackend) -> None:
        super().__init__(None)
        self.__dict__["settings"] = settings
        self._store = store

    @contextmanager
    def backend(self) -> Iterator[Backend]:
        yield self._store


@dataclass(frozen=True, slots=True)
class Site:
    """A service on a directory in which there is one such entry, of that id."""

    client: Client
    operator: Operator
    backend: LdapBackend
    beside: Beside
    former: str

    def command(self, *arguments: str) -> str:
        """What `landfall retired …` prints."""
        done = CliRunner().invoke(retired, arguments, obj=self.operator)
        assert done.exit_code == 0, done.output
        return done.output

    def refusal(self, *arguments: str) -> str:
        """What `landfall retired …` says when it fails."""
        done = CliRunner().invoke(retired, arguments, obj=self.operator)
        assert done.exit_code == 1, done.output
        return done.output

    def user(self, name: str, mail: str) -> tuple[int, str]:
        """The status of a POST, and the id of who is there then."""
        answer = self.client.create("/Users", _document(name, mail))
        return answer.status_code, answer.json().get("id", "")

    def entry(self) -> tuple[str, dict[str, list[str]]]:
        """All of the entry."""
        return self.beside.entry(_named(NAME), ("*", "+"))


def _document(name: str, mail: str) -> dict[str, object]:
    names = {"formatted": name, "familyName": name}
    emails = [{"type": "work", "value": mail, "primary": True}]
    return {"schemas": [USER], "userName": name, "name": names, "emails": emails, "displayName": "Of the client"}


def _named(name: str) -> str:
    return f"(|(uid={name})(userPrincipalName={name}))"


def _add(beside: Beside, base: str, name: str, mail: str) -> str:
    """The DN of an account as another tool makes it."""
    if beside.server.kind == "active-directory":
        dn, kind = f"CN={name},{base}", "user"
        attributes = {"sAMAccountName": name, "userPrincipalName": name, "mail": mail, "sn": name}
    else:
        dn, kind = f"uid={name},{base}", "inetOrgPerson"
        attributes = {"cn": name, "sn": name, "mail": mail}
    assert beside.connection.add(dn, kind, {**attributes, "displayName": "Of another tool"})
    return dn


def _id(directory: Directory, tree: Tree, bindings: Bindings, name: str) -> str:
    """The id of an entry below the unit, were that the one of users."""
    with opened(directory, tree, with_users(bindings, base=tree.retired, retired=None)) as there:
        found = there.search("User", Query(frozenset({"userName"})))
        return next(item.id for item in found.items if item.values["userName"] == name)


@pytest.fixture(params=["record", "no record"])
def bindings(request: pytest.FixtureRequest, directory: Directory, tree: Tree) -> Bindings:
    """Those that are shipped, and those of a directory whose schema has no place for a record."""
    shipped = bindings_for(directory.kind, tree)
    if request.param == "record":
        return shipped
    # In Active Directory the attributes for lists hold one value each, which is not enough for them without a record.
    lists = {} if directory.kind == "active-directory" else shipped.users.lists
    return _without_record(with_users(shipped, lists=lists))


@pytest.fixture
def site(directory: Directory, tree: Tree, beside: Beside, bindings: Bindings, tmp_path: Path) -> Iterator[Site]:
    _add(beside, tree.retired, NAME, MAIL)
    former = _id(directory, tree, bindings, NAME)
    with (
        opened(directory, tree, bindings) as backend,
        running(backend, backend.registry, tmp_path, lifecycle=LifecycleSettings(adoption="refuse")) as service,
        closing(service.client()) as client,
    ):
        yield Site(client, Beneath(service.settings, backend), backend, beside, former)


def test_nobody_has_to_do_with_it(site: Site) -> None:
    """Whatever names it, it is what it was and where it was; who was retired beside it comes back and is purged."""
    before = site.entry()
    status, ann = site.user("ann", "ann@corp.example")
    assert (status, site.client.delete(f"/Users/{ann}").status_code) == (201, 204)
    assert [line.split()[0] for line in site.command("list").splitlines()[1:]] == ["ann"]
    assert "nobody with the id" in site.refusal("restore", site.former)
    status, other = site.user("other", MAIL)
    assert (status, other == site.former) == (201, False)
    assert site.user("ann", "ann@corp.example") == (201, ann)
    assert site.client.delete(f"/Users/{ann}").status_code == 204
    assert "Removed: 1." in site.command(*PURGE)
    assert "Nobody is retired" in site.command("list")
    assert "Nobody left so long ago" in site.command(*PURGE)
    assert site.entry() == before


def test_its_user_name_brings_nobody_back(site: Site) -> None:
    """Whether another one may have the name is a matter of the directory's own rules."""
    dn, before = site.entry()
    _, id = site.user(NAME, "new@corp.example")
    assert id != site.former
    site.beside.connection.search(dn, "(objectClass=*)", "BASE", attributes=["*", "+"])
    (now,) = (found for found in site.beside.connection.response if found["type"] == "searchResEntry")
    assert {
        name.lower(): [v.decode("utf-8", "replace") for v in values] for name, values in now["raw_attributes"].items()
    } == before


def test_who_is_adopted_by_its_deletion_is_one_of_them(
    directory: Directory, tree: Tree, beside: Beside, bindings: Bindings, tmp_path: Path
) -> None:
    _add(beside, tree.people, "kept", "kept@corp.example")
    with (
        opened(directory, tree, bindings) as backend,
        running(backend, backend.registry, tmp_path) as service,
        closing(service.client()) as client,
    ):
        (id,) = client.found("/Users", 'userName eq "kept"')
        assert client.delete(f"/Users/{id}").status_code == 204
        again = client.create("/Users", _document("kept", "kept@corp.example"))
        assert (again.status_code, again.json()["id"]) == (201, id)


def test_the_store_tells_them_apart_by_the_record(
    backend: LdapBackend, directory: Directory, tree: Tree, beside: Beside
) -> None:
    """Also an entry with a record that another program has moved there, until it is moved back."""
    _add(beside, tree.retired, NAME, MAIL)
    ids = [_id(directory, tree, bindings_for(directory.kind, tree), NAME)]
    moved = backend.create("User", Draft({"userName": "moved", "displayName": "Moved", "title": "Dr"}))
    dn, _ = beside.entry("(displayName=Moved)")
    beside.connection.modify_dn(dn, dn.partition(",")[0], new_superior=tree.retired)
    ids.append(moved.id)
    assert backend.retired("User", frozenset()).total == 0
    assert backend.retired("User", frozenset(), [NAME, MAIL, "moved"]).items == ()
    before = beside.entry("(displayName=Moved)", ("*", "+")), beside.entry(_named(NAME), ("*", "+"))
    for id in ids:
        with pytest.raises(NotFound):
            backend.restore("User", id, Change({"title": "x"}))
        with pytest.raises(NotFound):
            backend.purge("User", id)
    assert before == (beside.entry("(displayName=Moved)", ("*", "+")), beside.entry(_named(NAME), ("*", "+")))
    there, _ = before[0]
    beside.connection.modify_dn(there, there.partition(",")[0], new_superior=tree.people)
    assert dict(backend.get("User", moved.id, frozenset({"title"})).values) == {"title": "Dr"}


def test_check_names_them(directory: Directory, tree: Tree, beside: Beside, monkeypatch: pytest.MonkeyPatch) -> None:
    """With how many there are, or of very many how many there are at least."""
    with opened(directory, tree) as backend:
        backend.retire("User", backend.create("User", Draft({"userName": "ann"})).id)
    assert checks_retired.OTHERS not in findings(directory, tree)
    names = sorted(_add(beside, tree.retired, f"former{n}", f"f{n}@corp.example") for n in range(2))
    found = findings(directory, tree)[checks_retired.OTHERS]
    assert found.state is State.WARNING
    assert found.text.endswith(f"purged: 2 ({', '.join(names)})")
    without = findings(directory, tree, change=_without_record)
    assert checks_retired.OTHERS not in without
    monkeypatch.setattr(checks_retired, "_LOOKED_AT", 2)
    assert "purged: at least " in findings(directory, tree)[checks_retired.OTHERS].text
