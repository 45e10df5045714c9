"""Both client libraries on every kind of directory server: what is sent arrives, and what comes back is octets."""

from __future__ import annotations

import builtins
import traceback
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from backends.ldap.drivers import LDAP3, PYTHON_LDAP, connector
from backends.ldap.drivers.base import (
    Access,
    Address,
    Connection,
    ConnectionLost,
    LdapError,
    Modification,
    Only,
    Operation,
    Scope,
    Search,
    SortKey,
    TimedOut,
    Tls,
)
from config.errors import ConfigError
from tests.ldap.links import DRIVERS, access, answering, base_search, connected, person, scripted
from tests.support.directories import Directory, OpenLDAP, SambaAD, Tree

NO_SUCH_OBJECT = 32
ALREADY_EXISTS = 68
NO_SUCH_ATTRIBUTE = 16
INSUFFICIENT_ACCESS_RIGHTS = 50
INVALID_CREDENTIALS = 49
ASSERTION_FAILED = 122
UNAVAILABLE_CRITICAL_EXTENSION = 12
SIZE_LIMIT_EXCEEDED = 4
MANY = 10_000

pytestmark = pytest.mark.parametrize("driver", DRIVERS)


@pytest.fixture
def connection(driver: str, directory: Directory) -> Iterator[Connection]:
    """A connection of each driver to each kind of server."""
    connection = connected(driver, directory)
    yield connection
    connection.close()


@pytest.fixture
def slapd(driver: str, openldap: OpenLDAP) -> Iterator[Connection]:
    """A connection of each driver to the OpenLDAP server."""
    connection = connected(driver, openldap)
    yield connection
    connection.close()


@pytest.fixture
def open_tree(openldap: OpenLDAP) -> Iterator[Tree]:
    """A fresh tree of the OpenLDAP server."""
    tree = openldap.new_tree()
    yield tree
    openldap.empty(tree)


def failing(call: Any, *arguments: Any, **options: Any) -> LdapError:
    """The result code with which the server refuses the call."""
    with pytest.raises(LdapError) as refused:
        call(*arguments, **options)
    return refused.value


def missing(directory: Directory) -> int:
    """The result of deleting what is not there: 389 Directory Server sees no right to do so."""
    return INSUFFICIENT_ACCESS_RIGHTS if directory.kind == "389ds" else NO_SUCH_OBJECT


def test_what_was_added_is_found(connection: Connection, directory: Directory, tree: Tree) -> None:
    dn, attributes = person(directory, tree)
    assert connection.add(dn, attributes) is None
    found = connection.search(base_search(dn, "CN", "description", "telephoneNumber"))
    assert (found.cookie, found.size, found.references) == (b"", 0, 0)
    (entry,) = found.entries
    assert entry.dn.lower() == dn.lower()
    assert entry.attributes == {"cn": attributes["cn"], "description": [b"first"]}
    assert entry.first("description") == b"first"
    assert entry.first("telephonenumber") is None


def test_scopes(connection: Connection, directory: Directory, tree: Tree) -> None:
    dn, attributes = person(directory, tree)
    connection.add(dn, attributes)

    def names(scope: Scope, base: str) -> set[str]:
        return {e.dn.lower() for e in connection.search(Search(base, scope, "(objectClass=*)", ("1.1",))).entries}

    assert names(Scope.BASE, tree.people) == {tree.people.lower()}
    assert names(Scope.ONE, tree.people) == {dn.lower()}
    assert names(Scope.SUBTREE, tree.people) == {tree.people.lower(), dn.lower()}


def test_no_attribute_at_all_and_nothing_found(connection: Connection, directory: Directory, tree: Tree) -> None:
    dn, attributes = person(directory, tree)
    connection.add(dn, attributes)
    (entry,) = connection.search(base_search(dn, "1.1")).entries
    assert entry.attributes == {}
    assert connection.search(Search(tree.people, Scope.SUBTREE, "(cn=nobody)", ("*",))).entries == ()


def test_types_only(connection: Connection, directory: Directory, tree: Tree) -> None:
    dn, attributes = person(directory, tree)
    connection.add(dn, attributes)
    search = Search(dn, Scope.BASE, "(objectClass=*)", ("cn", "sn", "title"), types_only=True)
    (entry,) = connection.search(search).entries
    if directory.kind == "active-directory":
        # Samba sends the values all the same.
        assert entry.attributes == {"cn": attributes["cn"], "sn": attributes["sn"]}
    else:
        assert {name: list(values) for name, values in entry.attributes.items()} == {"cn": [], "sn": []}


