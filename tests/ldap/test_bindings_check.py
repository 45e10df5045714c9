"""Whether bindings fit the SCIM schemas, and the registry that is served with them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.scim.attributes import Attribute
from app.scim.discovery import schema_document
from app.scim.filter.nodes import AttrPath
from app.scim.registry import ENTERPRISE_SCHEMA, Registry, ResourceType, load
from backends.ldap.bindings_check import check_against
from backends.ldap.served import served
from config.bindings import load_bindings, parse_bindings
from config.directory import Bindings, Kind
from tests.support.probe import PROBE_SCHEMA, probed

TEXT = f"""\
kind = "openldap"
[users]
base = "ou=people,dc=example,dc=org"
filter = "(objectClass=inetOrgPerson)"
object_classes = ["inetOrgPerson"]
rdn = "uid"
version = "entryCSN"
lock = "ppolicy"
password = "modify"
[users.attributes]
userName = "uid"
"name.familyName" = "sn"
emails = [{{type = "work", value = "mail", primary = true}}]
phoneNumbers = [{{value = "telephoneNumber"}}]
addresses = [{{type = "work", locality = "l", region = "st"}}]
[users.extensions."{ENTERPRISE_SCHEMA}"]
department = "departmentNumber"
"manager.value" = "manager"
[users.extensions."{PROBE_SCHEMA}"]
labels = [{{value = "ou"}}]
"desk.room" = "roomNumber"
[groups]
base = "ou=groups,dc=example,dc=org"
filter = "(objectClass=groupOfNames)"
object_classes = ["groupOfNames"]
rdn = "cn"
version = "entryCSN"
[groups.attributes]
displayName = "cn"
"""
RECORD = 'record = "info"\nheld = "keywords"\n'


def parsed(text: str) -> Bindings:
    return parse_bindings(text, Path("ours.toml"))


def edited(old: str, new: str) -> str:
    assert TEXT.count(old) == 1
    return TEXT.replace(old, new)


@pytest.mark.parametrize("kind", Kind)
def test_the_shipped_bindings_fit(kind: Kind) -> None:
    bindings = load_bindings(kind.value)
    for registry in (load(), probed()):
        assert check_against(bindings, registry) == []
        assert served(registry, bindings).types == registry.types


@pytest.mark.parametrize("kind", Kind)
def test_the_shipped_bindings_have_a_place_or_a_remark_for_every_attribute(kind: Kind) -> None:
    bindings = load_bindings(kind.value)
    text = (Path(__file__).parents[2] / "config" / "bindings" / f"{kind}.toml").read_text(encoding="utf-8")
    users = load().type("User")
    unbound = users.slots.keys() - bindings.users.singles.keys() - bindings.users.lists.keys()
    remarks = "\n".join(line for line in text.splitlines() if line.startswith("#"))
    assert len(unbound) >= 10
    for slot in unbound:
        assert re.search(rf"(?<![\w.]){re.escape(slot.rpartition(':')[2])}\b", remarks), slot


@pytest.mark.parametrize(
    ("old", "new", "key", "message"),
    [
        ('userName = "uid"', 'userName = "uid"\nnickname = "x"', "12: users.attributes.nickname", "written nickName"),
        (
            'userName = "uid"',
            'userName = "uid"\ncolour = "x"',
            "12: users.attributes.colour",
            "is no attribute of User",
        ),
        ('userName = "uid"', 'userName = "uid"\nid = "x"', "12: users.attributes.id", "can't be bound"),
        ('userName = "uid"', 'userName = "uid"\n"meta.created" = "x"', "12: users.attributes.meta.created", "can't be"),
        ('userName = "uid"', 'userName = "uid"\ngroups = "x"', "12: users.attributes.groups", "from the members"),
        ('userName = "uid"', 'userName = "uid"\nname = "x"', "12: users.attributes.name", "name.formatted, name.fam"),
        ('userName = "uid"', 'userName = "uid"\nactive = "x"', "12: users.attributes.active", "the key users.lock"),
        ('userName = "uid"', 'userName = "uid"\npassword = "x"', "12: users.attributes.password", "key users.password"),
        (
            'userName = "uid"',
            'userName = "uid"\nroles = "x"',
            "12: users.attributes.roles",
            "must have a list of places",
        ),
        (
            'userName = "uid"',
            'userName = "uid"\ntitle = [{value = "x"}]',
            "12: users.attributes.title",
            "has one value",
        ),
        (
            'userName = "uid"',
            'userName = "uid"\n"roles.value" = "x"',
            "12: users.attributes.roles.value",
            "a part of roles",
        ),
        (
            "addresses = [{",
            'ims = [\n  {value = "x"},\n  {valve = "y", type = "z"},\n]\naddresses = [{',
            "17: users.attributes.ims.1.valve",
            "it has display, primary, type, value",
        ),
        (
            "addresses = [{",
            'ims = [\n  {value = "x", type = "Home"},\n  {value = "y", type = "home"},\n]\naddresses = [{',
            "17: users.attributes.ims.1",
            "the same type",
        ),
        (
            "addresses = [{",
            'ims = [\n  {value = "x", primary = true},\n  {value = "y", type = "a", primary = true}\n]\naddresses = [{',
            "17: users.attributes.ims.1.primary",
            "one primary value at most",
        ),
        (
            'labels = [{value = "ou"}]',
            'labels = [{value = "ou", type = "x"}]',
            f"20: users.extensions.{PROBE_SCHEMA}.labels.0.type",
            "is no part of",
        ),
        (
            'department = "departmentNumber"',
            'departement = "departmentNumber"',
            f"17: users.extensions.{ENTERPRISE_SCHEMA}.departement",
            "is no attribute of User",
        ),
        (
            'department = "departmentNumber"',
            '"manager.displayName" = "x"',
            f"17: users.extensions.{ENTERPRISE_SCHEMA}.manager.displayName",
            "it follows from",
        ),
        (
            'department = "departmentNumber"',
            'department = "SN"',
            f"17: users.extensions.{ENTERPRISE_SCHEMA}.department",
            "SN is in use already, for attributes.name.familyName",
        ),
        (
            'region = "st"',
            'region = "L"',
            "15: users.attributes.addresses.0.region",
            "in use already, for attributes.addresses.0.locality",
        ),
        ('region = "st"', 'region = "telephonenumber"', "15: users.attributes.addresses.0.region", "in use already"),
        (
            'lock = "ppolicy"',
            'lock = "ppolicy"\nrecord = "mail"',
            "9: users.record",
            "in use already, for attributes.em",
        ),
        ('lock = "ppolicy"', 'lock = "ppolicy"\nmember_of = "sn"', "9: users.member_of", "in use already"),
        ('lock = "ppolicy"', 'lock = "ppolicy"\nfixed = {l = "x"}', "9: users.fixed.l", "in use already"),
        ('"name.familyName" = "sn"', '"name.familyName" = "pwdAccountLockedTime"', "8: users.lock", "in use already"),
        ('rdn = "cn"', 'rdn = "cn"\nmember = "CN"', "27: groups.member", "in use already, for attributes.displayName"),
        ('rdn = "uid"', 'rdn = "mail"', "6: users.rdn", "bind it to userName, or derive it"),
        ('rdn = "uid"', 'rdn = "sn"', "6: users.rdn", "bind it to userName, or derive it"),
        (
            'rdn = "uid"',
            'rdn = "cn"\nderived.cn = ["name.familyName"]',
            "6: users.rdn",
            "bind it to userName, or derive it",
        ),
        ('rdn = "cn"', 'rdn = "o"', "26: groups.rdn", "bind it to displayName"),
        (
            'lock = "ppolicy"',
            'lock = "ppolicy"\nderived.cn = ["name.familyName", "emails"]',
            "9: users.derived.cn.1",
            "emails has several values",
        ),
        (
            'lock = "ppolicy"',
            'lock = "ppolicy"\nderived.cn = ["displayname"]',
            "9: users.derived.cn.0",
            "displayname must be written displayName",
        ),
        ('lock = "ppolicy"', 'lock = "ppolicy"\nderived.cn = ["password"]', "9: users.derived.cn.0", "is no text"),
        ('lock = "ppolicy"', 'lock = "ppolicy"\nderived.cn = ["title"]', "9: users.derived.cn.0", "is not bound"),
        (
            'lock = "ppolicy"',
            'lock = "ppolicy"\nplacement = ["ou=people,dc=example,dc=org", "l={town},ou=people,dc=example,dc=org"]',
            "9: users.placement.1",
            "{town} is no attribute",
        ),
        (
            'lock = "ppolicy"',
            'lock = "ppolicy"\nplacement = ["ou={division},ou=people,dc=example,dc=org"]',
            "9: users.placement.0",
            "{division} is not bound",
        ),
    ],
)
def test_what_does_not_fit_is_told_with_its_line(old: str, new: str, key: str, message: str) -> None:
    found = {fault.key: fault.message for fault in check_against(parsed(edited(old, new)), probed())}
    assert list(found) == [f"ours.toml line {key}"]
    assert message in next(iter(found.values()))


def test_all_that_does_not_fit_is_told_in_the_order_of_the_file() -> None:
    text = TEXT.replace('rdn = "uid"', 'rdn = "l"').replace('userName = "uid"', 'colour = "c"')
    found = check_against(parsed(text.replace('displayName = "cn"', 'member = "o"')), probed())
    assert [fault.key.removeprefix("ours.toml line ") for fault in found] == [
        "6: users.rdn",
        "10: users.attributes",
        "11: users.attributes.colour",
        "26: groups.rdn",
        "28: groups.attributes",
        "29: groups.attributes.member",
    ]


def test_names_for_new_entries_may_come_from_the_record_and_places_from_short_names() -> None:
    text = edited(
        'lock = "ppolicy"',
        'lock = "ppolicy"\nderived.cn = ["title", "userName"]\n'
        f'placement = ["ou={{division}},ou={{title}},ou=people,dc=example,dc=org"]\n{RECORD}',
    )
    assert check_against(parsed(text), probed()) == []


def shown(registry: Registry, kind: str, name: str) -> set[str]:
    """The sub-attributes of an attribute, and what discovery says of them, which must be the same."""
    attribute = registry.type(kind).top_level(name)
    assert attribute is not None
    subs = {sub.name for sub in attribute.sub_attributes}
    document = schema_document(registry.type(kind).schema, "")
    (definition,) = [d for d in document["attributes"] if d["name"] == name]
    assert {d["name"] for d in definition["subAttributes"]} == subs
    (stated,) = [d for d in registry.type(kind).schema.definition["attributes"] if d["name"] == name]
    assert {d["name"] for d in stated["subAttributes"]} == subs
    return subs


def test_without_a_record_what_is_not_bound_is_not_served() -> None:
    bindings = parsed(TEXT)
    assert check_against(bindings, probed()) == []
    registry = served(probed(), bindings)
    users, groups = registry.type("User"), registry.type("Group")
    department, manager = f"{ENTERPRISE_SCHEMA}:department", f"{ENTERPRISE_SCHEMA}:manager"
    core = {"userName", "name.familyName", "active", "password", "emails", "phoneNumbers", "addresses"}
    labels, room = f"{PROBE_SCHEMA}:labels", f"{PROBE_SCHEMA}:desk.room"
    assert users.slots.keys() == core | {department, f"{manager}.value", labels, room}
    assert users.lookups.keys() == {f"{manager}.$ref", f"{manager}.displayName"}
    assert groups.slots.keys() == {"displayName"}
    assert {attribute.name for attribute in users.schema.attributes} == {
        "userName",
        "name",
        "active",
        "password",
        "emails",
        "phoneNumbers",
        "addresses",
        "groups",
    }
    assert shown(registry, "User", "name") == {"familyName"}
    assert shown(registry, "User", "emails") == {"value", "type", "primary"}
    assert shown(registry, "User", "phoneNumbers") == {"value", "type"}
    assert shown(registry, "User", "addresses") == {"locality", "region", "type"}
    assert [e.schema.id for e in users.extensions] == [ENTERPRISE_SCHEMA, PROBE_SCHEMA]


def test_what_is_not_served_is_found_nowhere() -> None:
    registry = served(load(), parsed(TEXT.partition(f'[users.extensions."{ENTERPRISE_SCHEMA}"]')[0] + _groups()))
    users = registry.type("User")
    assert users.extensions == ()
    assert ENTERPRISE_SCHEMA not in {schema.id for schema in registry.schemas}
    for name in ("nickName", "externalId", "department", "name.givenName"):
        top, _, sub = name.partition(".")
        assert users.find(AttrPath("", top, sub or None)) is None
    assert "externalId" not in {attribute.name for attribute in users.attributes}
    assert users.find(AttrPath("", "ID", None)) is not None


def _groups() -> str:
    return "[groups]\n" + TEXT.partition("[groups]\n")[2]


def test_relations_stay_and_are_those_of_the_served_schemas() -> None:
    registry = served(load(), parsed(TEXT))
    for type, name in ((registry.type("User"), "groups"), (registry.type("Group"), "members")):
        relation = type.relations[name]
        assert relation.attribute is _attribute(type, name)
        assert {sub.name for sub in relation.attribute.sub_attributes} >= {"value", "$ref"}


def _attribute(type: ResourceType, name: str) -> Attribute:
    found = type.top_level(name)
    assert found is not None
    return found


def test_with_a_record_everything_is_served() -> None:
    registry = load()
    text = edited('lock = "ppolicy"\n', f'lock = "none"\n{RECORD}').replace('rdn = "cn"\n', f'rdn = "cn"\n{RECORD}')
    assert served(registry, parsed(text)).types == registry.types


def test_a_password_that_cannot_be_set_is_not_served() -> None:
    registry = load()
    text = edited('password = "modify"\n', RECORD)
    users = served(registry, parsed(text)).type("User")
    assert registry.type("User").slots.keys() - users.slots.keys() == {"password"}
    assert users.schema.attribute("password") is None
    assert users.find(AttrPath("", "externalId", None)) is not None


def test_active_is_served_when_something_can_hold_it() -> None:
    without = edited('lock = "ppolicy"\n', "")
    assert "active" not in served(load(), parsed(without)).type("User").slots
    assert "active" in served(load(), parsed(TEXT)).type("User").slots


def test_an_external_id_is_served_where_it_is_bound() -> None:
    text = edited('userName = "uid"', 'userName = "uid"\nexternalId = "employeeNumber"')
    registry = served(load(), parsed(text))
    assert "externalId" in registry.type("User").slots
    assert "externalId" not in registry.type("Group").slots


@pytest.mark.parametrize(
    ("retired", "message"),
    [
        ("ou=people,dc=example,dc=org", "could not be told apart"),
        ("ou=retired, OU=People,dc=example,dc=org", "could not be told apart"),
        ("dc=example,dc=org", "all would be taken for retired"),
        ("dc=org", "all would be taken for retired"),
    ],
)
def test_retired_users_can_be_told_apart(retired: str, message: str) -> None:
    text = edited('lock = "ppolicy"\n', f'lock = "ppolicy"\nretired = "{retired}"\n')
    (fault,) = check_against(parsed(text), probed())
    assert fault.key == "ours.toml line 9: users.retired"
    assert message in fault.message


def test_retired_users_are_locked() -> None:
    elsewhere = 'retired = "ou=retired,dc=example,dc=org"\n'
    assert check_against(parsed(edited('lock = "ppolicy"\n', f'lock = "ppolicy"\n{elsewhere}')), probed()) == []
    (fault,) = check_against(parsed(edited('lock = "ppolicy"\n', elsewhere)), probed())
    assert fault.key == "ours.toml line 8: users.retired"
    assert "could still sign in" in fault.message
