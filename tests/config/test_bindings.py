"""Bindings files: the shipped ones, what a file becomes, and that every fault names the line to mend."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.bindings import load_bindings, parse_bindings
from config.bindings_schema import GroupsTable, UsersTable
from config.directory import Bindings, Derived, Kind, Lock, MemberSyntax, Password, Place, Single
from config.errors import ConfigError
from config.toml_lines import lines

SHIPPED = Path(__file__).parents[2] / "config" / "bindings"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
MINIMAL = """\
kind = "openldap"
[users]
base = "ou=people,dc=example,dc=org"
filter = "(objectClass=inetOrgPerson)"
object_classes = ["inetOrgPerson"]
rdn = "uid"
version = "entryCSN"
[users.attributes]
userName = "uid"
[groups]
base = "ou=groups,dc=example,dc=org"
filter = "(objectClass=groupOfNames)"
object_classes = ["groupOfNames"]
rdn = "cn"
version = "entryCSN"
[groups.attributes]
displayName = "cn"
"""


def parsed(text: str) -> Bindings:
    return parse_bindings(text, Path("/etc/landfall/ours.toml"))


def faults(text: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        parsed(text)
    return {fault.key: fault.message for fault in caught.value.faults}


def edited(old: str, new: str) -> str:
    assert MINIMAL.count(old) == 1
    return MINIMAL.replace(old, new)


@pytest.mark.parametrize("kind", Kind)
def test_a_shipped_file_is_loaded_by_its_name_and_by_its_path(kind: Kind) -> None:
    bindings = load_bindings(kind.value)
    assert bindings.kind is kind
    by_path = load_bindings(SHIPPED / f"{kind}.toml")
    assert (bindings.users, bindings.groups, bindings.lines) == (by_path.users, by_path.groups, by_path.lines)
    assert bindings.source.name == f"{kind}.toml"
    assert bindings.users.singles
    assert "displayName" in bindings.groups.singles


@pytest.mark.parametrize("kind", Kind)
def test_a_shipped_file_shows_every_key(kind: Kind) -> None:
    """Set, or commented out with a value."""
    users, groups = (SHIPPED / f"{kind}.toml").read_text(encoding="utf-8").split("[groups]\n")
    own = set(GroupsTable().fields) - set(UsersTable().fields)
    for text, keys in ((users, set(UsersTable().fields)), (groups, own)):
        shown = set(re.findall(r"^(?:# )?(\w+) = ", text, flags=re.MULTILINE))
        shown |= set(re.findall(r"^\[users\.(\w+)", text, flags=re.MULTILINE))
        assert keys <= shown


@pytest.mark.parametrize("kind", Kind)
def test_each_key_that_a_shipped_file_has_commented_out_can_be_put_in(kind: Kind) -> None:
    text = (SHIPPED / f"{kind}.toml").read_text(encoding="utf-8")
    remarks = re.findall(r"^# \w+ = .*$", text, flags=re.MULTILINE)
    assert len(remarks) > 3
    before = parsed(text)
    for remark in remarks:
        changed = parsed(text.replace(remark, remark.removeprefix("# ")))
        assert (changed.users, changed.groups) != (before.users, before.groups)


def test_a_file_becomes_bindings() -> None:
    bindings = parsed(
        f"""
        kind = "389ds"
        [users]
        base = "ou=people, dc=example,dc=org"
        filter = "(&(objectClass=person)(!(|(uid=a*)(cn=\\\\28x))))"
        object_classes = ["inetOrgPerson", "extra"]
        rdn = "uid"
        version = "content"
        placement = ["ou={{title}},OU=people,dc=example,dc=org"]
        record = "info"
        held = "keywords"
        lock = "nsAccountLock"
        password = "userPassword"
        member_of = "memberOf"
        retired = "ou=retired,dc=example,dc=org"
        fixed = {{loginShell = "/bin/sh", description = ["a", "b"]}}
        filled = ["uidNumber"]
        [users.derived]
        cn = ["displayName", "userName"]
        sn = {{from = ["userName"], max = 20, forbid = "/@"}}
        [users.attributes]
        userName = "uid"
        title = {{attribute = "title", max = 128}}
        emails = [{{type = "work", value = "mail", primary = true, max = 256}}, {{value = "otherMail"}}]
        addresses = [{{locality = "l", region = "st", max = {{locality = 40}}}}]
        [users.extensions."{ENTERPRISE}"]
        "manager.value" = "manager"
        [groups]
        base = "ou=groups,dc=example,dc=org"
        filter = "(cn=*)"
        object_classes = ["posixGroup"]
        rdn = "cn"
        version = "entryusn"
        member = "memberUid"
        member_syntax = "name"
        pieces = 7
        [groups.attributes]
        displayName = "cn"
        """
    )
    users, groups = bindings.users, bindings.groups
    assert users.base == "ou=people, dc=example,dc=org"
    assert users.object_classes == ("inetOrgPerson", "extra")
    assert users.placement == ("ou={title},OU=people,dc=example,dc=org",)
    assert (users.record, users.held, users.member_of) == ("info", "keywords", "memberOf")
    assert (users.lock, users.password) == (Lock.NS_ACCOUNT_LOCK, Password.USER_PASSWORD)
    assert users.fixed == {"loginShell": ("/bin/sh",), "description": ("a", "b")}
    assert users.filled == ("uidNumber",)
    assert users.retired == "ou=retired,dc=example,dc=org"
    assert users.derived == {"cn": Derived(("displayName", "userName")), "sn": Derived(("userName",), 20, "/@")}
    assert users.singles == {
        "userName": Single("uid"),
        "title": Single("title", 128),
        f"{ENTERPRISE}:manager.value": Single("manager"),
    }
    assert users.lists == {
        "emails": (Place({"value": "mail"}, "work", True, 256), Place({"value": "otherMail"})),
        "addresses": (Place({"locality": "l", "region": "st"}, limits={"locality": 40}),),
    }
    assert [users.lists["addresses"][0].limit(part) for part in ("locality", "region")] == [40, None]
    assert users.lists["emails"][0].limit("value") == 256
    assert list(users.lists["addresses"][0].parts) == ["locality", "region"]
    assert (groups.member, groups.member_syntax, groups.pieces) == ("memberUid", MemberSyntax.NAME, 7)


def test_what_a_file_leaves_out_is_off() -> None:
    bindings = parsed(MINIMAL)
    assert (bindings.users.lock, bindings.users.password, bindings.users.member_of) == (Lock.NONE, Password.NONE, None)
    assert (bindings.users.record, bindings.users.placement, bindings.users.derived) == (None, (), {})
    assert bindings.users.retired is None
    assert (bindings.groups.member, bindings.groups.placeholder, bindings.groups.pieces) == ("member", None, 1000)


@pytest.mark.parametrize(
    ("old", "new", "key", "message"),
    [
        ('kind = "openldap"', "", "line 1: kind", "must be set"),
        ('"openldap"', '"novell"', "line 1: kind", "must be one of: openldap, 389ds, active-directory"),
        ('"openldap"', '"openldap"\ncolour = 1', "line 2: colour", "there is no such key"),
        ('"ou=people,dc=example,dc=org"', '"people"', "line 3: users.base", "must be a DN"),
        ('"ou=people,dc=example,dc=org"', "5", "line 3: users.base", "must be a DN"),
        ('base = "ou=people,dc=example,dc=org"', "", "line 2: users.base", "must be set"),
        ('"(objectClass=inetOrgPerson)"', '"objectClass=*"', "line 4: users.filter", "must be a filter"),
        ('"(objectClass=inetOrgPerson)"', '"(&(a=b)"', "line 4: users.filter", "must be a filter"),
        ('"(objectClass=inetOrgPerson)"', '"(a=b)(c=d)"', "line 4: users.filter", "must be a filter"),
        ('"(objectClass=inetOrgPerson)"', '"(!(a=b)(c=d))"', "line 4: users.filter", "must be a filter"),
        ('"(objectClass=inetOrgPerson)"', '"(&)"', "line 4: users.filter", "must be a filter"),
        ('["inetOrgPerson"]', "[]", "line 5: users.object_classes", "must not be empty"),
        ('["inetOrgPerson"]', '"inetOrgPerson"', "line 5: users.object_classes", "must be a list"),
        (
            '["inetOrgPerson"]',
            '[\n  "inetOrgPerson",\n  "a b",\n]',
            "line 7: users.object_classes.1",
            "must be the name of an object class",
        ),
        ('rdn = "uid"', 'rdn = "u id"', "line 6: users.rdn", "must be the name of an LDAP attribute"),
        ('rdn = "uid"', 'rdn = "uid"\nheld = "h"', "line 7: users.held", "and there is none"),
        ('rdn = "uid"', 'rdn = "uid"\nlock = "ppolicies"', "line 7: users.lock", "must be one of: ppolicy"),
        (
            'rdn = "uid"',
            'rdn = "uid"\nlock = "nsAccountLock"',
            "line 7: users.lock",
            "must be one of: ppolicy, pwdEndTime, none where kind is openldap",
        ),
        ('rdn = "uid"', 'rdn = "uid"\npassword = "unicodePwd"', "line 7: users.password", "where kind is openldap"),
        ('rdn = "uid"', 'rdn = "uid"\nplacement = ["ou=x"]', "line 7: users.placement.0", "must be below ou=people"),
        ('rdn = "uid"', 'rdn = "uid"\nplacement = ["{title}"]', "line 7: users.placement.0", "must be a DN, in which"),
        ('rdn = "uid"', 'rdn = "uid"\nfixed = {c = 1}', "line 7: users.fixed.c", "must be a text"),
        ('rdn = "uid"', 'rdn = "uid"\nfixed = {"c c" = "x"}', "line 7: users.fixed.c c", "is not the name"),
        ('rdn = "uid"', 'rdn = "uid"\nderived = {cn = []}', "line 7: users.derived.cn.from", "must not be empty"),
        ('rdn = "uid"', 'rdn = "uid"\nderived.cn = {max = 1}', "line 7: users.derived.cn.from", "must be set"),
        ('rdn = "uid"', 'rdn = "uid"\nderived = 1', "line 7: users.derived", "must be a table"),
        ('userName = "uid"', "userName = 5", "line 9: users.attributes.userName", "must be the name of an LDAP"),
        ('userName = "uid"', 'userName = "u=id"', "line 9: users.attributes.userName", "must be the name of an LDAP"),
        ('userName = "uid"', 'name.familyName = "sn"', "line 9: users.attributes.name", "in quotation marks"),
        (
            'userName = "uid"',
            'userName = {attribute = "uid", max = 0}',
            "line 9: users.attributes.userName.max",
            "must be 1 to",
        ),
        (
            'userName = "uid"',
            'userName = {attribute = "uid", long = 1}',
            "line 9: users.attributes.userName.long",
            "there is no such key",
        ),
        ('userName = "uid"', "emails = []", "line 9: users.attributes.emails", "must not be empty"),
        ('userName = "uid"', 'emails = ["mail"]', "line 9: users.attributes.emails.0", "must be a table such as"),
        (
            'userName = "uid"',
            'emails = [\n {value = "mail"},\n {type = "home"},\n]',
            "line 11: users.attributes.emails.1",
            "must name an LDAP attribute",
        ),
        (
            'userName = "uid"',
            'emails = [\n {value = "mail"},\n {type = 5, value = "m"},\n]',
            "line 11: users.attributes.emails.1.type",
            "must be a string",
        ),
        (
            'userName = "uid"',
            'emails = [{value = 5, display = "d"}]',
            "line 9: users.attributes.emails.0.value",
            "must be the name of an LDAP attribute",
        ),
        (
            'userName = "uid"',
            'emails = [{value = "m", primary = "yes"}]',
            "line 9: users.attributes.emails.0.primary",
            "must be true or false",
        ),
        (
            'userName = "uid"',
            'emails = [{value = "m", max = {valve = 4}}]',
            "line 9: users.attributes.emails.0.max.valve",
            "is no sub-attribute",
        ),
        (
            'userName = "uid"',
            f'"{ENTERPRISE}:department" = "ou"',
            f"line 9: users.attributes.{ENTERPRISE}:department",
            "belongs in the table of its extension",
        ),
        (
            "[groups]\n",
            f'[users.extensions."{ENTERPRISE}"]\ndepartment = "ou"\ndivision = 4\n[groups]\n',
            f"line 12: users.extensions.{ENTERPRISE}.division",
            "must be the name",
        ),
        ("[groups]\n", "[users.extensions]\nx = 4\n[groups]\n", "line 11: users.extensions.x", "must be a table"),
        (
            "[groups]\n",
            '[groups]\nmember_syntax = "uid"\n',
            "line 11: groups.member_syntax",
            "must be one of: dn, name",
        ),
        ("[groups]\n", '[groups]\nlock = "none"\n', "line 11: groups.lock", "there is no such key"),
        ("[groups]\n", '[groups]\nretired = "ou=x"\n', "line 11: groups.retired", "there is no such key"),
        ("[groups]\n", "[groups]\npieces = 0\n", "line 11: groups.pieces", "must be 1 to 100000"),
        ("[groups]\n", '[groups]\nplaceholder = "nobody"\n', "line 11: groups.placeholder", "must be a DN"),
        (
            "[groups]\n",
            '[groups]\nplaceholder = "cn=nobody"\nmember_syntax = "name"\n',
            "line 11: groups.placeholder",
            "is for members that are DNs",
        ),
    ],
)
def test_a_fault_names_the_line_to_mend(old: str, new: str, key: str, message: str) -> None:
    found = faults(edited(old, new))
    assert list(found) == [f"ours.toml {key}"]
    assert message in next(iter(found.values()))


def test_all_faults_are_told_at_once_in_the_order_of_the_file() -> None:
    text = edited('rdn = "uid"', "rdn = 1").replace('displayName = "cn"', "displayName = 2").replace("entryCSN", "a b")
    assert list(faults(text)) == [
        "ours.toml line 6: users.rdn",
        "ours.toml line 7: users.version",
        "ours.toml line 15: groups.version",
        "ours.toml line 17: groups.attributes.displayName",
    ]


def test_a_table_that_is_missing_or_none_is_told() -> None:
    found = faults('kind = "openldap"\nusers = 4\n')
    assert found == {"ours.toml line 2: users": "must be a table", "ours.toml line 1: groups": "must be set"}


@pytest.mark.parametrize(
    ("text", "line"), [("kind = \n", 1), ('kind = "openldap"\n[users\n', 2), ('a = 1\n\nb = """\nx', 4)]
)
def test_what_is_not_toml_is_told_with_its_line(text: str, line: int) -> None:
    found = faults(text)
    assert list(found) == [f"ours.toml line {line}"]
    assert "is not TOML" in next(iter(found.values()))


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff")
    for path, message in ((tmp_path / "absent.toml", "cannot be read"), (binary, "is not UTF-8")):
        with pytest.raises(ConfigError, match=message) as caught:
            load_bindings(str(path))
        assert caught.value.faults[0].key == str(path)