def test_a_base_that_is_not_there(connection: Connection, directory: Directory, tree: Tree) -> None:
    error = failing(connection.search, base_search(f"cn=nobody,{tree.people}", "*"))
    assert error.code == NO_SUCH_OBJECT
    # Samba does not say how far it came.
    assert error.matched.lower() == ("" if directory.kind == "active-directory" else tree.people.lower())


def test_compare(connection: Connection, directory: Directory, tree: Tree) -> None:
    dn, attributes = person(directory, tree)
    connection.add(dn, attributes)
    assert connection.compare(dn, "description", b"first") is True
    assert connection.compare(dn, "description", b"last") is False
    assert connection.compare(dn, "description", b"fir\x00st") is False
    assert failing(connection.compare, f"cn=nobody,{tree.people}", "cn", b"x").code == NO_SUCH_OBJECT


def test_an_entry_is_added_once(connection: Connection, directory: Directory, tree: Tree) -> None:
    dn, attributes = person(directory, tree)
    connection.add(dn, attributes)
    assert failing(connection.add, dn, attributes).code == ALREADY_EXISTS


def test_modify_makes_all_changes_or_none(connection: Connection, directory: Directory, tree: Tree) -> None:
    dn, attributes = person(directory, tree)
    connection.add(dn, attributes)
    changes = [
        Modification(Operation.ADD, "title", (b"Countess",)),
        Modification(Operation.REPLACE, "sn", (b"King",)),
        Modification(Operation.DELETE, "description", (b"first",)),
    ]
    assert connection.modify(dn, changes) is None
    wanted = base_search(dn, "title", "sn", "description", "telephoneNumber")
    assert connection.search(wanted).entries[0].attributes == {"title": [b"Countess"], "sn": [b"King"]}
    refused = [
        Modification(Operation.REPLACE, "sn", (b"Byron",)),
        Modification(Operation.DELETE, "telephoneNumber", (b"1",)),
    ]
    assert failing(connection.modify, dn, refused).code == NO_SUCH_ATTRIBUTE
    connection.modify(dn, [Modification(Operation.DELETE, "title"), Modification(Operation.REPLACE, "description")])
    assert connection.search(wanted).entries[0].attributes == {"sn": [b"King"]}


def test_rename_and_move(connection: Connection, directory: Directory, tree: Tree) -> None:
    dn, attributes = person(directory, tree, "before")
    connection.add(dn, attributes)
    assert connection.rename(dn, "cn=after") is None
    (entry,) = connection.search(base_search(f"cn=after,{tree.people}", "cn")).entries
    assert entry.attributes == {"cn": [b"after"]}
    if directory.kind == "active-directory":
        # The service account has no right to move.
        refused = failing(connection.rename, f"cn=after,{tree.people}", "cn=moved", superior=tree.groups)
        assert refused.code == INSUFFICIENT_ACCESS_RIGHTS
        assert refused.message
        return
    connection.rename(f"cn=after,{tree.people}", "cn=moved", superior=tree.groups)
    assert len(connection.search(base_search(f"cn=moved,{tree.groups}", "cn")).entries) == 1
    assert failing(connection.rename, dn, "cn=x").code == NO_SUCH_OBJECT


def test_a_rename_that_keeps_the_old_name_as_a_value(slapd: Connection, openldap: OpenLDAP, open_tree: Tree) -> None:
    dn, attributes = person(openldap, open_tree, "former")
    slapd.add(dn, attributes)
    entry = slapd.rename(dn, "cn=present", keep_old=True, read=["cn"])
    assert entry is not None
    assert sorted(entry.attributes["cn"]) == [b"former", b"present"]


def test_delete(connection: Connection, directory: Directory, tree: Tree) -> None:
    dn, attributes = person(directory, tree)
    connection.add(dn, attributes)
    connection.delete(dn)
    assert failing(connection.delete, dn).code == missing(directory)
    assert failing(connection.search, base_search(dn, "1.1")).code == NO_SUCH_OBJECT


