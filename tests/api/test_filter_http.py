"""The filter grammar and what filters mean, over HTTP (RFC 7644 section 3.4.2.2); the vectors are in test_vectors."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

import pytest

from tests.api.answers import VECTOR, taken
from tests.api.expect import refused
from tests.support.service import ENTERPRISE, USER, Client

_crews = itertools.count(1)


@dataclass(frozen=True)
class Crew:
    """Three users that only this crew's filters find. `find` gives the keys of those that a filter selects."""

    client: Client
    scope: str
    ids: Mapping[str, str]

    def find(self, filter: str) -> str:
        """The keys in alphabetical order, such as "ab"."""
        found = self.client.found("/Users", f'({filter}) and userName ew "{self.scope}"')
        return "".join(sorted(key for key, id in self.ids.items() if id in found))


@pytest.fixture
def crew(client: Client) -> Crew:
    """a: Ada Moss, active, pilot, two addresses; b: Bo Fell, inactive; c: a bare user."""
    scope = f"-crew{next(_crews)}@tern.example"
    a = client.create(
        "/Users",
        {
            "schemas": [USER, ENTERPRISE],
            "userName": f"a{scope}",
            "externalId": f"A{scope}",
            "name": {"givenName": "Ada", "familyName": "Moss"},
            "title": "Pilot",
            "active": True,
            "emails": [
                {"value": f"ada@work{scope}", "type": "work", "primary": True},
                {"value": "ada@home.example", "type": "home"},
            ],
            "x509Certificates": [{"value": "QUJD"}],
            "profileUrl": "https://tern.example/ada",
            ENTERPRISE: {"department": "Decks", "manager": {"value": "m-1"}},
            VECTOR: {"level": 7, "score": 9.5, "hired": "2020-06-01T12:00:00Z", "tags": ["sea", "sky"]},
        },
    )
    b = client.create(
        "/Users",
        {
            "schemas": [USER],
            "userName": f"b{scope}",
            "name": {"givenName": "Bo", "familyName": "Fell"},
            "title": "100% _odd*\\",
            "active": False,
            "emails": [{"value": "bo+x@home.example", "type": "home"}],
            VECTOR: {"level": 12, "score": 10.5, "hired": "2021-06-01T12:00:00Z"},
        },
    )
    c = client.create("/Users", {"schemas": [USER], "userName": f"c{scope}"})
    return Crew(client, scope, {k: taken(r, 201)["id"] for k, r in zip("abc", (a, b, c), strict=True)})


@pytest.mark.req("P-3.4.2.2-03")
@pytest.mark.parametrize(
    "filter",
    [
        'title eq "Pilot"',
        'TITLE EQ "Pilot"',
        'Title Eq "Pilot" AND active PR',
        'NAME.GivenName sW "ad"',
        'Not (title ne "Pilot") Or (active eq false And title Eq "x")',
        'EMAILS[Type eQ "work" aND Value Co "ADA"]',
        f'{USER.upper()}:TITLE eq "Pilot"',
    ],
)
def test_names_and_operators_ignore_case(filter: str, crew: Crew) -> None:
    """Attribute names, URNs, operators, and, or, not and pr may come in any case."""
    assert crew.find(filter) == "a"


@pytest.mark.req("P-3.4.2.2-04")
@pytest.mark.parametrize("filter", ["", " ", "()", "not ()", "emails[]", "emails[ ]"])
def test_a_filter_has_an_expression(filter: str, client: Client) -> None:
    """An empty filter, group or value filter is refused."""
    for endpoint in ("/Users", "/Groups", "/"):
        refused(client.search(endpoint, filter), 400, "invalidFilter")


