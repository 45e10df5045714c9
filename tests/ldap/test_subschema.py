"""The subschema of each kind of server as it is read, and whether bindings fit it (RFC 4512 section 4)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from backends.ldap.bindings_check import check_against, check_against_subschema
from backends.ldap.subschema import Subschema
from config.bindings import parse_bindings
from tests.support.directory_389ds import DirectoryServer389
from tests.support.directory_base import Directory
from tests.support.directory_openldap import OpenLDAP
from tests.support.directory_samba import SambaAD
from tests.support.probe import probed

DIRECTORY_STRING = "1.3.6.1.4.1.1466.115.121.1.15"
DN = "1.3.6.1.4.1.1466.115.121.1.12"


@dataclass(frozen=True, slots=True)
class Published:
    """What a server publishes, and what is read from it."""

    attribute_types: list[bytes]
    object_classes: list[bytes]
    content_rules: list[bytes]
    subschema: Subschema


@cache
def published(directory: Directory) -> Published:
    """The subschema of a server."""
    connection = directory.connect()
    connection.search("", "(objectClass=*)", "BASE", attributes=["subschemaSubentry"])
    dn = connection.response[0]["raw_attributes"]["subschemaSubentry"][0].decode()
    names = ["attributeTypes", "objectClasses", "dITContentRules"]
    connection.search(dn, "(objectClass=*)", "BASE", attributes=names)
    found = {name.lower(): values for name, values in connection.response[0]["raw_attributes"].items()}
    connection.unbind()
    types, classes, rules = (found.get(name.lower(), []) for name in names)
    return Published(types, classes, rules, Subschema.parse(types, classes, rules))


def faults(text: str, directory: Directory) -> dict[str, str]:
    """What is wrong with bindings on that server, by line and key."""
    bindings = parse_bindings(text, Path("ours.toml"))
    assert check_against(bindings, probed()) == []
    found = check_against_subschema(bindings, published(directory).subschema)
    return {fault.key: fault.message for fault in found}


def shipped(kind: str) -> str:
    return (Path(__file__).parents[2] / "config" / "bindings" / f"{kind}.toml").read_text(encoding="utf-8")


def changed(kind: str, *changes: tuple[str, str]) -> str:
    """The shipped file with the first of each text changed."""
    text = shipped(kind)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return text


def line_of(text: str, part: str) -> int:
    """The line that starts with that."""
    return next(number for number, line in enumerate(text.splitlines(), 1) if line.startswith(part))


def test_every_definition_is_read(directory: Directory) -> None:
    what = published(directory)
    rules = [what.subschema.rule(_oid(definition)) for definition in what.attribute_types]
    assert len(rules) > 300
    assert all(rule is not None and rule.syntax is not None and rule.syntax[0].isdigit() for rule in rules)
    classes = [what.subschema.object_class(_oid(definition)) for definition in what.object_classes]
    assert len(classes) > 80
    for found in classes:
        assert found is not None
        assert all(what.subschema.object_class(superior) is not None for superior in found.superiors)
    for definition in what.attribute_types:
        text = definition.decode()
        rule = what.subschema.rule(_oid(definition))
        assert rule is not None
        assert rule.single_valued == (" SINGLE-VALUE " in text)
        assert rule.no_user_modification == (" NO-USER-MODIFICATION " in text)
        assert set(rule.names) <= set(re.findall(r"'([^']*)'", text)) | {_oid(definition)}


def _oid(definition: bytes) -> str:
    return definition.decode().strip("( ").split()[0]


def test_attributes_are_found_by_every_name_without_case_and_without_options(directory: Directory) -> None:
    subschema = published(directory).subschema
    rule = subschema.rule("cn")
    assert rule is not None
    assert (rule.name, rule.syntax) == ("cn", DIRECTORY_STRING)
    assert all(subschema.rule(name) is rule for name in ("CN", "2.5.4.3", "cn;lang-en", *rule.names))
    assert subschema.rule("cn ") is subschema.rule("") is subschema.rule("noSuchAttribute;binary") is None
    assert subschema.key("CN;lang-en") == "cn"
    assert subschema.key("NoSuchAttribute") == "nosuchattribute"
    manager = subschema.rule("manager")
    assert manager is not None
    assert manager.syntax == DN


def test_what_a_class_allows_comes_from_its_superiors_too(directory: Directory) -> None:
    subschema = published(directory).subschema
    classes = ["user"] if directory.kind == "active-directory" else ["INETORGPERSON"]
    allowed = subschema.allowed(classes)
    assert {"objectclass", "cn", "sn", "title", "givenname", "userpassword"} <= allowed
    assert "member" not in allowed
    assert subschema.required(classes) >= {"objectclass", "cn"}
    assert subschema.allowed(["noSuchClass"]) == subschema.required([]) == frozenset()


def test_openldap_inherits_what_it_does_not_repeat(openldap: OpenLDAP) -> None:
    """RFC 4512 section 2.5.1: syntax and matching rules come from the supertype."""
    subschema = published(openldap).subschema
    sn, stamp, country = (subschema.rule(name) for name in ("surname", "entryCSN", "c"))
    assert sn is not None
    assert stamp is not None
    assert country is not None
    assert (sn.syntax, sn.length) == (DIRECTORY_STRING, 32768)
    assert (sn.equality, sn.ordering, sn.substring) == ("caseIgnoreMatch", None, "caseIgnoreSubstringsMatch")
    assert not sn.operational
    assert stamp.operational
    assert stamp.no_user_modification
    assert stamp.ordering == "CSNOrderingMatch"
    assert country.single_valued
    assert (country.syntax, country.equality) == ("1.3.6.1.4.1.1466.115.121.1.11", "caseIgnoreMatch")
    assert subschema.required(["groupOfNames"]) == {"objectclass", "cn", "member"}


def test_389_needs_no_member_in_a_group(ds389: DirectoryServer389) -> None:
    subschema = published(ds389).subschema
    lock = subschema.rule("nsAccountLock")
    assert lock is not None
    assert (lock.operational, lock.equality, lock.single_valued) == (True, None, False)
    assert subschema.required(["groupOfNames"]) == {"objectclass", "cn"}


def test_active_directory_tells_syntaxes_and_no_matching_rules(samba: SambaAD) -> None:
    what = published(samba)
    changed_at = what.subschema.rule("uSNChanged")
    assert changed_at is not None
    assert (changed_at.syntax, changed_at.equality, changed_at.single_valued) == ("1.2.840.113556.1.4.906", None, True)
    without = Subschema.parse(what.attribute_types, what.object_classes)
    for classes in (["user"], ["group"]):
        assert "samaccountname" in what.subschema.allowed(classes) - without.allowed(classes)
        assert {"samaccountname", "objectsid"} <= what.subschema.required(classes)


def test_extensible_objects_may_have_everything(openldap: OpenLDAP) -> None:
    allowed = published(openldap).subschema.allowed(["inetOrgPerson", "extensibleObject"])
    assert "member" in allowed
    assert "anything" in allowed


def test_the_shipped_bindings_fit(directory: Directory) -> None:
    assert faults(shipped(directory.kind), directory) == {}


def test_what_the_server_does_not_know_is_told(directory: Directory) -> None:
    text = shipped(directory.kind)
    text = text.replace("[users.attributes]\n", '[users.attributes]\nnickName = "noSuchNick"\n', 1)
    text = text.replace("object_classes = [", 'object_classes = ["noSuchClass", ', 1)
    text = re.sub(r"^version = .*$", 'version = "noSuchStamp"', text, count=1, flags=re.MULTILINE)
    assert list(faults(text, directory)) == [
        f"ours.toml line {line_of(text, part)}: {key}"
        for part, key in (
            ("object_classes = [", "users.object_classes.0"),
            ('version = "noSuchStamp"', "users.version"),
            ("nickName =", "users.attributes.nickName"),
        )
    ]


@pytest.mark.parametrize(
    ("changes", "part", "key", "message"),
    [
        (
            (('"inetOrgPerson", "landfallObject"', '"inetOrgPerson"'),),
            "record = ",
            "users.record",
            "none of users.object_classes allows the attribute landfallRecord",
        ),
        ((("\ntitle = ", '\nnickName = "drink"\ntitle = '),), "nickName = ", "users.attributes.nickName", "allows"),
        (
            (("\ntitle = ", '\nnickName = "entryCSN"\ntitle = '),),
            "nickName = ",
            "users.attributes.nickName",
            "nobody write",
        ),
        (
            (('"name.familyName" = "sn"\n', ""), ('sn = ["name.familyName", "userName"]\n', "")),
            "object_classes = ",
            "users.object_classes",
            "a class demands sn",
        ),
        (
            (('sn = ["name.familyName", "userName"]', 'sn = ["name.familyName"]'),),
            "object_classes = ",
            "users.object_classes",
            "a class demands sn",
        ),
        (
            (('placeholder = "cn=landfall-no-member"\n', ""),),
            'member = "member"',
            "groups.member",
            "set groups.placeholder",
        ),
        (
            (('region = "st"', 'region = "streetAddress"'),),
            "addresses = ",
            "users.attributes.addresses.0.region",
            "streetAddress is in use already, for attributes.addresses.0.streetAddress",
        ),
        ((("\nlock = ", '\nfixed = {noSuch = "1"}\nlock = '),), "fixed = ", "users.fixed.noSuch", "does not know"),
        ((("\nlock = ", '\nfilled = ["noSuch"]\nlock = '),), "filled = ", "users.filled.0", "does not know"),
        (
            (('member_syntax = "dn"', 'member_syntax = "name"'), ('placeholder = "cn=landfall-no-member"', "")),
            "member_syntax = ",
            "groups.member_syntax",
            "values of member are DNs",
        ),
        (
            (('member = "member"', 'member = "description"'),),
            'member = "description"',
            "groups.member",
            "values of description are no DNs",
        ),
    ],
)
def test_what_openldap_does_not_allow_is_told_with_its_line(
    openldap: OpenLDAP, changes: tuple[tuple[str, str], ...], part: str, key: str, message: str
) -> None:
    text = changed("openldap", *changes)
    found = faults(text, openldap)
    (name,) = [where for where, what in found.items() if message in what]
    assert name == f"ours.toml line {line_of(text, part)}: {key}"


def without_record(kind: str) -> str:
    """The shipped file changed as its remarks say, for a schema that has no record."""
    text = re.sub(r'^((record|held) = |externalId = "landfall).*\n', "", shipped(kind), flags=re.MULTILINE)
    return re.sub(r'^(object_classes = .*), "landfallObject"\]', r"\1]", text, flags=re.MULTILINE)


@pytest.mark.parametrize("kind", ["openldap", "ds389"])
def test_bindings_without_a_record_fit_too(kind: str, request: pytest.FixtureRequest) -> None:
    directory: Directory = request.getfixturevalue(kind)
    assert faults(without_record(directory.kind), directory) == {}


def test_one_value_has_no_room_for_several_without_a_record(samba: SambaAD) -> None:
    text = without_record("active-directory")
    found = faults(text, samba)
    assert found[f"ours.toml line {line_of(text, 'emails = [')}: users.attributes.emails.0.value"].startswith(
        "the directory allows mail one value only"
    )
    assert len(found) == 6
    assert all("addresses" not in key for key in found)
    mended = re.sub(r"^(emails = .*|phoneNumbers = \[\n(.*\n)*?\])$", "", text, flags=re.MULTILINE)
    assert faults(mended, samba) == {}


def test_a_list_of_what_is_held_needs_several_values(samba: SambaAD) -> None:
    text = changed("active-directory", ('held = "extensionName"', 'held = "adminDescription"'))
    assert faults(text, samba) == {
        f"ours.toml line {line_of(text, 'held = ')}: users.held": (
            "the directory allows adminDescription one value only, and several are needed"
        )
    }


@pytest.mark.parametrize("kind", ["openldap", "ds389"])
def test_the_other_classes_of_groups_that_the_remarks_name_fit(kind: str, request: pytest.FixtureRequest) -> None:
    directory: Directory = request.getfixturevalue(kind)
    assert faults(_with_groups(directory.kind, "groupOfUniqueNames"), directory) == {}
    posix = _with_groups(directory.kind, "posixGroup").replace('placeholder = "cn=landfall-no-member"\n', "\n", 1)
    (only,) = faults(posix, directory).items()
    assert "groups.object_classes" in only[0]
    assert "a class demands gidNumber" in only[1]
    assert faults(posix.replace("[groups]\n", '[groups]\nfilled = ["gidNumber"]\n'), directory) == {}
    assert faults(posix.replace("[groups]\n", '[groups]\nfixed = {gidNumber = "-1"}\n'), directory) == {}


def _with_groups(kind: str, name: str) -> str:
    head, section, groups = shipped(kind).partition("[groups]\n")
    _, _, remark = groups.partition(f"\n# {name}")
    for key, value in re.findall(r"^#     (\w+) = (.*)$", re.split(r"\n#\n|\n# It ", remark)[0], flags=re.MULTILINE):
        groups = re.sub(rf"^{key} = .*$", f"{key} = {value}", groups, count=1, flags=re.MULTILINE)
    return head + section + groups


def test_definitions_are_read_as_the_grammar_has_them() -> None:
    """RFC 4512 sections 4.1.1, 4.1.2 and 4.1.6; what is none is left out."""
    subschema = Subschema.parse(
        [
            b"( 1.1.1 NAME 'base' DESC 'with ( and $ and \\27quotes\\27, NAME too' EQUALITY same SYNTAX 1.9.1{12} )",
            b"(1.1.2 NAME ( 'one' 'other' ) OBSOLETE SUP BASE X-NOTE ( 'a' 'b' ) X-END 'SINGLE-VALUE')",
            b"( 1.1.3 SUP 1.1.2 SINGLE-VALUE USAGE userApplications )",
            b"( 1.1.4 NAME 'loop' SUP loop )",
            b"1.1.5 NAME 'bare' SYNTAX 1.9.1",
            b"( )",
            b"",
            b"( 1.1.6 NAME 'open' SYNTAX 1.9.1",
            b"\xff\xfe",
        ],
        [
            b"( 1.2.1 NAME 'root' ABSTRACT MUST one )",
            b"( 1.2.2 NAME 'leaf' SUP ( root $ 1.2.3 ) MAY (base$1.1.3) )",
            b"( 1.2.3 NAME 'side' SUP side AUXILIARY MAY loop )",
            b"( 1.2.4 NAME 'more' AUXILIARY MUST unknown MAY late )",
        ],
        [b"( 1.2.2 NAME 'rule' AUX ( more ) MUST ( added ) MAY extra NOT ( loop ) )"],
    )
    one, third, loop = (subschema.rule(name) for name in ("OTHER", "1.1.3", "loop"))
    assert one is not None
    assert third is not None
    assert loop is not None
    assert (one.names, one.syntax, one.length, one.equality) == (("one", "other"), "1.9.1", 12, "same")
    assert (one.single_valued, third.single_valued, third.name, third.operational) == (False, True, "1.1.3", False)
    assert third.syntax == "1.9.1"
    assert loop.syntax is None
    assert all(subschema.rule(name) is None for name in ("bare", "open", "1.1.5"))
    leaf = subschema.object_class("LEAF")
    assert leaf is not None
    assert (leaf.superiors, leaf.may, leaf.must, leaf.kind) == (("root", "1.2.3"), ("base", "1.1.3"), (), "STRUCTURAL")
    assert subschema.allowed(["leaf"]) == {"one", "base", "1.1.3", "unknown", "late", "added", "extra"}
    assert subschema.required(["leaf"]) == {"one", "added"}
    assert subschema.allowed(["side"]) == {"loop"}