def test_pages(connection: Connection, directory: Directory, tree: Tree) -> None:
    names = {f"page{number}" for number in range(7)}
    for name in names:
        connection.add(*person(directory, tree, name))
    found: list[str] = []
    sizes = []
    cookie = b""
    while True:
        page = connection.search(Search(tree.people, Scope.ONE, "(sn=*)", ("cn",), page=3, cookie=cookie))
        found += [(entry.first("cn") or b"").decode() for entry in page.entries]
        sizes.append(len(page.entries))
        cookie = page.cookie
        if not cookie:
            break
    assert sorted(found) == sorted(names)
    assert sizes[:2] == [3, 3]


def test_a_size_limit_is_an_error(connection: Connection, directory: Directory, tree: Tree) -> None:
    for _ in range(3):
        connection.add(*person(directory, tree))
    search = Search(tree.people, Scope.ONE, "(objectClass=*)", ("cn",), size_limit=2)
    if directory.kind == "active-directory":
        # Samba has no such limit.
        assert len(connection.search(search).entries) == 3
    else:
        assert failing(connection.search, search).code == SIZE_LIMIT_EXCEEDED
    assert len(connection.search(Search(tree.people, Scope.ONE, "(objectClass=*)", ("cn",))).entries) == 3


def sortable(directory: Directory) -> str:
    """An attribute that the server sorts by: OpenLDAP only does where the attribute has an ORDERING rule."""
    return "entryUUID" if directory.kind == "openldap" else "cn"


def test_sorted_both_ways(connection: Connection, directory: Directory, tree: Tree) -> None:
    for name in ("beta", "alpha", "gamma", "delta", "eta"):
        connection.add(*person(directory, tree, name))
    attribute = sortable(directory)

    def values(descending: bool) -> list[bytes | None]:
        search = Search(tree.people, Scope.ONE, "(sn=*)", (attribute,), sort=SortKey(attribute, descending))
        return [entry.first(attribute.lower()) for entry in connection.search(search).entries]

    ascending = values(False)
    assert len(ascending) == 5
    assert ascending == sorted(ascending, key=lambda value: value or b"")
    assert values(True) == ascending[::-1]


def test_a_sorted_page_tells_how_many_come_after_it(slapd: Connection, openldap: OpenLDAP, open_tree: Tree) -> None:
    """As often as it is asked on one connection, when what was begun is also ended."""
    for number in range(9):
        slapd.add(*person(openldap, open_tree, f"counted{number}"))
    search = Search(open_tree.people, Scope.ONE, "(sn=*)", ("1.1",), page=2, sort=SortKey("entryUUID"))
    for _ in range(25):
        found = slapd.search(search)
        assert (len(found.entries), found.size) == (2, 7)
        end = slapd.resume(replace(search, page=0, cookie=found.cookie))
        assert (end.entries, end.cookie) == ((), b"")


def test_values_that_are_asked_for(slapd: Connection, openldap: OpenLDAP, open_tree: Tree) -> None:
    """Of an attribute with many values those are returned, and of other attributes all."""
    dn, attributes = person(openldap, open_tree)
    slapd.add(dn, {**attributes, "title": (b"one", b"two", b"three"), "ou": (b"a", b"b")})
    only = Only("title", (b"TWO", b"three", b"four"))
    (entry,) = slapd.search(Search(dn, Scope.BASE, "(sn=*)", ("title", "ou"), only=only)).entries
    assert {name: sorted(values) for name, values in entry.attributes.items()} == {
        "title": [b"three", b"two"],
        "ou": [b"a", b"b"],
    }


def test_an_order_that_the_server_does_not_have_is_an_error(slapd: Connection, open_tree: Tree) -> None:
    search = Search(open_tree.people, Scope.ONE, "(sn=*)", ("cn",), sort=SortKey("jpegPhoto"))
    assert failing(slapd.search, search).code == 18


