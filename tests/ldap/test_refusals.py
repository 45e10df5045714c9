"""What a directory refuses: each refusal ends as `backends.errors` says, and nothing is half done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

import ldap3
import pytest

from app.scim.filter.bind import bind
from app.scim.filter.parse import parse_filter
from app.scim.query import Change, Delta, Draft, Query, Sort, Window
from backends.errors import ReadOnly, TooManyCandidates, Unavailable
from backends.ldap.backend import LdapBackend
from tests.ldap.hooks import Hooks, hooked
from tests.ldap.links import listener
from tests.ldap.store import opened
from tests.ldap.test_faults import (
    PAIR,
    adding,
    every_write,
    held,
    members,
    names,
    new_group,
    new_user,
    pair,
    refused,
)
from tests.support.directories import Directory, DirectoryServer389, OpenLDAP, Tree
from tests.support.directory_openldap import PASSWORD
from tests.support.servers import HOST, free_port

DATABASE = "olcDatabase={1}mdb,cn=config"
MAPPING = 'cn="dc=example,dc=test",cn=mapping tree,cn=config'


@contextmanager
def configured(server: Directory, entry: str, **settings: list[str]) -> Iterator[None]:
    """The server with other values of an entry of its configuration."""
    name, secret = ("cn=config", PASSWORD) if server.kind == "openldap" else (None, None)
    with server.session(name, secret) as connection:
        connection.search(entry, "(objectClass=*)", ldap3.BASE, attributes=list(settings))
        raw = connection.response[0]["raw_attributes"]
        before = {setting: raw.get(setting, []) for setting in settings}
        connection.modify(entry, {name: [(ldap3.MODIFY_REPLACE, values)] for name, values in settings.items()})
        try:
            yield
        finally:
            connection.modify(entry, {name: [(ldap3.MODIFY_REPLACE, values)] for name, values in before.items()})


def search(backend: LdapBackend, filter: str | None = None, kind: str = "User") -> list[str]:
    bound = None if filter is None else bind(parse_filter(filter), backend.registry.type(kind))
    return [r.id for r in backend.search(kind, Query(frozenset(), bound)).items]


@pytest.fixture
def openldap_tree(openldap: OpenLDAP) -> Iterator[Tree]:
    tree = openldap.new_tree()
    yield tree
    openldap.empty(tree)


@pytest.fixture
def tree_389(ds389: DirectoryServer389) -> Iterator[Tree]:
    tree = ds389.new_tree()
    yield tree
    ds389.empty(tree)


def writes_are_refused(backend: LdapBackend, hooks: Hooks, read_only: AbstractContextManager[None]) -> None:
    """Every write ends with ReadOnly after a few requests, reads go on, and afterwards writes do."""
    ann = new_user(backend, "ann@corp.example")
    team, empty = new_group(backend, "Team", ann), new_group(backend, "Empty")
    with read_only:
        hooks.sent.clear()
        ends = refused(
            {
                **every_write(backend, ann, team),
                "add a member": partial(backend.update, "Group", empty.id, adding(ann.id)),
                "remove a member": partial(
                    backend.update, "Group", team.id, Change(relations={"members": Delta(remove=(ann.id,))})
                ),
            }
        )
        assert set(ends.values()) == {ReadOnly}, ends
        assert len(hooks.sent) < 10 * len(ends)
        assert held(backend, ann) == {"before"}
        assert members(backend, team) == [ann.id]
        assert members(backend, empty) == []
        assert names(backend) == {"ann@corp.example"}
        assert names(backend, "Group", "displayName") == {"Team", "Empty"}
    backend.update("User", ann.id, pair("after"))
    assert held(backend, ann) == {"after"}


def test_openldap_that_takes_no_writes(openldap: OpenLDAP, openldap_tree: Tree) -> None:
    with hooked(openldap, openldap_tree) as (backend, hooks):
        writes_are_refused(backend, hooks, configured(openldap, DATABASE, olcReadOnly=["TRUE"]))


def test_389_that_takes_no_writes(ds389: DirectoryServer389, tree_389: Tree) -> None:
    with hooked(ds389, tree_389) as (backend, hooks):
        writes_are_refused(backend, hooks, configured(ds389, "cn=config", **{"nsslapd-readonly": ["on"]}))


@contextmanager
def consumer(openldap: OpenLDAP, master: str) -> Iterator[None]:
    """The server as a replica of another one, which it can't reach: it refers writers to that."""
    source = f'rid=1 provider="ldap://{HOST}:{free_port()}" bindmethod=simple searchbase="{openldap.suffix}"'
    schedule = 'type=refreshAndPersist retry="3600 +"'
    with configured(openldap, DATABASE, olcSyncrepl=[f"{source} {schedule}"], olcUpdateRef=[master]):
        yield


def test_an_openldap_that_refers_writers_elsewhere(openldap_tree: Tree, openldap: OpenLDAP) -> None:
    """The other server is never asked."""
    with hooked(openldap, openldap_tree) as (backend, hooks), listener() as master:
        master.settimeout(0)
        writes_are_refused(backend, hooks, consumer(openldap, f"ldap://{HOST}:{master.getsockname()[1]}"))
        with pytest.raises(BlockingIOError):
            master.accept()


