"""Binding a filter to a resource type: paths, operand types, operators, and the two-valued logic of absent values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.scim.errors import InvalidFilter, Sensitive
from app.scim.filter.bind import bind
from app.scim.filter.evaluate import View, matches
from app.scim.filter.nodes import And, Bound, Compare, Constant, Not, Op, Or, Present, Some
from app.scim.filter.parse import parse_filter
from app.scim.query import Resource, Stamp
from app.scim.registry import ENTERPRISE_SCHEMA, ID, META_CREATED, META_VERSION, USER_SCHEMA, Registry
from tests.support.probe import PROBE_SCHEMA, probed

REGISTRY: Registry = probed()
USER, GROUP = REGISTRY.types
BASE = "https://scim.example/v2"


def bound(text: str, kind: str = "User") -> Bound:
    return bind(parse_filter(text), REGISTRY.type(kind), base=BASE)


def slot(path: str) -> Any:
    return USER.slots[path]


def sub(owner: str, name: str) -> Any:
    found = slot(owner).sub(name)
    assert found is not None
    return found


@pytest.mark.req("P-3.4.2.2-03", "P-3.4.2.2-10")
def test_a_path_becomes_its_attribute() -> None:
    """In any case and with or without URN."""
    wanted = Compare(slot("title"), Op.EQ, "pilot")
    for path in ("title", "TITLE", f"{USER_SCHEMA}:title", f"{USER_SCHEMA.upper()}:Title"):
        assert bound(f'{path} eq "Pilot"') == wanted
    assert bound('name.FAMILYNAME sw "M"') == Compare(slot("name.familyName"), Op.SW, "m")
    department = Compare(slot(f"{ENTERPRISE_SCHEMA}:department"), Op.EQ, "x")
    assert bound('department eq "x"') == bound(f'{ENTERPRISE_SCHEMA}:department eq "X"') == department


@pytest.mark.req("P-3.4.2.2-14", "P-3.4.2.2-17", "P-3.4.2.2-20")
@pytest.mark.parametrize(
    ("text", "operand"),
    [
        ('userName eq "BOB"', "bob"),
        ('userName eq "ÉLOISE"', "éloise"),
        ('externalId eq "BoB"', "BoB"),
        ('profileUrl eq "HTTPS://X"', "HTTPS://X"),
        (f'{PROBE_SCHEMA}:seal eq "QUJD"', "QUJD"),
        (f"{PROBE_SCHEMA}:level eq 7", 7),
        (f"{PROBE_SCHEMA}:level gt 7.5", 7.5),
        (f"{PROBE_SCHEMA}:ratio lt -1e3", -1000.0),
        ("active eq true", True),
        ('active eq "False"', False),
        ('active eq "TRUE"', True),
        (f'{PROBE_SCHEMA}:hired ge "2024-01-01T01:00:00+02:00"', "2023-12-31T23:00:00.000000Z"),
        ('meta.created lt "2024-01-01T00:00:00Z"', "2024-01-01T00:00:00.000000Z"),
        ('id eq "AbC"', "AbC"),
    ],
)
def test_an_operand_takes_its_comparison_form(text: str, operand: object) -> None:
    """Text is folded unless the attribute is case exact, a dateTime becomes its instant, numbers stay."""
    node = bound(text)
    assert isinstance(node, Compare)
    assert (node.operand, type(node.operand)) == (operand, type(operand))


@pytest.mark.req("P-3.4.2.2-18", "P-3.4.2.2-19")
@pytest.mark.parametrize(
    ("paths", "operators", "operand"),
    [
        (("title", "externalId", "emails.value", f"{PROBE_SCHEMA}:labels"), "eq ne co sw ew gt ge lt le", '"x"'),
        (("active", "emails.primary", f"{PROBE_SCHEMA}:contractor"), "eq ne", "true"),
        (
            (f"{PROBE_SCHEMA}:level", f"{PROBE_SCHEMA}:ratio", f"{PROBE_SCHEMA}:milestones.rank"),
            "eq ne gt ge lt le",
            "7",
        ),
        ((f"{PROBE_SCHEMA}:hired", "meta.created"), "eq ne gt ge lt le", '"2024-01-01T00:00:00Z"'),
        (("x509Certificates.value", f"{PROBE_SCHEMA}:seal"), "eq ne", '"QUJD"'),
        (("profileUrl", "photos.value", f"{PROBE_SCHEMA}:homepage"), "eq ne co sw ew", '"x"'),
        (("meta.version", "meta.location", f"{ENTERPRISE_SCHEMA}:manager.$ref", "groups.$ref"), "eq ne", '"x"'),
    ],
)
def test_operators_by_type(paths: tuple[str, ...], operators: str, operand: str) -> None:
    """Each type takes its operators and refuses the others."""
    for path in paths:
        for op in Op:
            if op in operators.split():
                bound(f"{path} {op} {operand}")
            else:
                with pytest.raises(InvalidFilter):
                    bound(f"{path} {op} {operand}")


@pytest.mark.req("P-3.4.2.2-19", "P-3.4.2.2-23")
@pytest.mark.parametrize(
    "text",
    [
        "title eq 1",
        "title eq true",
        'active eq "yes"',
        "active eq 1",
        f'{PROBE_SCHEMA}:level eq "7"',
        f"{PROBE_SCHEMA}:level eq false",
        f'{PROBE_SCHEMA}:hired eq "2024-01-01"',
        f"{PROBE_SCHEMA}:hired eq 2024",
        "title gt null",
        "title co null",
        'name eq "x"',
        'meta eq "x"',
        'addresses eq "x"',
        'title[value eq "x"]',
        'emails[value.x eq "a"]',
        'emails[urn:a:b:value eq "a"]',
        "schemas eq 7",
        'schemas gt "a"',
        "meta.resourceType eq 7",
        'meta.resourceType gt "A"',
        "members.$ref eq 7",
    ],
)
def test_what_does_not_fit(text: str) -> None:
    """An operand of another type, null with an order, a bare complex attribute and odd brackets are refused."""
    with pytest.raises(InvalidFilter):
        bound(text, "Group" if "members" in text else "User")


@pytest.mark.req("P-3.4.2.2-26", "P-3.4.2.2-25")
def test_negative_tests_are_negations() -> None:
    """`ne`, `eq null` and `primary eq false` become the negation of a positive test."""
    title = slot("title")
    assert bound('title ne "x"') == Not(Compare(title, Op.EQ, "x"))
    assert bound("title eq null") == Not(Present(title))
    assert bound("title ne null") == bound("title pr") == Present(title)
    assert bound("emails eq null") == Not(Some(slot("emails"), Present(sub("emails", "value"))))
    primary = Not(Compare(sub("emails", "primary"), Op.EQ, True))
    assert bound("emails[primary eq false]") == Some(slot("emails"), primary)
    assert bound("emails[primary ne false]") == Some(slot("emails"), Not(primary))


@pytest.mark.req("P-3.4.2.2-21", "P-3.4.2.2-22", "P-3.4.2.2-23")
def test_multi_valued_attributes_become_some() -> None:
    """One Some per term outside brackets, one for all terms inside; the bare name means the value."""
    emails, value = slot("emails"), sub("emails", "value")
    work, x = Compare(sub("emails", "type"), Op.EQ, "work"), Compare(value, Op.CO, "x")
    assert bound('emails.type eq "work" and emails.value co "x"') == And((Some(emails, work), Some(emails, x)))
    assert bound('emails[type eq "work" and value co "x"]') == Some(emails, And((work, x)))
    assert bound('emails[type eq "work"].value co "x"') == Some(emails, And((work, x)))
    assert bound('emails co "x"') == bound('emails.value co "x"') == Some(emails, x)
    assert bound("emails pr") == Some(emails, Constant(True))
    labels = slot(f"{PROBE_SCHEMA}:labels")
    some = Some(labels, Compare(labels, Op.EQ, "a"))
    assert bound(f'{PROBE_SCHEMA}:labels eq "A"') == bound(f'{PROBE_SCHEMA}:labels[value eq "A"]') == some


@pytest.mark.req("P-3.4.2.2-16", "P-3.4.2.2-23")
def test_singular_complex_attributes() -> None:
    """pr asks for any part, brackets for the parts themselves, and the bare name means `value` where there is one."""
    parts = [a for s, a in USER.slots.items() if s.startswith("name.")]
    assert bound("name pr") == Or(tuple(Present(a) for a in parts))
    assert bound('name[familyName eq "x"]') == bound('name.familyName eq "x"')
    manager = slot(f"{ENTERPRISE_SCHEMA}:manager.value")
    assert bound('manager eq "AbC"') == Compare(manager, Op.EQ, "AbC")


@pytest.mark.req("P-3.4.2.1-03")
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("shoeSize pr", False),
        ('shoeSize eq "x"', False),
        ("shoeSize gt 7", False),
        ('shoeSize ne "x"', True),
        ("shoeSize eq null", True),
        ("shoeSize ne null", False),
        ("members pr", False),
        ('title.value eq "x"', False),
        ('shoeSize[a eq "x"]', False),
        ("urn:example:none:title pr", False),
    ],
)
def test_an_unknown_attribute_is_unassigned(text: str, value: bool) -> None:
    """It is the same for every resource, whatever the operator."""
    assert bound(text) == Constant(value)


def test_an_unknown_sub_attribute_is_unassigned() -> None:
    """Inside brackets as outside."""
    assert bound('emails[colour eq "x"]') == Some(slot("emails"), Constant(False))
    assert bound('emails[colour ne "x"]') == Some(slot("emails"), Constant(True))
    assert bound("emails[colour pr]") == Some(slot("emails"), Constant(False))


@pytest.mark.req("P-3.4.2.2-30")
@pytest.mark.parametrize(
    "text", ["password pr", 'PASSWORD eq "x"', "password ne null", f'{USER_SCHEMA}:password sw "x"']
)
def test_a_password_is_sensitive(text: str) -> None:
    """Every test of an attribute that is never returned is refused, however deep it stands."""
    for filter in (text, f"not ({text})", f"title pr and (active eq true or {text})"):
        with pytest.raises(Sensitive):
            bound(filter)


@pytest.mark.req("S-3.1-13", "S-3.1-01", "P-3.4.2.2-28")
def test_common_attributes() -> None:
    """What is the same for a whole type is decided at once; the rest compares the store's own values."""
    assert bound('meta.resourceType eq "User"') == bound('meta.resourceType sw "U"') == Constant(True)
    assert bound('meta.resourceType eq "user"') == Constant(False)
    assert bound(f'schemas eq "{USER_SCHEMA.upper()}"') == Constant(True)
    assert bound('schemas eq "urn:example:none"') == Constant(False)
    assert bound("id pr") == bound("meta pr") == bound("meta.created pr") == bound("schemas pr") == Constant(True)
    assert bound("id eq null") == Constant(False)
    assert bound("id ne null") == Constant(True)
    assert bound(f'{USER_SCHEMA}:id eq "x"') == Compare(ID, Op.EQ, "x")
    assert bound('meta.version eq "W/\\"7\\""') == bound('meta.version eq "7"') == Compare(META_VERSION, Op.EQ, "7")
    assert bound('meta.lastModified ne "2024-01-01T00:00:00Z"') != bound('meta.created ne "2024-01-01T00:00:00Z"')
    created = Compare(META_CREATED, Op.GT, "2024-01-01T00:00:00.000000Z")
    assert bound('meta.created gt "2024-01-01T00:00:00Z"') == created


