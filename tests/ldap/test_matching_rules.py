"""Matching rules of attributes that are not SCIM's: hyphens of telephone numbers, and letters whose case counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import ldap3
import pytest

from app.scim.query import Change, Draft, Value
from backends.errors import Duplicate, RejectedValue
from backends.ldap.backend import LdapBackend
from config.directory import Bindings, Derived, Place, Single
from tests.ldap.store import Beside, opened, with_users
from tests.ldap.test_odd_entries import ANN, found
from tests.support.directories import Directory, Tree
from tests.support.ldapstores import bindings_for

FOUND = f"(|(uid={ANN})(userPrincipalName={ANN}))"


def _phones(*values: str, type: str = "work") -> list[dict[str, Value]]:
    return [{"value": value, "type": type} for value in values]


@pytest.mark.parametrize("type", ["work", "mobile", "home", "fax", "pager"])
def test_numbers_that_differ_in_hyphens_only(type: str, backend: LdapBackend) -> None:
    """A server that takes them for one gets one; all come back as they were given and are found, also those of hyphens
    alone."""
    first = _phones("555-1234", "5551234", "555 12-34", "-", "---", type=type)
    ann = backend.create("User", Draft({"userName": ANN, "phoneNumbers": first}))
    assert backend.get("User", ann.id, frozenset({"phoneNumbers"})).values == {"phoneNumbers": first}
    for value in ("555-1234", "5551234", "555 12-34", "-", "---"):
        assert found(backend, f'phoneNumbers.value eq "{value}"') == [ann.id]
    then = _phones("--", "66", "6-6", "6 6", type=type)
    backend.update("User", ann.id, Change({"phoneNumbers": then}))
    assert backend.get("User", ann.id, frozenset({"phoneNumbers"})).values == {"phoneNumbers": then}
    assert found(backend, 'phoneNumbers.value eq "6-6"') == [ann.id]
    assert found(backend, 'phoneNumbers.value eq "-6-6"') == []


def test_the_first_of_equal_numbers_is_the_directorys(backend: LdapBackend, beside: Beside) -> None:
    backend.create("User", Draft({"userName": ANN, "phoneNumbers": _phones("555-1234", "5551234")}))
    held = beside.entry(FOUND, ("telephoneNumber",))[1]["telephonenumber"]
    assert held == ["555-1234"]


@pytest.mark.parametrize("type", ["work", "fax"])
def test_parts_of_numbers_with_hyphens(type: str, backend: LdapBackend, beside: Beside) -> None:
    """Values that another tool wrote are found by their hyphens and blanks."""
    ann = backend.create("User", Draft({"userName": ANN, "active": True}))
    bob = backend.create("User", Draft({"userName": "bob@corp.example", "phoneNumbers": _phones("5551234", type=type)}))
    name = {"work": "telephoneNumber", "fax": "facsimileTelephoneNumber"}[type]
    dn, _ = beside.entry(FOUND, ("cn",))
    assert beside.connection.modify(dn, {name: [(ldap3.MODIFY_REPLACE, ["555 - 1234"])]})
    for test in ('co "-"', 'co " - "', 'co "5 - 1"', 'sw "555 -"', 'ew "- 1234"', 'ew "-1234"', 'eq "555 - 1234"'):
        wanted = [] if test == 'ew "-1234"' else [ann.id]
        assert found(backend, f"phoneNumbers.value {test}") == wanted, test
        assert found(backend, f'phoneNumbers[type eq "{type}" and value {test}]') == wanted, test
    for test in ('co "5-1"', 'sw "-5"', 'eq "555-1234"', 'eq "-"', 'sw "-"'):
        assert found(backend, f"phoneNumbers.value {test}") == [], test
    assert sorted(found(backend, 'phoneNumbers.value co "1234"')) == sorted([ann.id, bob.id])


@dataclass(frozen=True, slots=True)
class Exact:
    """A back end of which `title` and the e-mail addresses of type work are in attributes where case counts."""

    backend: LdapBackend
    beside: Beside
    attribute: str


def _exact_bindings(directory: Directory, tree: Tree, attribute: str) -> Bindings:
    shipped = bindings_for(directory.kind, tree)
    singles = {slot: single for slot, single in shipped.users.singles.items() if slot != "profileUrl"}
    bound = with_users(shipped, singles={**singles, "title": Single(attribute)})
    if attribute == "labeledURI" or directory.kind == "active-directory":
        return bound
    classes = (*shipped.users.object_classes, "posixAccount")
    numbers = {"uidNumber": ("1000",), "gidNumber": ("100",), "homeDirectory": ("/home/x",)}
    return with_users(bound, object_classes=classes, fixed=numbers)


@pytest.fixture(params=["labeledURI", "loginShell"])
def exact(request: pytest.FixtureRequest, directory: Directory, tree: Tree, beside: Beside) -> Iterator[Exact]:
    """A directory string, and a string of IA5."""
    with opened(directory, tree, _exact_bindings(directory, tree, request.param)) as backend:
        backend.check()
        yield Exact(backend, beside, request.param)


TESTS = ('eq "BOSS"', 'eq "boss"', 'co "oS"', 'sw "bO"', 'ew "SS"', 'ge "boss"')


def test_a_filter_without_case_on_an_attribute_with_it(exact: Exact) -> None:
    """It finds what another tool wrote and what a client did."""
    backend = exact.backend
    ann = backend.create("User", Draft({"userName": ANN, "title": "bOSs"}))
    bob = backend.create("User", Draft({"userName": "bob@corp.example", "title": "Aide"}))
    for test in TESTS:
        assert found(backend, f"title {test}") == [ann.id], test
    dn, held = exact.beside.entry(FOUND, (exact.attribute,))
    assert held[exact.attribute.lower()] == ["bOSs"]
    assert exact.beside.connection.modify(dn, {exact.attribute: [(ldap3.MODIFY_REPLACE, ["BoSS"])]})
    for test in TESTS:
        assert found(backend, f"title {test}") == [ann.id], test
    assert found(backend, 'not (title eq "boss")') == [bob.id]
    assert found(backend, 'title eq "bos"') == []


def test_parts_of_values_on_an_attribute_with_case(directory: Directory, tree: Tree) -> None:
    shipped = _exact_bindings(directory, tree, "labeledURI")
    lists = {**shipped.users.lists, "emails": (Place({"value": "labeledURI"}, "work"),)}
    singles = {slot: single for slot, single in shipped.users.singles.items() if slot != "title"}
    with opened(directory, tree, with_users(shipped, lists=lists, singles=singles)) as backend:
        ann = backend.create("User", Draft({"userName": ANN, "emails": [{"value": "A@Corp.example", "type": "work"}]}))
        for test in ('eq "a@corp.EXAMPLE"', 'co "@CORP"', 'sw "a@c"', 'ew ".Example"'):
            assert found(backend, f"emails.value {test}") == [ann.id], test
            assert found(backend, f'emails[type eq "work" and value {test}]') == [ann.id], test


def test_a_filter_with_case_on_an_attribute_with_it(backend: LdapBackend) -> None:
    """A profileUrl is compared with case (RFC 7643 section 2.3.7), wherever it is held."""
    ann = backend.create("User", Draft({"userName": ANN, "profileUrl": "https://Corp.example/Ann"}))
    assert found(backend, 'profileUrl eq "https://Corp.example/Ann"') == [ann.id]
    assert found(backend, 'profileUrl co "/Ann"') == [ann.id]
    assert found(backend, 'profileUrl co "/ann"') == []


# In Active Directory userPrincipalName is the attribute of the name.
@pytest.mark.directories("openldap", "389ds")
def test_a_name_on_an_attribute_with_case(directory: Directory, tree: Tree) -> None:
    """A userName that differs in case only is taken all the same."""
    shipped = _exact_bindings(directory, tree, "labeledURI")
    singles = {slot: single for slot, single in shipped.users.singles.items() if slot != "title"}
    derived = {**shipped.users.derived, "uid": Derived(("externalId",))}
    named = with_users(shipped, singles={**singles, "userName": Single("labeledURI")}, derived=derived)
    with opened(directory, tree, named) as backend:
        ann = backend.create("User", Draft({"userName": "Ann", "externalId": "1"}))
        bob = backend.create("User", Draft({"userName": "Bob", "externalId": "2"}))
        with pytest.raises(Duplicate) as refused:
            backend.create("User", Draft({"userName": "aNN", "externalId": "3"}))
        assert refused.value.attribute == "userName"
        with pytest.raises(Duplicate):
            backend.update("User", bob.id, Change({"userName": "ANN"}))
        backend.update("User", ann.id, Change({"userName": "ANN"}))
        assert found(backend, 'userName eq "ann"') == [ann.id]


@pytest.mark.directories("openldap", "389ds")
def test_values_that_are_one_to_the_directory(directory: Directory, tree: Tree) -> None:
    """A new entry that is refused for it is no sign that the directory is away."""
    shipped = bindings_for(directory.kind, tree)
    twice = with_users(shipped, fixed={"description": ("Same", "same")})
    with opened(directory, tree, twice) as backend, pytest.raises(RejectedValue):
        backend.create("User", Draft({"userName": ANN, "active": True}))
