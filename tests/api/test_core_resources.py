"""User, Group and EnterpriseUser over HTTP (RFC 7643 section 4)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.answers import post_user, published, taken
from tests.api.expect import refused
from tests.support.service import ENTERPRISE, GROUP, SCIM_JSON, USER, Client

UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.mark.req("S-4.1.1-01", "P-3.3-07", "P-3.3-08")
def test_a_user_name_is_required_and_unique(client: Client, name: str) -> None:
    """A missing, empty or blank userName is refused, and one that is taken, in any case, is a conflict."""
    refused(client.create("/Users", {"schemas": [USER], "title": "Pilot"}), 400, "invalidValue")
    for blank in ("", " ", None):
        refused(client.create("/Users", {"schemas": [USER], "userName": blank}), 400, "invalidValue")
    user = client.user(name)
    refused(post_user(client, name), 409, "uniqueness")
    refused(post_user(client, name.upper()), 409, "uniqueness")
    assert client.found("/Users", f'userName eq "{name.upper()}"') == {user["id"]}


@pytest.mark.req("S-4.1.1-01")
@pytest.mark.parametrize(
    ("first", "second"), [("élan", "ÉLAN"), ("straße", "STRASSE"), ("ａｂｃ", "abc"), ("e\u0301", "é")]
)
def test_user_names_are_unique_in_every_script(first: str, second: str, client: Client, name: str) -> None:
    """Names that RFC 8265 prepares to the same text are one name; each is returned as it was sent."""
    user = client.user(f"{first}-{name}")
    assert user["userName"] == f"{first}-{name}"
    refused(post_user(client, f"{second}-{name}"), 409, "uniqueness")
    assert client.found("/Users", f'userName eq "{second}-{name}"') == {user["id"]}


@pytest.mark.req("S-4.1.1-02")
def test_the_own_name_in_another_case_is_no_conflict(client: Client, name: str) -> None:
    """A PUT and a PATCH may change the case of the own userName."""
    user = client.user(name)
    path = f"/Users/{user['id']}"
    body = {"schemas": [USER], "userName": name.upper()}
    assert taken(client.put(path, json=body, headers={"Content-Type": SCIM_JSON}))["userName"] == name.upper()
    change = {"op": "replace", "path": "userName", "value": name.title()}
    assert taken(client.change(path, change))["userName"] == name.title()


@pytest.mark.req("S-4.1.1-05")
@pytest.mark.parametrize("value", ["da, en-gb;q=0.8, en;q=0.7", "en-US", "*"])
def test_preferred_language_has_the_form_of_accept_language(value: str, client: Client, name: str) -> None:
    """Language ranges with weights come back as they were sent."""
    user = client.user(name, preferredLanguage=value)
    assert taken(client.get(f"/Users/{user['id']}"))["preferredLanguage"] == value


@pytest.mark.req("S-4.1.1-06")
def test_a_locale_has_no_white_space(client: Client, name: str) -> None:
    """A tag with a space is refused; hyphen and underscore are both accepted."""
    for wrong in ("en US", " en", "en\tUS"):
        refused(post_user(client, name, locale=wrong), 400, "invalidValue")
    for number, right in enumerate(("en-US", "en_US", "zh-Hant-TW")):
        assert client.user(f"{number}-{name}", locale=right)["locale"] == right


@pytest.mark.req("S-4.1.1-07")
@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Europe/Oslo", "PST"])
def test_a_time_zone_is_kept(zone: str, client: Client, name: str) -> None:
    """Zone names come back; others are kept as free text."""
    user = client.user(name, timezone=zone)
    assert taken(client.get(f"/Users/{user['id']}"))["timezone"] == zone


@pytest.mark.req("S-4.1.1-08")
def test_a_deactivated_user_can_still_be_read(client: Client, name: str) -> None:
    """active false keeps the user readable, listed and found."""
    user = client.user(name, active=True)
    change = {"op": "replace", "path": "active", "value": False}
    assert taken(client.change(f"/Users/{user['id']}", change))["active"] is False
    assert taken(client.get(f"/Users/{user['id']}"))["active"] is False
    assert client.found("/Users", f'userName eq "{name}"') == {user["id"]}
    assert client.found("/Users", f'active eq false and userName eq "{name}"') == {user["id"]}


@pytest.mark.req("S-4.1.1-09", "S-7-11", "S-7-13")
def test_a_password_is_never_returned(client: Client, name: str) -> None:
    """No answer to a write, read, search or refusal shows a password, whatever was asked for."""
    secret = "Correct-Horse-42"
    ask = {"attributes": "userName,password,PASSWORD"}
    created = client.create("/Users", {"schemas": [USER], "userName": name, "password": secret}, **ask)
    path = f"/Users/{taken(created, 201)['id']}"
    body = {"schemas": [USER], "userName": name, "password": secret}
    change = {"op": "replace", "path": "password", "value": secret}
    patch = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [change]}
    answers = [
        created,
        client.get(path),
        client.get(path, params=ask),
        client.get(path, params={"attributes": f"{USER}:password"}),
        client.get(path, params={"excludedAttributes": "title"}),
        client.put(path, json=body),
        client.put(path, json=body, params=ask),
        client.change(path, change),
        client.patch(path, json=patch, params=ask),
        client.search("/Users", f'userName eq "{name}"'),
        client.search("/Users", f'userName eq "{name}"', **ask),
    ]
    for answer in answers:
        assert answer.status_code in (200, 201)
        assert "password" not in answer.text.lower()
        assert secret not in answer.text
    for refusal in (post_user(client, name, password=secret), post_user(client, "", password=secret)):
        assert refusal.status_code in (400, 409)
        assert secret not in refusal.text


@pytest.mark.req("S-4.1.1-04", "S-4.1.2-01", "S-4.1.2-02", "S-4.1.2-03")
def test_free_text_is_kept_as_it_was_sent(client: Client, name: str) -> None:
    """Addresses, telephone numbers, messengers and URLs are not rewritten and not refused."""
    sent = {
        "emails": [{"value": "Ada@TERN.Example", "type": "work"}],
        "phoneNumbers": [{"value": "555 0123", "type": "work"}, {"value": "tel:+1-201-555-0123", "type": "home"}],
        "ims": [{"value": "Bob@Jabber.Example", "type": "xmpp"}],
        "profileUrl": "tern/ada",
    }
    shown = taken(client.get(f"/Users/{client.user(name, **sent)['id']}"))
    assert {k: sorted(shown[k], key=str) if isinstance(shown[k], list) else shown[k] for k in sent} == {
        k: sorted(v, key=str) if isinstance(v, list) else v for k, v in sent.items()
    }


@pytest.mark.req("S-4.1.2-04")
def test_photos_are_references_of_two_kinds(client: Client, name: str) -> None:
    """A photo is the URI of an image, of type photo or thumbnail; it comes back and is published as external."""
    photos = [{"value": f"https://tern.example/{t}.jpg", "type": t} for t in ("photo", "thumbnail")]
    user = client.user(name, photos=photos)
    assert sorted(taken(client.get(f"/Users/{user['id']}"))["photos"], key=lambda p: str(p["type"])) == photos
    subs = {s["name"]: s for s in published(client, USER)["photos"]["subAttributes"]}
    assert subs["value"]["referenceTypes"] == ["external"]
    assert subs["type"]["canonicalValues"] == ["photo", "thumbnail"]


@pytest.mark.req("S-4.1.2-05", "S-4.1.2-06")
@pytest.mark.parametrize("address", [{"country": "NO"}, {"country": "USA"}, {"formatted": "1 Quay\nBergen\r\nNO"}])
def test_every_part_of_an_address_is_optional(address: dict[str, str], client: Client, name: str) -> None:
    """An address of one part is kept, line breaks included; a country is kept as the client's directory has it."""
    user = client.user(name, addresses=[{**address, "type": "work"}])
    assert taken(client.get(f"/Users/{user['id']}"))["addresses"] == [{**address, "type": "work"}]