@pytest.mark.req("P-3.4.2.2-28", "S-3-03")
def test_an_extension_is_in_schemas_while_it_has_a_value() -> None:
    """A test of schemas holds for a resource with any attribute of the extension, and only that extension."""
    moment = datetime(2024, 1, 1, tzinfo=UTC)

    def holds(values: dict[str, Any]) -> bool:
        resource = Resource("User", "u-1", moment, Stamp("1", moment), values)
        return matches(bound(f'schemas eq "{ENTERPRISE_SCHEMA}"'), View(resource))

    assert holds({f"{ENTERPRISE_SCHEMA}:manager.value": "m-1"})
    assert holds({f"{ENTERPRISE_SCHEMA}:division": "N"})
    assert not holds({f"{PROBE_SCHEMA}:hobby": "x", "title": "Pilot"})


@pytest.mark.req("S-2.4-06", "S-2.4-07", "S-2.3.7-02")
@pytest.mark.parametrize(
    ("uri", "id"),
    [
        (f"{BASE}/Users/u-1", "u-1"),
        ("https://scim.example/v1/Users/u-1", "u-1"),
        ("https://scim.example/Users/u-1", "u-1"),
        ("HTTPS://SCIM.Example:443/v2/Users/u-1", "u-1"),
        ("https://scim.example/v2/./a/../Users/u%2D1", "u-1"),
        ("Users/u-1", "u-1"),
        ("../Users/u-1", "u-1"),
        ("/v2/Users/u-1", "u-1"),
        ("https://scim.example/v2/Users/U-1", "U-1"),
        ("http://scim.example/v2/Users/u-1", None),
        ("https://other.example/v2/Users/u-1", None),
        ("https://scim.example:8443/v2/Users/u-1", None),
        ("https://scim.example/x/v2/Users/u-1", None),
        (f"{BASE}/Groups/u-1", None),
        (f"{BASE}/users/u-1", None),
        (f"{BASE}/Users/", None),
        (f"{BASE}/Users/u-1?x=1", None),
        ("https://scim.example:port/v2/Users/u-1", None),
        ("https://[/v2/Users/u-1", None),
        ("u-1", None),
        ("", None),
    ],
)
def test_references_are_resolved_and_normalised(uri: str, id: str | None) -> None:
    """A URI that names a user stands for its id, in `$ref` and meta.location; any other is equal to none."""
    value = GROUP.relations["members"].attribute.sub("value")
    assert value is not None
    member = Compare(value, Op.EQ, id) if id else Constant(False)
    location = Compare(ID, Op.EQ, id) if id else Constant(False)
    assert bound(f'members.$ref eq "{uri}"', "Group") == Some(GROUP.relations["members"].attribute, member)
    assert bound(f'meta.location eq "{uri}"') == location
    assert bound(f'meta.location ne "{uri}"') == Not(location)


_WORDS = [
    "userName",
    "name",
    "name.givenName",
    "emails",
    "emails.value",
    "emails.$ref",
    "members",
    "members.$ref",
    "groups",
    "id",
    "meta.created",
    "schemas",
]
_PATHS = st.sampled_from(
    [*_WORDS, "password", "nothing", "x509Certificates.value", f"{PROBE_SCHEMA}:hired", "manager.$ref"]
)
_LITERALS = st.sampled_from(
    ["true", "null", "7", "1e99", '"x"', '""', '"2024-01-01T00:00:00Z"', '"https://[x"', '"\\u0130"']
)


@given(_PATHS, st.sampled_from(Op), _LITERALS, st.sampled_from(["{}", "not ({})", "emails[{}]", "name[{}]"]))
def test_any_filter_is_bound_or_refused(path: str, op: Op, literal: str, form: str) -> None:
    """Whatever the grammar allows is bound to either type, or refused with one of two errors."""
    for kind in ("User", "Group"):
        try:
            bound(form.format(f"{path} {op} {literal}"), kind)
        except (InvalidFilter, Sensitive) as error:
            assert error.detail