def test_assertions_hold_or_nothing_is_done(connection: Connection, directory: Directory, tree: Tree) -> None:
    dn, attributes = person(directory, tree)
    connection.add(dn, attributes)
    change = [Modification(Operation.REPLACE, "sn", (b"King",))]
    if directory.kind != "openldap":
        error = failing(connection.modify, dn, change, assertion="(sn=Lovelace)")
        assert error.code == UNAVAILABLE_CRITICAL_EXTENSION
        assert connection.compare(dn, "sn", b"Lovelace")
        return
    connection.modify(dn, change, assertion="(&(sn=Lovelace)(!(title=*)))")
    assert failing(connection.modify, dn, change, assertion="(sn=Lovelace)").code == ASSERTION_FAILED
    assert failing(connection.rename, dn, "cn=other", assertion="(sn=Lovelace)").code == ASSERTION_FAILED
    assert failing(connection.delete, dn, assertion="(sn=Lovelace)").code == ASSERTION_FAILED
    connection.delete(dn, assertion="(sn=King)")


def test_post_read(connection: Connection, directory: Directory, tree: Tree) -> None:
    dn, attributes = person(directory, tree, "read")
    if directory.kind == "active-directory":
        assert failing(connection.add, dn, attributes, read=["cn"]).code == UNAVAILABLE_CRITICAL_EXTENSION
        return
    added = connection.add(dn, attributes, read=["SN", "entryUUID"])
    assert added is not None
    assert added.dn.lower() == dn.lower()
    assert added.attributes["sn"] == [b"Lovelace"]
    octets = b"\xffraw\x00octets"
    changes = [Modification(Operation.REPLACE, "jpegPhoto", (octets,))]
    modified = connection.modify(dn, changes, read=["jpegPhoto", "entryUUID", "title"])
    assert modified is not None
    assert modified.attributes == {"jpegphoto": [octets], "entryuuid": added.attributes["entryuuid"]}
    renamed = connection.rename(dn, "cn=later", read=["cn"])
    assert renamed is not None
    assert (renamed.dn.lower(), renamed.attributes) == (f"cn=later,{tree.people}".lower(), {"cn": [b"later"]})


def test_a_password_is_set_and_opens_the_account(
    driver: str, connection: Connection, directory: Directory, tree: Tree
) -> None:
    dn, attributes = person(directory, tree)
    connection.add(dn, attributes)
    if directory.kind == "active-directory":
        assert failing(connection.set_password, dn, "Pässword-1").code > 0
        return
    connection.set_password(dn, "Pässword-1")
    who = Access(dn, "Pässword-1", ca_file=str(directory.ca_file))
    connector(driver)(Address(directory.host, directory.ldaps_port, Tls.LDAPS), who).close()


HOSTILE = {
    "parentheses": b"a)(cn=*",
    "wildcard": b"*",
    "backslash": b"\\2a",
    "nul": b"a\x00b",
    "not-utf8": b"\xff\xfe",
    "dn": b'a,b=c+d;"e"<f>#',
    "spaces": b"  a  b  ",
    "all": bytes(range(1, 256)),
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE.keys())
def test_octets_pass_unchanged(slapd: Connection, openldap: OpenLDAP, open_tree: Tree, value: bytes) -> None:
    """audio and userPKCS12 take octets of any kind."""
    dn, attributes = person(openldap, open_tree)
    slapd.add(dn, attributes | {"audio": [value, b"other"], "userPKCS12": [value]})
    (entry,) = slapd.search(base_search(dn, "audio", "userPKCS12")).entries
    assert sorted(entry.attributes["audio"]) == sorted([value, b"other"])
    assert entry.attributes["userpkcs12"] == [value]