def test_line_ends_of_another_system_do_not_move_lines(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_bytes(edited('userName = "uid"', "userName = 5").replace("\n", "\r\n").encode())
    with pytest.raises(ConfigError, match=r"ours\.toml line 9: users\.attributes\.userName"):
        load_bindings(path)


TRICKY = '''\
# [not.a.table] and = no key
title = "a # in = text [x]"
long = """
[users]
b = "x\\""""" # five quotation marks end it
raw = \'\'\'
'c' = 1
\'\'\'\'
when = 1979-05-27 07:32:00
[ a . "b.c" ]   # header
'd e' = [ # items
  1, [2,
  3], {x = 1, y.z = "}"},
]
f.g."h\\u0041" = {i = {}, j = [], k = "a,b]"}
[a.m]
n = -0.5e3
[[list]]
p = 1
[[list]]
p = 2
[list.sub]
q = true
[[list.inner]]
r = []
'''


def test_every_key_of_a_document_has_its_line() -> None:
    text = TRICKY
    found = lines(text)
    assert set(found) == set(_keys(tomllib.loads(text)))
    assert {key: found[key] for key in found if isinstance(key[-1], str) and len(key) < 3} == {
        ("title",): 2,
        ("long",): 3,
        ("raw",): 6,
        ("when",): 9,
        ("a",): 10,
        ("a", "b.c"): 10,
        ("a", "m"): 16,
        ("list",): 18,
    }
    assert found["a", "b.c", "d e"] == 11
    assert found["a", "b.c", "d e", 1, 0] == 12
    assert found["a", "b.c", "d e", 1, 1] == 13
    assert found["a", "b.c", "d e", 2, "y", "z"] == 13
    assert found["a", "b.c", "f", "g", "hA", "k"] == 15
    assert found["a", "m", "n"] == 17
    assert found["list", 1, "p"] == 21
    assert found["list", 1, "sub", "q"] == 23
    assert found["list", 1, "inner", 0, "r"] == 25


@pytest.mark.parametrize("kind", Kind)
def test_every_key_of_a_shipped_file_has_its_line(kind: Kind) -> None:
    text = (SHIPPED / f"{kind}.toml").read_text(encoding="utf-8")
    found = lines(text)
    assert set(found) == set(_keys(tomllib.loads(text)))
    rows = text.splitlines()
    for key, line in found.items():
        if isinstance(key[-1], str):
            assert key[-1] in rows[line - 1]


def _keys(value: Any, above: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield (*above, name)
        yield from _keys(inner, (*above, name))