@pytest.mark.req("P-3.4.2.2-05", "P-3.4.2.2-06", "P-3.4.2.2-08", "P-3.4.2.2-09", "P-3.4.2.2-10")
@pytest.mark.parametrize(
    "filter",
    [
        'title pr "x"',
        "title eq",
        "title",
        'eq "x"',
        'title eq "a" "b"',
        'title eq "a" and',
        'and title eq "a"',
        'title eq "a" or or active pr',
        'title eq "a" active pr',
        '(title eq "a"',
        'title eq "a")',
        "not title pr",
        'not title eq "a"',
        "title eq 'Pilot'",
        "title eq Pilot",
        'title eq "Pi',
        'title eq "\\x"',
        'title eq "\\ud800"',
        "active eq True",
        "title eq NULL",
        f"{VECTOR}:level eq 07",
        f"{VECTOR}:level eq +7",
        f"{VECTOR}:level eq .5",
        f"{VECTOR}:level eq 1e400",
        'emails[emails[type eq "work"]]',
        'emails[type eq "work"',
        'emails type eq "work"]',
        'emails[value.type eq "work"]',
        f'emails[{USER}:emails.type eq "work"]',
        'name.givenName.first eq "a"',
        '1title eq "a"',
        'ti tle eq "a"',
        ':title eq "a"',
        'title. eq "a"',
        '.title eq "a"',
        'title[value eq "a"]',
    ],
)
def test_what_is_outside_the_grammar_is_refused(filter: str, client: Client) -> None:
    """400 invalidFilter at each endpoint."""
    for endpoint in ("/Users", "/"):
        refused(client.search(endpoint, filter), 400, "invalidFilter")


@pytest.mark.req("P-3.4.2.2-07")
@pytest.mark.parametrize("operator", ["regex", "equals", "=", "==", "like", "in", "!=", "eqq"])
def test_an_unknown_operator_is_named(operator: str, client: Client) -> None:
    """400 invalidFilter with a detail that names it."""
    assert operator in refused(client.search("/Users", f'title {operator} "a"'), 400, "invalidFilter")


@pytest.mark.req("P-3.4.2.2-07", "P-3.4.2.2-14", "P-3.4.2.2-15", "P-3.4.2.2-16", "P-3.4.2.2-17")
@pytest.mark.parametrize(
    ("filter", "found"),
    [
        ('title eq "pilot"', "a"),
        ('title eq "Pilo"', ""),
        ('title ne "Pilot"', "bc"),
        ('name.familyName co "OS"', "a"),
        ('name.familyName sw "f"', "b"),
        ('name.familyName ew "s"', "a"),
        ('name.familyName gt "Fell"', "a"),
        ('name.familyName ge "fell"', "ab"),
        ('name.familyName lt "moss"', "b"),
        ('name.familyName le "Moss"', "ab"),
        ("title pr", "ab"),
        ("name pr", "ab"),
        ("emails pr", "ab"),
        ("emails.primary pr", "a"),
        (f"{VECTOR}:tags pr", "a"),
        (f"{VECTOR}:level gt 7", "b"),
        (f"{VECTOR}:level ge 7.0", "ab"),
        (f"{VECTOR}:level lt 1.2e1", "a"),
        (f"{VECTOR}:score gt 9.75", "b"),
        (f'{VECTOR}:hired gt "2020-06-01T14:00:00+02:00"', "b"),
        (f'{VECTOR}:hired ge "2020-06-01T14:00:00+02:00"', "ab"),
        (f'{VECTOR}:hired lt "2020-06-01T12:00:00.001Z"', "a"),
        ('profileUrl sw "https://tern"', "a"),
    ],
)
def test_operators(filter: str, found: str, crew: Crew) -> None:
    """Each operator selects by the attribute's type: text in any case, numbers by value, times by instant."""
    assert crew.find(filter) == found


@pytest.mark.req("P-3.4.2.2-15")
@pytest.mark.parametrize(
    ("operand", "found"),
    [("%", "b"), ("_", "b"), ("*", "b"), ("\\", "b"), ("100% _odd*\\", "b"), ("1%0", ""), ("P_lot", ""), ("P*t", "")],
)
def test_substrings_have_no_wildcards(operand: str, found: str, crew: Crew) -> None:
    """%, _, * and the backslash stand for themselves."""
    assert crew.find(f"title co {json.dumps(operand)}") == found