TEXTS = {
    "parentheses": "a)(cn=*",
    "wildcard": "*",
    "backslash": "\\2a",
    "dn": 'a,b=c+d;"e"<f>#',
    "inner spaces": "a  b",
    "other script": "Ἀθηνᾶ ∀",
    "equals": "(&(a=b))",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_escaped_text_is_found_by_a_filter_and_nothing_else(
    connection: Connection, directory: Directory, tree: Tree, text: str
) -> None:
    dn, attributes = person(directory, tree)
    connection.add(dn, attributes | {"sn": [text.encode()]})
    connection.add(*person(directory, tree))
    escaped = "".join(f"\\{octet:02x}" for octet in text.encode())
    for filter_text in (f"(sn={escaped})", f"(sn=*{escaped}*)", f"(|(sn={escaped})(sn=\\00))"):
        (entry,) = connection.search(Search(tree.people, Scope.ONE, filter_text, ("sn",))).entries
        assert entry.attributes == {"sn": [text.encode()]}
    # Samba makes a filter of the comparison and escapes nothing in it.
    if directory.kind != "active-directory":
        assert connection.compare(dn, "sn", text.encode()) is True


def test_hostile_names_are_names(connection: Connection, directory: Directory, tree: Tree) -> None:
    name = 'Smith, "J" + <x>; \\y = #z'
    escaped = "".join(f"\\{ord(c):02x}" if c in ',"+<>;\\=# ' else c for c in name)
    _, attributes = person(directory, tree)
    connection.add(f"cn={escaped},{tree.people}", attributes | {"cn": [name.encode()]})
    (entry,) = connection.search(Search(tree.people, Scope.ONE, "(sn=Lovelace)", ("cn",))).entries
    assert entry.attributes == {"cn": [name.encode()]}
    # The name as the server writes it is good for the next request.
    (again,) = connection.search(base_search(entry.dn, "cn")).entries
    assert again == entry
    connection.delete(entry.dn)


def test_an_attribute_with_many_values(connection: Connection, directory: Directory, tree: Tree) -> None:
    dn, attributes = person(directory, tree)
    values = [f"+49 {number}".encode() for number in range(MANY)]
    name = "otherTelephone" if directory.kind == "active-directory" else "telephoneNumber"
    connection.add(dn, attributes | {name: values})
    (entry,) = connection.search(base_search(dn, name)).entries
    got = [value for values in entry.attributes.values() for value in values]
    if directory.kind == "active-directory" and len(got) < MANY:
        # Active Directory answers in ranges, which are the caller's to go on with.
        assert list(entry.attributes) == [f"{name.lower()};range=0-{len(got) - 1}"]
    else:
        assert sorted(got) == sorted(values)


def test_a_value_of_a_megabyte(slapd: Connection, openldap: OpenLDAP, open_tree: Tree) -> None:
    dn, attributes = person(openldap, open_tree)
    photo = bytes(range(256)) * 4096
    slapd.add(dn, attributes | {"jpegPhoto": [photo]})
    assert slapd.search(base_search(dn, "jpegPhoto")).entries[0].attributes == {"jpegphoto": [photo]}


def test_a_connection_in_the_clear(driver: str, openldap: OpenLDAP) -> None:
    connection = connected(driver, openldap, Tls.NONE)
    assert len(connection.search(base_search("", "namingContexts")).entries) == 1
    connection.close()


def test_a_server_that_wants_tls_refuses_a_password_in_the_clear(driver: str, samba: SambaAD) -> None:
    with pytest.raises(LdapError) as refused:
        connected(driver, samba, Tls.NONE)
    assert refused.value.code == 8


@pytest.mark.parametrize("tls", [Tls.LDAPS, Tls.START_TLS], ids=lambda tls: tls.value)
def test_the_root_dse_for_nobody(driver: str, directory: Directory, tls: Tls) -> None:
    port = directory.ldaps_port if tls is Tls.LDAPS else directory.port
    nobody = Access("", "", ca_file=str(directory.ca_file))
    connection = connector(driver)(Address(directory.host, port, tls), nobody)
    (root,) = connection.search(base_search("", "namingContexts", "supportedControl")).entries
    assert root.dn == ""
    assert b"1.2.840.113556.1.4.319" in root.attributes["supportedcontrol"]
    assert connection.usable()
    connection.close()


@pytest.mark.parametrize("password", ["wrong-one", ""], ids=["wrong", "empty"])
def test_a_bind_that_is_refused(driver: str, directory: Directory, password: str) -> None:
    who = Access(directory.service_dn, password, ca_file=str(directory.ca_file))
    with pytest.raises(LdapError) as refused:
        connector(driver)(Address(directory.host, directory.ldaps_port, Tls.LDAPS), who)
    assert refused.value.code == INVALID_CREDENTIALS


def test_no_secret_is_shown(driver: str, openldap: OpenLDAP) -> None:
    secret = "top-secret-word"
    who = Access(openldap.service_dn, secret, ca_file=str(openldap.ca_file))
    with pytest.raises(LdapError) as refused:
        connector(driver)(Address(openldap.host, openldap.ldaps_port, Tls.LDAPS), who)
    connection = connected(driver, openldap)
    seen = [repr(who), *traceback.format_exception(refused.value), repr(connection), str(connection)]
    connection.close()
    assert not any(secret in text or openldap.service_password in text for text in seen)
    # Nor is it kept where a debugger or an error reporter of locals would find it.
    assert openldap.service_password not in repr(getattr(connection, "_library", ""))


def test_a_closed_connection_is_lost_and_closing_again_is_nothing(driver: str, openldap: OpenLDAP) -> None:
    connection = connected(driver, openldap)
    assert connection.usable()
    connection.close()
    connection.close()
    assert not connection.usable()
    with pytest.raises(ConnectionLost):
        connection.search(base_search("", "*"))
    with pytest.raises(ConnectionLost):
        connection.delete("cn=x")


def test_a_filter_that_is_none_is_refused_before_it_is_sent(slapd: Connection) -> None:
    with pytest.raises(ValueError, match="filter"):
        slapd.search(Search("", Scope.BASE, "(cn=a", ("*",)))
    with pytest.raises(ValueError, match="filter"):
        slapd.modify("cn=x", [Modification(Operation.DELETE, "sn")], assertion="(((")
    assert len(slapd.search(base_search("", "*")).entries) == 1


def test_an_error_leaves_the_connection_good(connection: Connection, directory: Directory, tree: Tree) -> None:
    for _ in range(3):
        assert failing(connection.delete, f"cn=nobody,{tree.people}").code == missing(directory)
    assert connection.usable()
    assert len(connection.search(base_search(tree.people, "1.1")).entries) == 1


def bound(request: bytes) -> bytes:
    """The answer to a bind."""
    return answering(request, 0x61)


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", id="http"),
        pytest.param(b"\x30\x80\x00\x00" * 8, id="indefinite-length"),
        pytest.param(b"\x30\x03\x02\x01\x07" * 8, id="no-operation"),
        pytest.param(b"", id="end"),
    ],
)
def test_what_is_no_ldap_is_a_lost_connection(driver: str, octets: bytes) -> None:
    with scripted(bound, lambda _: octets) as port:
        connection = connector(driver)(Address("127.0.0.1", port, Tls.NONE), Access("cn=x", "y", response_timeout=3))
        with pytest.raises(ConnectionLost):
            connection.search(base_search("", "*"))
        assert not connection.usable()
        connection.close()


