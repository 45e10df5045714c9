"""Bindings that a directory's schema makes useless: each is told with its line, and no others are."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from app.scim.query import Draft
from app.scim.registry import ENTERPRISE_SCHEMA, load
from backends.errors import StoreError
from backends.ldap.backend import LdapBackend
from backends.ldap.bindings_check import check_against
from config.bindings import parse_bindings
from config.directory import Bindings
from config.errors import ConfigError
from tests.ldap.store import opened
from tests.ldap.test_faults import new_user
from tests.ldap.test_subschema import changed, faults, line_of
from tests.support.directories import Directory, Tree
from tests.support.directory_389ds import DirectoryServer389
from tests.support.directory_openldap import OpenLDAP
from tests.support.directory_samba import SambaAD

Changes = tuple[tuple[str, str], ...]

ORGANIZATION = f"{ENTERPRISE_SCHEMA}:organization"
CLASSES = {
    "openldap": '["inetOrgPerson", "landfallObject"]',
    "389ds": '["inetOrgPerson", "landfallObject"]',
    "active-directory": '["top", "person", "organizationalPerson", "user"]',
}
NO_ENTRYS = {
    "two-structural": {
        "openldap": '["inetOrgPerson", "account", "landfallObject"]',
        "389ds": '["inetOrgPerson", "account", "landfallObject"]',
        "active-directory": '["top", "person", "organizationalPerson", "user", "contact"]',
    },
    "none-structural": {
        "openldap": '["extensibleObject", "landfallObject"]',
        "389ds": '["extensibleObject", "landfallObject"]',
        "active-directory": '["top", "mailRecipient"]',
    },
}
VERSIONS = {"openldap": "entryCSN", "389ds": "content", "active-directory": "content"}


def on(tree: Tree, text: str) -> Bindings:
    """The bindings of a text, on a tree of the tests."""
    low = "dc=example,dc=org"
    text = text.replace("OU=", "ou=").replace("DC=", "dc=")
    for unit, base in (("people", tree.people), ("groups", tree.groups), ("retired", tree.retired)):
        text = text.replace(f"ou={unit},{low}", base)
    return parse_bindings(text, Path("ours.toml"))


def refusal(backend: LdapBackend) -> dict[str, str]:
    """What `check` finds wrong, by line and key."""
    try:
        backend.check()
    except ConfigError as error:
        return {fault.key: fault.message for fault in error.faults}
    return {}


def test_the_shipped_bindings_are_written_with(directory: Directory, tree: Tree) -> None:
    """What the others here change of them is what matters."""
    with opened(directory, tree, on(tree, changed(directory.kind))) as backend:
        assert refusal(backend) == {}
        new_user(backend, "ann@corp.example")


@pytest.mark.parametrize("case", NO_ENTRYS)
def test_classes_with_which_no_entry_is_made(case: str, directory: Directory, tree: Tree) -> None:
    """389 Directory Server makes them."""
    text = changed(directory.kind, (CLASSES[directory.kind], NO_ENTRYS[case][directory.kind]))
    with opened(directory, tree, on(tree, text)) as backend:
        found = refusal(backend)
        if isinstance(directory, DirectoryServer389):
            assert found == {}
            new_user(backend, "ann@corp.example")
            return
        key = f"ours.toml line {line_of(text, 'object_classes = ')}: users.object_classes"
        if case == "two-structural":
            number, name = {"openldap": (1, "account is no superior of inetOrgPerson")}.get(
                directory.kind, (4, "contact is no superior of user")
            )
            assert name in found[f"{key}.{number}"]
        else:
            assert "must name a structural class" in found[key]
        with pytest.raises(StoreError):
            new_user(backend, "ann@corp.example")


FREED = (('preferredLanguage = "preferredLanguage"\n', ""), ('    {type = "pager", value = "pager"},\n', ""))


@pytest.mark.parametrize(
    ("attribute", "values", "message"),
    [
        ("description", '["a", "b"]', None),
        ("description", '["a", "a"]', "is the same to the directory as 'a'"),
        ("description", '["a b", "b", "A  B"]', "is the same to the directory as 'a b'"),
        ("pager", '["555-1", "5552"]', None),
        ("pager", '["555-1", "5 551"]', "is the same to the directory as '555-1'"),
        ("seeAlso", '["cn=a,dc=b", "cn=b,dc=b"]', None),
        ("seeAlso", '["cn=a,dc=b", "CN=a, DC=B"]', "is the same to the directory as 'cn=a,dc=b'"),
        ("seeAlso", '"Jane"', "must be a DN"),
        ("homePostalAddress", '["1-2", "12"]', None),
        ("preferredLanguage", '"en"', None),
        ("preferredLanguage", '["en", "de"]', "allows preferredLanguage one value only"),
    ],
)
@pytest.mark.parametrize("kind", ["openldap", "ds389"])
def test_values_that_no_entry_can_have(
    kind: str, attribute: str, values: str, message: str | None, request: pytest.FixtureRequest
) -> None:
    """What is told is what the server refuses, and what is not told is taken."""
    directory: Directory = request.getfixturevalue(kind)
    tree = directory.new_tree()
    text = changed(directory.kind, *FREED, ("\nlock = ", f"\nfixed = {{{attribute} = {values}}}\nlock = "))
    with opened(directory, tree, on(tree, text)) as backend:
        found = refusal(backend)
        if message is None:
            assert found == {}
            new_user(backend, "ann@corp.example")
            return
        assert [message in what for what in found.values()] == [True]
        assert next(iter(found)).startswith(f"ours.toml line {line_of(text, 'fixed = ')}: users.fixed.{attribute}")
        with pytest.raises(StoreError):
            new_user(backend, "ann@corp.example")


def test_classes_have_a_key_of_their_own(directory: Directory) -> None:
    text = changed(directory.kind, ("\nlock = ", '\nfixed = {objectClass = ["device"]}\nlock = '))
    assert faults(text, directory) == {
        f"ours.toml line {line_of(text, 'fixed = ')}: users.fixed.objectClass": "belongs in users.object_classes"
    }


def test_active_directory_refuses_the_same_value_twice(samba: SambaAD) -> None:
    """It names no matching rules: only the same characters are known to be the same value."""
    tree = samba.new_tree()
    for values, name in (('["a", "b"]', "ann@corp.example"), ('["a", "a"]', "bob@corp.example")):
        text = changed(samba.kind, ("\nlock = ", f"\nfixed = {{otherTelephone = {values}}}\nlock = "))
        with opened(samba, tree, on(tree, text)) as backend:
            if values == '["a", "b"]':
                assert refusal(backend) == {}
                new_user(backend, name)
                continue
            key = f"ours.toml line {line_of(text, 'fixed = ')}: users.fixed.otherTelephone.1"
            assert refusal(backend) == {key: "is the same to the directory as 'a' before it"}
            with pytest.raises(StoreError):
                new_user(backend, name)
    samba.empty(tree)


@pytest.mark.parametrize(
    ("stamps", "message"),
    [
        (dict.fromkeys(VERSIONS, "description"), "does not change description with each write"),
        (
            {"openldap": "modifyTimestamp", "389ds": "modifyTimestamp", "active-directory": "whenChanged"},
            "is a time in seconds",
        ),
        ({"openldap": "entryUUID", "389ds": "nsUniqueId", "active-directory": "objectGUID"}, "is the id of an entry"),
    ],
    ids=["others-write-it", "time", "id"],
)
def test_versions_with_which_a_write_could_be_lost(stamps: dict[str, str], message: str, directory: Directory) -> None:
    text = with_version(directory, stamps[directory.kind])
    found = faults(text, directory)
    assert list(found) == [f"ours.toml line {line_of(text, 'version = ')}: users.version"]
    assert message in next(iter(found.values()))


def test_versions_that_change_with_each_write(directory: Directory) -> None:
    stamps = {"openldap": "entryCSN", "389ds": "entryusn", "active-directory": "uSNChanged"}
    for stamp in (stamps[directory.kind], "content"):
        assert faults(with_version(directory, stamp), directory) == {}


def with_version(directory: Directory, stamp: str) -> str:
    """The shipped file with another version of users."""
    return changed(directory.kind, (f'version = "{VERSIONS[directory.kind]}"', f'version = "{stamp}"'))


@pytest.mark.parametrize(
    ("changes", "part", "key", "name"),
    [
        ((('organization = "o"', 'organization = "organizationName"'),), "organization", "{E}.organization", "o"),
        ((('"name.familyName" = "sn"', '"name.familyName" = "SurName"'),), '"name.familyName"', "{A}", "sn"),
        ((('"name.familyName" = "sn"', '"name.familyName" = "2.5.4.4"'),), '"name.familyName"', "{A}", "sn"),
        ((("\nsn = ", "\nsurname = "),), "surname = ", "users.derived.surname", "sn"),
        ((('region = "st"', 'region = "stateOrProvinceName"'),), "addresses", "addresses.0.region", "st"),
        ((("\nlock = ", '\nfixed = {localeName = "x"}\nlock = '),), "fixed = ", "users.fixed.localeName", None),
        ((("\nlock = ", '\nfixed = {organizationalUnitName = "x"}\nlock = '),), "fixed = ", "users.fixed", "ou"),
        ((("\nlock = ", '\nfilled = ["organizationalUnitName"]\nlock = '),), "filled = ", "users.filled.0", "ou"),
        (
            (('rdn = "uid"', 'rdn = "userid"'), ('userName = "uid"', 'userName = "userid"')),
            "rdn = ",
            "users.rdn",
            "uid",
        ),
        ((('version = "entryCSN"', 'version = "1.3.6.1.4.1.4203.666.1.7"'),), "version", "users.version", "entryCSN"),
        ((('member = "member"', 'member = "2.5.4.31"'),), 'member = "2', "groups.member", "member"),
        (
            (('record = "', 'record = "2.25.161131618545845514919064774758774250441.1.1" # "'),),
            "record",
            "users",
            "{R}",
        ),
        ((('held = "', 'held = "2.25.161131618545845514919064774758774250441.1.2" # "'),), "held", "users", "{H}"),
    ],
)
def test_other_names_of_attributes(openldap: OpenLDAP, changes: Changes, part: str, key: str, name: str | None) -> None:
    """OpenLDAP answers under the first name of the schema, and what was asked for by another would not be found."""
    text = changed("openldap", *changes)
    name = {"{R}": "landfallRecord", "{H}": "landfallHeld"}.get(name or "", name or "")
    key = key.replace("{E}", f"users.extensions.{ENTERPRISE_SCHEMA}").replace("{A}", "users.attributes.name.familyName")
    where, what = next((w, m) for w, m in faults(text, openldap).items() if f"line {line_of(text, part)}: " in w)
    assert key in where
    assert what.endswith(f" {name}: write that" if name else "the directory does not know the attribute localeName")


def test_names_by_which_values_come_back(directory: Directory, tree: Tree) -> None:
    """Each name of an attribute is refused with its line, or works."""
    attribute, other = ("company", "1.2.840.113556.1.2.146")
    if directory.kind != "active-directory":
        attribute, other = ("o", "organizationName")
    text = changed(directory.kind, (f'"{attribute}"', f'"{other}"'))
    with opened(directory, tree, on(tree, text)) as backend:
        found = refusal(backend)
        if not isinstance(directory, DirectoryServer389):
            key = f"users.extensions.{ENTERPRISE_SCHEMA}.organization"
            assert found == {
                f"ours.toml line {line_of(text, 'organization = ')}: {key}": (
                    f"the directory calls {other} {attribute}: write that"
                )
            }
            return
        assert found == {}
        ann = backend.create("User", Draft({"userName": f"{uuid4().hex}@corp.example", ORGANIZATION: "Corp"}))
        assert backend.get("User", ann.id, frozenset({ORGANIZATION})).values == {ORGANIZATION: "Corp"}


@pytest.mark.parametrize(
    ("kind", "old", "new", "where"),
    [
        (
            "openldap",
            '\nuserName = "uid"',
            '\nuserName = {attribute = "uid", max = 7}',
            "users.attributes.userName.max",
        ),
        ("openldap", '\ncn = ["name.f', '\ncn = {from = ["userName"], max = 7} # ', "users.derived.cn.max"),
        ("openldap", '\ndisplayName = "cn"', '\ndisplayName = {attribute = "cn", max = 1}', "groups.attributes"),
    ],
)
def test_names_need_room_for_a_code(kind: str, old: str, new: str, where: str) -> None:
    text = changed(kind, (old, new))
    found = check_against(parse_bindings(text, Path("ours.toml")), load())
    assert [where in fault.key and "must be 8 at least" in fault.message for fault in found] == [True]
    assert found[0].key.startswith(f"ours.toml line {line_of(text, new.strip())}: ")
    for fits in ("= 8", "= 9", "= 12", "= 13"):
        wide = text.replace("max = 7", f"max {fits}").replace("max = 1}", f"max {fits}}}")
        assert check_against(parse_bindings(wide, Path("ours.toml")), load()) == []


def test_other_values_may_be_as_short_as_they_are() -> None:
    """Where nothing must be kept apart, what is longer is kept in the record."""
    text = changed("openldap", ('title = "title"', 'title = {attribute = "title", max = 2}'))
    assert check_against(parse_bindings(text, Path("ours.toml")), load()) == []