@pytest.mark.req("P-3.4.2.2-18", "P-3.4.2.2-19", "P-3.4.2.2-23")
@pytest.mark.parametrize(
    "test",
    [
        "active gt true",
        "active ge false",
        "active lt true",
        "active le false",
        'x509Certificates.value gt "QUJD"',
        'x509Certificates.value le "QUJD"',
        'x509Certificates.value co "QU"',
        'active co "t"',
        "active eq 1",
        'active eq "yes"',
        "title eq 7",
        "title eq true",
        "title gt null",
        f'{VECTOR}:level eq "7"',
        f"{VECTOR}:level co 7",
        f"{VECTOR}:level eq true",
        f'{VECTOR}:hired gt "soon"',
        f'{VECTOR}:hired sw "2020"',
        f"{VECTOR}:hired eq 2020",
        'meta.created gt "2020"',
        'profileUrl gt "a"',
        'name eq "x"',
        'name co "x"',
        'meta eq "x"',
        'addresses eq "x"',
    ],
)
def test_what_does_not_fit_the_type_is_refused(test: str, client: Client) -> None:
    """400 invalidFilter for an operator or operand that the attribute's type does not have, also inside others."""
    for filter in (test, f"not ({test})", f'userName eq "nobody" and {test}', f'{test} or userName eq "nobody"'):
        refused(client.search("/Users", filter), 400, "invalidFilter")


@pytest.mark.req("P-3.4.2.2-10", "P-3.4.2.2-03")
@pytest.mark.parametrize(
    ("filter", "found"),
    [
        (f'{USER}:name.givenName eq "ada"', "a"),
        (f'{USER}:userName sw "b"', "b"),
        (f'{ENTERPRISE}:department eq "decks"', "a"),
        (f'{ENTERPRISE}:manager.value eq "m-1"', "a"),
        (f'{ENTERPRISE}:manager eq "m-1"', "a"),
        (f'{VECTOR}:tags eq "SEA"', "a"),
        (f'{USER}:department eq "decks"', ""),
        ('urn:example:unknown:2.0:User:department eq "decks"', ""),
    ],
)
def test_urns_are_split_at_the_last_colon(filter: str, found: str, crew: Crew) -> None:
    """A URN with dots and colons in front of a name selects the attribute of that schema only."""
    assert crew.find(filter) == found


@pytest.mark.req("P-3.4.2.2-09", "P-3.4.2.2-21", "P-3.4.2.2-22", "P-3.4.2.2-27")
@pytest.mark.parametrize(
    ("filter", "found"),
    [
        ('emails.value ew "home.example"', "ab"),
        ('emails.value sw "ada@work" and emails.type eq "home"', "a"),
        ('emails[value sw "ada@work" and type eq "home"]', ""),
        ('emails[value sw "ada@home" and type eq "home"]', "a"),
        ('emails[type eq "work" or value co "bo"]', "ab"),
        ('emails[not (type eq "home")]', "a"),
        ('emails[(type eq "home" and (primary eq false or value sw "x")) and not (value co "+")]', "a"),
        ('emails[type eq "home"] and not (emails[type eq "work"])', "b"),
        ('emails[type eq "work"].value co "ada"', "a"),
        (f'{VECTOR}:tags eq "sky"', "a"),
        (f'{VECTOR}:tags[value eq "sky"]', "a"),
        ('emails co "ADA@"', "a"),
    ],
)
def test_any_value_of_a_multi_valued_attribute_may_match(filter: str, found: str, crew: Crew) -> None:
    """Outside brackets each term may meet another value; inside, all terms meet one and the same."""
    assert crew.find(filter) == found