def test_a_389_that_refers_writers_elsewhere(tree_389: Tree, ds389: DirectoryServer389) -> None:
    """The other server is never asked."""
    with hooked(ds389, tree_389) as (backend, hooks), listener() as master:
        master.settimeout(0)
        url = f"ldap://{HOST}:{master.getsockname()[1]}/{ds389.suffix}"
        state = configured(ds389, MAPPING, **{"nsslapd-state": ["referral on update"]})
        with configured(ds389, MAPPING, **{"nsslapd-referral": [url]}):
            writes_are_refused(backend, hooks, state)
        with pytest.raises(BlockingIOError):
            master.accept()


def test_entries_that_refer_elsewhere(openldap: OpenLDAP, openldap_tree: Tree) -> None:
    """They are no users, stop nothing, and are not followed; a base below one is no place that can be used."""
    tree = openldap_tree
    with opened(openldap, tree) as backend, listener() as other, openldap.session() as administrator:
        other.settimeout(0)
        ann = new_user(backend, "ann@corp.example")
        url = f"ldap://{HOST}:{other.getsockname()[1]}/ou=people,dc=other,dc=test"
        elsewhere = f"ou=elsewhere,{tree.people}"
        administrator.add(elsewhere, ["referral", "extensibleObject"], {"ou": "elsewhere", "ref": url})
        try:
            assert search(backend) == [ann.id]
            assert search(backend, 'title eq "before"') == [ann.id]
            new_group(backend, "Team", ann)
            with opened(openldap, Tree(f"ou=more,{elsewhere}", tree.groups)) as below:
                ends = refused({"search": lambda: search(below), "create": lambda: new_user(below, "bob@corp.example")})
            assert set(ends.values()) <= {ReadOnly, Unavailable}, ends
        finally:
            administrator.delete(elsewhere, controls=[("2.16.840.1.113730.3.4.2", True, None)])
        with pytest.raises(BlockingIOError):
            other.accept()


def limits_are_told(server: Directory, tree: Tree, limited: AbstractContextManager[None]) -> None:
    """A search that the server gives up ends with TooManyCandidates; what needs few entries works."""
    with opened(server, tree) as backend:
        people = [new_user(backend, f"p{n}@corp.example") for n in range(30)]
    with limited, opened(server, tree) as backend:
        ends = refused(
            {
                "all": lambda: search(backend),
                "tested": lambda: search(backend, 'title sw "be"'),
                "sorted": lambda: backend.search(
                    "User", Query(PAIR, sort=Sort(backend.registry.type("User").slots["title"]))
                ),
            }
        )
        assert set(ends.values()) == {TooManyCandidates}, ends
        assert held(backend, people[0]) == {"before"}
        backend.update("User", people[0].id, pair("after"))
        new_user(backend, "late@corp.example")


@pytest.mark.parametrize(
    "limit", ["size.pr=10", "size.prtotal=10", "size=10 size.prtotal=hard", "size=unlimited size.unchecked=10"]
)
def test_limits_of_openldap(limit: str, openldap: OpenLDAP, openldap_tree: Tree) -> None:
    """Of the size of pages, of what all pages have together, of any search, and of the candidates it looks at."""
    rule = f'dn.exact="{openldap.service_dn}" {limit}'
    limits_are_told(openldap, openldap_tree, configured(openldap, DATABASE, olcLimits=[rule]))


@pytest.mark.parametrize("limit", ["nsSizeLimit", "nsLookThroughLimit"])
def test_limits_of_389(limit: str, ds389: DirectoryServer389, tree_389: Tree) -> None:
    settings = {limit: ["10"], limit.replace("ns", "nsPaged"): ["10"]}
    limits_are_told(ds389, tree_389, configured(ds389, ds389.service_dn, **settings))


def crowd(backend: LdapBackend) -> int:
    """Make users until there is no room; how many were made."""
    for number in range(10_000):
        try:
            new_user(backend, f"p{number}@corp.example")
        except Unavailable:
            return number
    raise AssertionError("there is always room")


def test_a_full_disk() -> None:
    """Writes fail with Unavailable once there is no room, and leave nothing half done; reads go on, and writes do when
    there is room again."""
    with OpenLDAP() as server:
        tree = server.new_tree()
        with server.session("cn=config", PASSWORD) as connection:
            connection.modify(DATABASE, {"olcDbMaxSize": [(ldap3.MODIFY_REPLACE, ["1048576"])]})
        with opened(server, tree) as backend:
            ann = new_user(backend, "ann@corp.example")
            team = new_group(backend, "Team", ann)
            made = crowd(backend)
            large = "x" * 20_000
            ends = refused(
                {
                    "update": partial(backend.update, "User", ann.id, Change({"title": large, "nickName": large})),
                    "create": partial(backend.create, "User", Draft({"userName": "late", "nickName": large})),
                }
            )
            assert set(ends.values()) == {Unavailable}, ends
            assert held(backend, ann) == {"before"}
            assert members(backend, team) == [ann.id]
            everyone = backend.search("User", Query(frozenset(), window=Window(1, 10_000))).items
            assert len(everyone) == made + 1
            assert search(backend, 'userName eq "late"') == []
            with server.session("cn=config", PASSWORD) as connection:
                connection.modify(DATABASE, {"olcDbMaxSize": [(ldap3.MODIFY_REPLACE, ["104857600"])]})
            backend.update("User", ann.id, pair("after"))
            assert held(backend, ann) == {"after"}
