"""The schema model over HTTP: names, data types, multi-valued and unassigned attributes (RFC 7643 section 2)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.answers import VECTOR, own, post_user, published, taken
from tests.api.expect import refused
from tests.api.schemas import TRAITS
from tests.support.service import ENTERPRISE, GROUP, SCIM_JSON, USER, Client


@pytest.mark.req("S-2-01", "P-3.1-04")
def test_a_put_of_what_a_get_returned_is_accepted(client: Client, name: str) -> None:
    """Read-only attributes in a PUT (id, meta, groups) are no reason to refuse it."""
    user = client.user(name, title="Pilot")
    client.group(f"Crew of {name}", user["id"])
    shown = taken(client.get(f"/Users/{user['id']}"))
    assert shown["groups"]
    assert taken(client.put(f"/Users/{user['id']}", json=shown, headers={"Content-Type": SCIM_JSON})) == shown


@pytest.mark.req("S-2.1-01")
def test_attribute_names_are_compared_without_case_in_bodies(client: Client, name: str) -> None:
    """Names of attributes, sub-attributes and `schemas` itself may come in any case and go out in the canonical one."""
    body = {
        "SCHEMAS": [USER],
        "USERNAME": name,
        "Name": {"FAMILYname": "Okafor"},
        "eMails": [{"VALUE": "a@tern.example"}],
    }
    created = taken(client.create("/Users", body), 201)
    shown = taken(client.get(f"/Users/{created['id']}"))
    assert shown["userName"] == name
    assert shown["name"] == {"familyName": "Okafor"}
    assert shown["emails"] == [{"value": "a@tern.example"}]


@pytest.mark.req("S-2.1-01")
def test_attribute_names_are_compared_without_case_in_queries(client: Client, name: str) -> None:
    """Filters, sortBy and both projections find attributes in any case; PATCH paths too."""
    user = client.user(name, title="Pilot", nickName="Kes")
    found = client.search("/Users", f'USERNAME eq "{name}"', sortBy="NAME.familyname", attributes="TITLE")
    assert taken(found)["Resources"] == [{"schemas": [USER], "id": user["id"], "title": "Pilot"}]
    assert "title" not in taken(client.get(f"/Users/{user['id']}", params={"excludedAttributes": "tiTLE"}))
    taken(client.change(f"/Users/{user['id']}", {"op": "replace", "path": "NICKNAME", "value": "Kestrel"}))
    assert taken(client.get(f"/Users/{user['id']}"))["nickName"] == "Kestrel"


@pytest.mark.req("S-2.1-02")
def test_names_that_differ_in_case_only_are_refused(client: Client, name: str) -> None:
    """Two members that are the same attribute are refused, at the top and inside, and nothing is created."""
    refused(post_user(client, name, username="other"), 400, "invalidSyntax")
    refused(post_user(client, name, name={"givenName": "A", "GIVENNAME": "B"}), 400, "invalidSyntax")
    assert client.found("/Users", f'userName eq "{name}" or userName eq "other"') == set()


@pytest.mark.req("S-2.1-03", "P-3.4.3-02")
def test_every_body_names_its_schemas(client: Client, name: str) -> None:
    """Resources and messages without `schemas` are refused, and what is returned has them."""
    user = client.user(name)
    assert user["schemas"] == [USER]
    refused(client.create("/Users", {"userName": f"x-{name}"}), 400, "invalidSyntax")
    refused(client.create("/Users", {"schemas": [], "userName": f"x-{name}"}), 400, "invalidSyntax")
    refused(client.put(f"/Users/{user['id']}", json={"userName": name}), 400, "invalidSyntax")
    operations = [{"op": "add", "path": "title", "value": "x"}]
    refused(client.patch(f"/Users/{user['id']}", json={"Operations": operations}), 400, "invalidSyntax")
    refused(client.post("/Users/.search", json={"count": 1}), 400, "invalidSyntax")
    assert taken(client.get("/Users", params={"count": "0"}))["schemas"]
    assert taken(client.get("/ServiceProviderConfig"))["schemas"]


@pytest.mark.req("S-2.2-01")
def test_a_definition_with_only_a_name_has_the_defaults(client: Client, name: str) -> None:
    """The published schema shows the default characteristics, and the attribute behaves by them."""
    assert published(client, TRAITS)["plain"] == {
        "name": "plain",
        "type": "string",
        "multiValued": False,
        "description": "",
        "required": False,
        "caseExact": False,
        "mutability": "readWrite",
        "returned": "default",
        "uniqueness": "none",
    }
    first = client.user(f"1-{name}", **{TRAITS: {"plain": name}})
    second = client.user(f"2-{name}", **{TRAITS: {"plain": name.upper()}})
    assert taken(client.get(f"/Users/{first['id']}"))[TRAITS] == {"plain": name}
    assert client.found("/Users", f'{TRAITS}:plain eq "{name}"') == {first["id"], second["id"]}


@pytest.mark.req("S-2.3.1-01")
@pytest.mark.parametrize(
    "text", ["山田 太郎 🛰️", "e\u0301 stays decomposed", " two  spaces ", "\u202bعربي\u202c", "x" * 500]
)
def test_strings_come_back_as_they_were_sent(text: str, client: Client, name: str) -> None:
    """A string of any Unicode characters is returned code point by code point."""
    user = client.user(name, displayName=text)
    assert user["displayName"] == text
    shown = client.get(f"/Users/{user['id']}")
    assert text.encode() in shown.content
    assert shown.json()["displayName"] == text


@pytest.mark.req("S-2.3.2-01")
@pytest.mark.parametrize("value", ["yes", "", "1", 1, 0, 1.0, [], [True], {"value": True}])
def test_a_boolean_is_true_or_false(value: object, client: Client, name: str) -> None:
    """Numbers and other texts are no booleans; an empty text or list leaves the attribute unassigned."""
    response = post_user(client, name, active=value)
    if value in ("", []):
        assert "active" not in taken(response, 201)
    else:
        refused(response, 400, "invalidValue")


@pytest.mark.req("S-2.3.3-01")
def test_decimals_are_compared_as_numbers(client: Client, name: str) -> None:
    """9.5 is less than 10.5 although its text is greater, and 10.50 is equal to 10.5."""
    low = client.user(f"1-{name}", **{VECTOR: {"score": 9.5}})
    high = client.user(f"2-{name}", **{VECTOR: {"score": 10.5}})
    scope = f'and userName ew "-{name}"'
    assert low[VECTOR] == {"score": 9.5}
    assert client.found("/Users", f"{VECTOR}:score gt 9.75 {scope}") == {high["id"]}
    assert client.found("/Users", f"{VECTOR}:score lt 10 {scope}") == {low["id"]}
    assert client.found("/Users", f"{VECTOR}:score eq 10.50 {scope}") == {high["id"]}
    refused(post_user(client, name, **{VECTOR: {"score": "9.5"}}), 400, "invalidValue")


@pytest.mark.req("S-2.3.3-01", "S-2.3.4-01")
@pytest.mark.parametrize("number", ["1.", ".5", "01", "+1", "NaN", "Infinity", "0x10"])
def test_numbers_outside_the_json_grammar_are_refused(number: str, client: Client, name: str) -> None:
    """A number without digits on both sides of its point, or in any form that JSON lacks, is no JSON."""
    body = f'{{"schemas": ["{USER}"], "userName": "{name}", "{VECTOR}": {{"score": {number}}}}}'
    response = client.post("/Users", content=body, headers={"Content-Type": SCIM_JSON})
    refused(response, 400, "invalidSyntax")


@pytest.mark.req("S-2.3.4-01")
@pytest.mark.parametrize("number", ["1.5", "1e3", "1.0", '"7"', "true", "9223372036854775808"])
def test_an_integer_has_no_fraction_and_no_exponent(number: str, client: Client, name: str) -> None:
    """What is no integer, or more than 64 bits, is refused."""
    body = f'{{"schemas": ["{USER}"], "userName": "{name}", "{VECTOR}": {{"level": {number}}}}}'
    response = client.post("/Users", content=body, headers={"Content-Type": SCIM_JSON})
    refused(response, 400, "invalidValue")
    assert client.found("/Users", f'userName eq "{name}"') == set()


@pytest.mark.req("S-2.3.4-01")
@pytest.mark.parametrize("number", [0, -7, 2**63 - 1, -(2**63)])
def test_integers_come_back_exactly(number: int, client: Client, name: str) -> None:
    """Integers of 64 bits are kept without rounding."""
    user = client.user(name, **{VECTOR: {"level": number}})
    assert taken(client.get(f"/Users/{user['id']}"))[VECTOR] == {"level": number}
    assert client.found("/Users", f'{VECTOR}:level eq {number} and userName eq "{name}"') == {user["id"]}


@pytest.mark.req("S-2.3.5-01")
@pytest.mark.parametrize(
    "text",
    ["2024-02-30T00:00:00Z", "2024-01-01", "10:00:00Z", "2024-01-01 00:00:00Z", "2024-13-01T00:00:00Z", "yesterday", 5],
)
def test_what_is_no_date_time_is_refused(text: object, client: Client, name: str) -> None:
    """A dateTime has a date and a time that exist."""
    refused(post_user(client, name, **{VECTOR: {"hired": text}}), 400, "invalidValue")


@pytest.mark.req("S-2.3.5-01", "S-2.3.5-02")
def test_date_times_are_compared_as_instants(client: Client, name: str) -> None:
    """The text comes back as sent; the same instant with another offset or more digits is equal."""
    user = client.user(name, **{VECTOR: {"hired": "2024-01-01T00:00:00+02:00"}})
    assert taken(client.get(f"/Users/{user['id']}"))[VECTOR] == {"hired": "2024-01-01T00:00:00+02:00"}
    scope = f'and userName eq "{name}"'
    for same in ("2023-12-31T22:00:00Z", "2023-12-31T22:00:00.000Z", "2023-12-31T17:00:00-05:00"):
        assert client.found("/Users", f'{VECTOR}:hired eq "{same}" {scope}') == {user["id"]}
        assert client.found("/Users", f'{VECTOR}:hired gt "{same}" {scope}') == set()
    assert client.found("/Users", f'{VECTOR}:hired lt "2024-01-01T00:00:00Z" {scope}') == {user["id"]}
    hired = published(client, VECTOR)["hired"]
    assert "caseExact" not in hired
    assert "uniqueness" not in hired


@pytest.mark.req("S-2.3.6-01")
def test_binary_values_are_base64(client: Client, name: str) -> None:
    """Padding may be absent; characters outside the alphabet, also the URL-safe ones, are refused."""
    for number, text in enumerate(("AQID", "AQ", "AQ==", "+/+/")):
        user = client.user(f"{number}-{name}", x509Certificates=[{"value": text}])
        assert taken(client.get(f"/Users/{user['id']}"))["x509Certificates"] == [{"value": text}]
    for text in ("%%%", "AQI D", "A", "-_-_", "AQ=Q"):
        refused(post_user(client, name, x509Certificates=[{"value": text}]), 400, "invalidValue")


@pytest.mark.req("S-2.3.6-02")
def test_binary_values_are_case_exact_and_not_unique(client: Client, name: str) -> None:
    """Two users may have one certificate, which only its exact text finds."""
    value = "QUJD" + name.partition("@")[0].replace("user", "").rjust(4, "x")
    ids = {client.user(f"{i}-{name}", x509Certificates=[{"value": value}])["id"] for i in range(2)}
    assert client.found("/Users", f'x509Certificates.value eq "{value}"') == ids
    assert client.found("/Users", f'x509Certificates.value eq "{value.swapcase()}"') == set()


@pytest.mark.req("S-2.3.7-01")
def test_every_reference_that_is_emitted_can_be_read(client: Client, name: str) -> None:
    """Members, groups and managers carry URIs that answer with the resource."""
    boss = client.user(f"boss-{name}")
    user = client.user(name, **{ENTERPRISE: {"manager": {"value": boss["id"]}}})
    group = client.group(f"Crew of {name}", user["id"])
    shown = taken(client.get(f"/Users/{user['id']}"))
    references = {
        shown[ENTERPRISE]["manager"]["$ref"]: boss["id"],
        shown["groups"][0]["$ref"]: group["id"],
        group["members"][0]["$ref"]: user["id"],
        shown["meta"]["location"]: user["id"],
    }
    for uri, id in references.items():
        assert taken(client.get(uri))["id"] == id


@pytest.mark.req("S-2.3.7-02")
@pytest.mark.parametrize("form", ["Users/{}", "../Users/{}", "{base}/Users/{}"])
def test_relative_references_count_from_the_scim_root(form: str, client: Client, name: str) -> None:
    """A manager or member named by a relative `$ref` is the user at that place below the base."""
    boss = client.user(f"boss-{name}")
    reference = form.format(boss["id"], base=client.base)
    user = client.user(name, **{ENTERPRISE: {"manager": {"$ref": reference}}})
    manager = taken(client.get(f"/Users/{user['id']}"))[ENTERPRISE]["manager"]
    assert manager == {"value": boss["id"], "$ref": f"{client.base}/Users/{boss['id']}"}
    assert client.found("/Users", f'{ENTERPRISE}:manager.$ref eq "{reference}"') == {user["id"]}
    document = {"schemas": [GROUP], "displayName": f"Crew of {name}", "members": [{"$ref": reference}]}
    group = taken(client.create("/Groups", document), 201)
    assert [m["value"] for m in group["members"]] == [boss["id"]]


@pytest.mark.req("S-2.3.7-03")
def test_references_are_case_exact(client: Client, name: str) -> None:
    """A profileUrl is found by its exact text only."""
    user = client.user(name, profileUrl=f"https://tern.example/People/{name}")
    assert client.found("/Users", f'profileUrl eq "https://tern.example/People/{name}"') == {user["id"]}
    assert client.found("/Users", f'profileUrl eq "https://tern.example/people/{name}"') == set()
    assert published(client, USER)["profileUrl"]["caseExact"] is True


@pytest.mark.req("S-2.3.8-01")
def test_the_order_of_members_has_no_meaning(client: Client, name: str) -> None:
    """The same document with its members shuffled, at the top and inside, gives the same resource."""
    body: dict[str, Any] = {
        "schemas": [USER, ENTERPRISE],
        "userName": name,
        "name": {"givenName": "Ada", "familyName": "Moss"},
        "emails": [{"value": "ada@tern.example", "type": "work", "primary": True}],
        ENTERPRISE: {"department": "Ferries", "division": "North"},
    }

    def turned(value: Any) -> Any:
        return {k: turned(v) for k, v in reversed(value.items())} if isinstance(value, dict) else value

    first = taken(client.create("/Users", body), 201)
    other = {**turned(body), "userName": f"x-{name}", "emails": [turned(body["emails"][0])]}
    assert own(taken(client.create("/Users", other), 201)) == own(first)


@pytest.mark.req("S-2.3.8-03")
def test_complex_attributes_have_neither_case_nor_uniqueness(client: Client) -> None:
    """No published complex attribute carries caseExact or uniqueness."""
    for document in taken(client.get("/Schemas"))["Resources"]:
        for attribute in document["attributes"]:
            if attribute["type"] == "complex":
                assert not {"caseExact", "uniqueness"} & attribute.keys(), attribute["name"]