@pytest.mark.req("P-3.4.2.2-11", "P-3.4.2.2-12", "P-3.4.2.2-25", "P-3.4.2.2-26")
@pytest.mark.parametrize(
    ("filter", "found"),
    [
        ("not(title pr)", "c"),
        ("not (title pr)", "c"),
        ("not  ( title pr )", "c"),
        ("not (not(title pr))", "ab"),
        ('title eq "Pilot" or active eq false and title eq "x"', "a"),
        ('(title eq "Pilot" or active eq false) and title eq "x"', ""),
        ("not (title pr) and active pr", ""),
        ("not (title pr and active eq true)", "bc"),
        ('active eq false and not (title eq "x") or title eq "Pilot"', "ab"),
        ("title eq null", "c"),
        ("title ne null", "ab"),
        ("emails eq null", "c"),
        ("active eq null", "c"),
        ("active eq true", "a"),
        ("not (active eq true)", "bc"),
        ("active ne true", "bc"),
        (f"not ({VECTOR}:level gt 7)", "ac"),
    ],
)
def test_logic(filter: str, found: str, crew: Crew) -> None:
    """not, and, or bind in that order; a comparison with an unassigned attribute is false and its not() true."""
    assert crew.find(filter) == found


@pytest.mark.req("P-3.4.2.2-28")
def test_schemas_can_be_filtered_by(crew: Crew) -> None:
    """eq finds those that have the schema, in any case of its URN."""
    assert crew.find(f'schemas eq "{USER}"') == "abc"
    assert crew.find(f'schemas eq "{ENTERPRISE.upper()}"') == "a"
    assert crew.find(f'not (schemas eq "{ENTERPRISE}")') == "bc"
    assert crew.find('schemas eq "urn:example:unknown"') == ""


@pytest.mark.req("P-3.4.2.2-22")
@pytest.mark.parametrize(
    "test",
    [
        'resourceType eq "User"',
        'resourceType eq "Group"',
        "resourceType pr",
        "location pr",
        'location eq "x"',
        'version eq "nothing"',
        "version pr",
        'created gt "2020-01-01T00:00:00Z"',
        'lastModified lt "2020-01-01T00:00:00Z"',
        "unknown pr",
    ],
)
def test_brackets_behind_meta(test: str, crew: Crew) -> None:
    """meta has one value: what is asked of it in brackets is what is asked with a full path."""
    alone = crew.find(f"meta.{test}")
    assert crew.find(f"meta[{test}]") == alone
    assert crew.find(f"not (meta[{test}])") == crew.find(f"meta[not ({test})]") == "".join(sorted({*"abc"} - {*alone}))
    assert crew.find(f"meta[{test} and created pr]") == alone


def test_the_version_in_brackets(crew: Crew) -> None:
    version = crew.client.get(f"/Users/{crew.ids['a']}").json()["meta"]["version"].replace('"', '\\"')
    assert "a" in crew.find(f'meta[version eq "{version}"]')


@pytest.mark.parametrize("test", ["value pr", f'value eq "{USER}"'])
def test_schemas_take_no_brackets(test: str, client: Client) -> None:
    for filter in (f"schemas[{test}]", f"not (schemas[{test}])"):
        refused(client.search("/Users", filter), 400, "invalidFilter")


@pytest.mark.req("P-3.4.2.2-29")
def test_the_filter_is_percent_encoded(crew: Crew) -> None:
    """In the query + is a space and %2B a plus."""
    scope = quote(f' and userName ew "{crew.scope}"')
    for query in (f"emails.value%20eq%20%22bo%2Bx@home.example%22{scope}", f"emails.value+sw+%22bo%2B%22{scope}"):
        found = taken(crew.client.get(f"/Users?filter={query}&attributes=id"))["Resources"]
        assert [r["id"] for r in found] == [crew.ids["b"]]
    assert taken(crew.client.get(f"/Users?filter=emails.value+eq+%22bo+x@home.example%22{scope}"))["Resources"] == []