def test_a_notice_of_disconnection_is_a_lost_connection(driver: str) -> None:
    name = b"1.3.6.1.4.1.1466.20036"
    result = bytes((10, 1, 52, 4, 0, 4, 3)) + b"bye" + bytes((0x8A, len(name))) + name
    body = bytes((2, 1, 0, 0x78, len(result))) + result
    with scripted(bound, lambda _: bytes((0x30, len(body))) + body) as port:
        connection = connector(driver)(Address("127.0.0.1", port, Tls.NONE), Access("cn=x", "y", response_timeout=3))
        with pytest.raises(ConnectionLost) as lost:
            connection.search(base_search("", "*"))
        assert not isinstance(lost.value, TimedOut)
        connection.close()


def test_a_driver_that_is_none(driver: str) -> None:
    with pytest.raises(ConfigError) as refused:
        connector(f"{driver}2")
    assert "ldap.driver" in str(refused.value)


def test_a_library_that_is_missing(driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """ldap3 is always there; python-ldap says how to get it."""
    real = builtins.__import__

    def without(name: str, *arguments: Any) -> Any:
        if name == "ldap" or name.endswith("with_libldap"):
            raise ImportError(name)
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    if driver == LDAP3:
        connector(LDAP3)
        return
    with pytest.raises(ConfigError) as missing:
        connector(PYTHON_LDAP)
    assert "pip install" in str(missing.value)


def test_the_access_of_a_server_is_not_the_only_one(driver: str, openldap: OpenLDAP) -> None:
    """Options are of one connection: who trusts nobody does not disturb who does."""
    good = connected(driver, openldap)
    with pytest.raises(ConnectionLost):
        connector(driver)(
            Address(openldap.host, openldap.ldaps_port, Tls.LDAPS),
            Access(openldap.service_dn, openldap.service_password, ca_file=None),
        )
    assert len(good.search(base_search("", "*")).entries) == 1
    again = connector(driver)(Address(openldap.host, openldap.port, Tls.START_TLS), access(openldap))
    again.close()
    good.close()