@pytest.mark.req("S-4.1.2-07", "S-7-09", "P-3.3-01")
def test_groups_of_a_user_are_read_only(client: Client, name: str) -> None:
    """groups in a POST or PUT is ignored, and a PATCH of it is refused."""
    first, second = client.group(f"1-{name}"), client.group(f"2-{name}")
    user = client.user(name, groups=[{"value": first["id"]}])
    assert "groups" not in user
    body = {"schemas": [USER], "userName": name, "groups": [{"value": second["id"]}]}
    assert "groups" not in taken(client.put(f"/Users/{user['id']}", json=body))
    for op in ("add", "replace"):
        change = {"op": op, "path": "groups", "value": [{"value": first["id"]}]}
        refused(client.change(f"/Users/{user['id']}", change), 400, "mutability")
    assert "members" not in taken(client.get(f"/Groups/{first['id']}"))


@pytest.mark.req("S-4.1.2-08", "S-4.1.2-09")
def test_a_user_shows_its_groups(client: Client, name: str) -> None:
    """Each of groups has the id, URI and name of the group, and says that the membership is direct."""
    user = client.user(name)
    group = client.group(f"g-{name}", user["id"])
    shown = taken(client.get(f"/Users/{user['id']}"))["groups"]
    reference = f"{client.base}/Groups/{group['id']}"
    assert shown == [{"value": group["id"], "$ref": reference, "display": f"g-{name}", "type": "direct"}]
    assert client.delete(f"/Groups/{group['id']}").status_code == 204
    assert "groups" not in taken(client.get(f"/Users/{user['id']}"))


@pytest.mark.req("S-4.1.2-10")
def test_a_certificate_is_kept_as_sent(client: Client, name: str) -> None:
    """A base64 value comes back; that it is one certificate in DER is for the client to see to."""
    certificate = "MIIBCgKCAQEA" + "a" * 400
    user = client.user(name, x509Certificates=[{"value": certificate}])
    assert taken(client.get(f"/Users/{user['id']}"))["x509Certificates"] == [{"value": certificate}]
    refused(post_user(client, f"x-{name}", x509Certificates=[{"value": "-----BEGIN"}]), 400, "invalidValue")


@pytest.mark.req("S-4.1.2-11", "S-2.3.1-02", "S-7-06")
@pytest.mark.parametrize("attribute", ["roles", "entitlements", "emails"])
def test_types_are_free(attribute: str, client: Client, name: str) -> None:
    """Roles and entitlements publish no canonical types, and those of e-mail addresses are suggestions."""
    user = client.user(name, **{attribute: [{"value": "x@tern.example", "type": "Some Type"}]})
    shown = taken(client.get(f"/Users/{user['id']}"))[attribute]
    assert shown == [{"value": "x@tern.example", "type": "Some Type"}]
    subs = {s["name"]: s for s in published(client, USER)[attribute]["subAttributes"]}
    assert ("canonicalValues" in subs["type"]) == (attribute == "emails")


@pytest.mark.req("S-4.2-01")
def test_a_group_needs_a_display_name(client: Client, name: str) -> None:
    """A Group without displayName is refused on create and replace, and the schema says that it is required."""
    refused(client.create("/Groups", {"schemas": [GROUP]}), 400, "invalidValue")
    refused(client.create("/Groups", {"schemas": [GROUP], "displayName": ""}), 400, "invalidValue")
    group = client.group(name)
    refused(client.put(f"/Groups/{group['id']}", json={"schemas": [GROUP]}), 400, "invalidValue")
    assert published(client, GROUP)["displayName"]["required"] is True


@pytest.mark.req("S-4.2-02")
def test_members_come_and_go_but_do_not_change(client: Client, name: str) -> None:
    """Members are added and removed; a sub-attribute of one that is there is immutable."""
    first, second = client.user(f"1-{name}")["id"], client.user(f"2-{name}")["id"]
    path = f"/Groups/{client.group(name, first)['id']}"
    assert client.change(path, {"op": "add", "path": "members", "value": [{"value": second}]}).status_code == 204
    assert client.change(path, {"op": "remove", "path": f'members[value eq "{first}"]'}).status_code == 204
    for sub, value in (("value", first), ("$ref", f"{client.base}/Users/{first}"), ("type", "Group")):
        change = {"op": "replace", "path": f'members[value eq "{second}"].{sub}', "value": value}
        refused(client.change(path, change), 400, "mutability")
    assert [m["value"] for m in taken(client.get(path))["members"]] == [second]


@pytest.mark.req("S-4.2-03", "S-4.2-04")
def test_a_member_is_named_by_its_value_alone(client: Client, name: str) -> None:
    """`$ref`, type and display follow from the id, whatever the client said of them."""
    user = client.user(name, displayName="Ada Moss")
    member = {"value": user["id"], "$ref": "https://other.example/x", "display": "Someone else", "type": "User"}
    reference = f"{client.base}/Users/{user['id']}"
    for number, sent in enumerate(({"value": user["id"]}, member)):
        document = {"schemas": [GROUP], "displayName": f"{number}-{name}", "members": [sent]}
        created = taken(client.create("/Groups", document), 201)
        shown = taken(client.get(f"/Groups/{created['id']}"))["members"]
        assert created["members"] == shown
        assert shown == [{"value": user["id"], "$ref": reference, "type": "User", "display": "Ada Moss"}]
        assert taken(client.get(shown[0]["$ref"]))["id"] == user["id"]


@pytest.mark.req("S-4.2-05", "S-2.3.7-04")
def test_members_are_users_that_exist(client: Client, name: str) -> None:
    """A group or an unknown id as a member is refused with its id, and the group is not created."""
    known, group = client.user(name)["id"], client.group(f"inner-{name}")["id"]

    def not_taken(member: object) -> str:
        document = {"schemas": [GROUP], "displayName": name, "members": [{"value": known}, member]}
        return refused(client.create("/Groups", document), 400, "invalidValue")

    assert UNKNOWN in not_taken({"value": UNKNOWN})
    assert group in not_taken({"value": group})
    for member in ({"value": group, "type": "Group"}, {"type": "User"}, {"value": 7}, 7, [known]):
        assert known not in not_taken(member)
    assert client.found("/Groups", f'displayName eq "{name}"') == set()


@pytest.mark.req("S-4.2-07")
def test_group_names_are_unique_as_published(client: Client, name: str) -> None:
    """displayName of a Group is published as unique on the server, and it is, without regard to case."""
    assert published(client, GROUP)["displayName"]["uniqueness"] == "server"
    client.group(name)
    other = client.group(f"x-{name}")
    document: dict[str, Any] = {"schemas": [GROUP], "displayName": name.upper()}
    refused(client.create("/Groups", document), 409, "uniqueness")
    refused(client.put(f"/Groups/{other['id']}", json=document), 409, "uniqueness")


@pytest.mark.req("S-4.2-08")
def test_a_deleted_user_leaves_its_groups(client: Client, name: str) -> None:
    """No group shows or is found by a member that has been deleted."""
    gone, stays = client.user(f"1-{name}")["id"], client.user(f"2-{name}")["id"]
    group = client.group(name, gone, stays)
    assert client.delete(f"/Users/{gone}").status_code == 204
    assert [m["value"] for m in taken(client.get(f"/Groups/{group['id']}"))["members"]] == [stays]
    assert client.found("/Groups", f'members.value eq "{gone}"') == set()


@pytest.mark.req("S-4.3-01")
def test_the_enterprise_attributes_come_back(client: Client, name: str) -> None:
    """All six attributes of the enterprise extension are kept under its URI."""
    boss = client.user(f"boss-{name}")
    plain = {
        "employeeNumber": "0042",
        "costCenter": "CC-7",
        "organization": "Tern Ferries",
        "division": "North",
        "department": "Decks",
    }
    user = client.user(name, **{ENTERPRISE: {**plain, "manager": {"value": boss["id"]}}})
    shown = taken(client.get(f"/Users/{user['id']}"))[ENTERPRISE]
    manager = {"value": boss["id"], "$ref": f"{client.base}/Users/{boss['id']}"}
    assert shown == {**plain, "manager": manager}
    assert user[ENTERPRISE] == shown
    for key, value in plain.items():
        assert client.found("/Users", f'{ENTERPRISE}:{key} eq "{value}" and userName eq "{name}"') == {user["id"]}


@pytest.mark.req("S-4.3-02", "S-4.3-03", "S-7-09")
def test_the_manager_s_name_is_derived(client: Client, name: str) -> None:
    """manager.displayName in a POST or PUT is ignored; the answer has the manager's own, also after a change of it."""
    boss = client.user(f"boss-{name}", displayName="Ada Moss")
    manager = {"value": boss["id"], "displayName": "X"}
    user = client.user(name, **{ENTERPRISE: {"manager": manager}})
    path = f"/Users/{user['id']}"
    expected = {"value": boss["id"], "$ref": f"{client.base}/Users/{boss['id']}", "displayName": "Ada Moss"}
    assert user[ENTERPRISE]["manager"] == expected
    body = {"schemas": [USER], "userName": name, ENTERPRISE: {"manager": manager}}
    assert taken(client.put(path, json=body))[ENTERPRISE]["manager"] == expected
    taken(client.change(f"/Users/{boss['id']}", {"op": "replace", "path": "displayName", "value": "Ada Fell"}))
    assert taken(client.get(path))[ENTERPRISE]["manager"] == {**expected, "displayName": "Ada Fell"}


@pytest.mark.req("S-4.3-03")
def test_a_manager_that_does_not_exist_is_kept(client: Client, name: str) -> None:
    """The id is stored and returned without `$ref`; that of a manager who is deleted later is cleared."""
    user = client.user(name, **{ENTERPRISE: {"manager": {"value": UNKNOWN}}})
    assert taken(client.get(f"/Users/{user['id']}"))[ENTERPRISE]["manager"] == {"value": UNKNOWN}
    boss = client.user(f"boss-{name}")
    body = {"schemas": [USER], "userName": name, ENTERPRISE: {"manager": {"value": boss["id"]}, "division": "N"}}
    taken(client.put(f"/Users/{user['id']}", json=body))
    assert client.delete(f"/Users/{boss['id']}").status_code == 204
    assert taken(client.get(f"/Users/{user['id']}"))[ENTERPRISE] == {"division": "N"}


@pytest.mark.req("S-4.3-04")
def test_a_manager_is_found_by_the_exact_id(client: Client, name: str) -> None:
    """manager.value is case exact and published as a reference to a User."""
    user = client.user(name, **{ENTERPRISE: {"manager": {"value": f"AbC-{name}"}}})
    assert client.found("/Users", f'{ENTERPRISE}:manager.value eq "AbC-{name}"') == {user["id"]}
    assert client.found("/Users", f'{ENTERPRISE}:manager.value eq "abc-{name}"') == set()
    subs = {s["name"]: s for s in published(client, ENTERPRISE)["manager"]["subAttributes"]}
    assert subs["value"]["caseExact"] is True
    assert subs["$ref"]["referenceTypes"] == ["User"]
