"""add, remove and replace over HTTP (RFC 7644 sections 3.5.2.1 to 3.5.2.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.api.expect import new_user, refused, unchanged
from tests.api.patching import HOME, WORK, changed, op
from tests.api.schemas import TRAITS
from tests.support.service import Client

# --- add ---


@pytest.mark.req("P-3.5.2.1-01", "P-3.5.2.3-08")
@pytest.mark.parametrize("operation", [op("add", "title"), op("add"), op("replace", "title"), op("replace")])
def test_add_and_replace_need_a_value(client: Client, name: str, operation: Mapping[str, Any]) -> None:
    target = new_user(client, name, title="Mate")
    with unchanged(client, target):
        refused(client.change(target, operation), 400, "invalidValue")


@pytest.mark.req("P-3.5.2.1-02", "P-3.5.2.1-05")
def test_add_without_path_adds_every_member(client: Client, name: str) -> None:
    target = new_user(client, name, nickName="Mi", emails=[WORK])
    after = changed(client, target, op("add", None, {"emails": [HOME], "title": "Pilot", "nickName": "Mira"}))
    assert after["emails"] == [WORK, HOME]
    assert (after["title"], after["nickName"]) == ("Pilot", "Mira")
    member = client.user(f"x{name}")["id"]
    path = f"/Groups/{client.group(name)['id']}"
    assert client.change(path, op("add", None, {"members": [{"value": member}]})).status_code == 204
    assert [m["value"] for m in client.get(path).json()["members"]] == [member]


@pytest.mark.req("P-3.5.2.1-03", "P-3.5.2.1-06", "P-3.5.2.1-07")
def test_add_of_a_single_value(client: Client, name: str) -> None:
    target = new_user(client, name)
    after = changed(client, target, op("add", "title", "Mate"), op("add", "name.givenName", "Mira"))
    assert (after["title"], after["name"]) == ("Mate", {"givenName": "Mira"})
    after = changed(client, target, op("add", "title", "Pilot"))
    assert after["title"] == "Pilot"
    with unchanged(client, target):
        changed(client, target, op("add", "title", "Pilot"), op("add", "name.givenName", "Mira"))


@pytest.mark.req("P-3.5.2.1-04", "P-3.5.2.3-04")
@pytest.mark.parametrize("verb", ["add", "replace"])
def test_sub_attributes_that_are_not_given_stay(client: Client, name: str, verb: str) -> None:
    target = new_user(client, name, name={"familyName": "Solberg", "givenName": "Mira", "middleName": "K"})
    expected = {"familyName": "Berg", "givenName": "Mira", "middleName": "K", "honorificPrefix": "Dr."}
    value = {"familyName": "Berg", "honorificPrefix": "Dr."}
    assert changed(client, target, op(verb, "name", value))["name"] == expected
    assert changed(client, target, op(verb, None, {"name": {"givenName": "Kari"}}))["name"]["givenName"] == "Kari"


@pytest.mark.req("P-3.5.2.1-05", "P-3.5.2.1-07")
def test_add_to_several_values_appends(client: Client, name: str) -> None:
    target = new_user(client, name, emails=[WORK])
    assert changed(client, target, op("add", "emails", [HOME]))["emails"] == [WORK, HOME]
    other = {"value": "o@tern.example", "type": "other"}
    assert changed(client, target, op("add", "emails", other))["emails"] == [WORK, HOME, other]
    with unchanged(client, target):
        changed(client, target, op("add", "emails", [HOME, other]))


@pytest.mark.req("P-3.5.2.1-08", "P-3.5.2.3-06")
@pytest.mark.parametrize("verb", ["add", "replace"])
def test_a_value_path_with_sub_attribute_sets_it_on_every_match(client: Client, name: str, verb: str) -> None:
    second = {"value": "mira2@tern.example", "type": "work"}
    target = new_user(client, name, emails=[WORK, second, HOME])
    after = changed(client, target, op(verb, 'emails[type eq "work"].display', "Office"))
    assert after["emails"] == [{**WORK, "display": "Office"}, {**second, "display": "Office"}, HOME]


@pytest.mark.req("P-3.5.2.1-09")
def test_add_through_a_value_path_without_match_creates_the_value(client: Client, name: str) -> None:
    target = new_user(client, name, emails=[HOME])
    after = changed(client, target, op("add", 'emails[type eq "work"].value', "new@tern.example"))
    assert after["emails"] == [HOME, {"type": "work", "value": "new@tern.example"}]
    with unchanged(client, target):
        refused(
            client.change(target, op("add", 'emails[type ne "work" and type ne "home"].value', "x")), 400, "noTarget"
        )


# --- remove ---


@pytest.mark.req("P-3.5.2.2-01", "P-3.12-19")
@pytest.mark.parametrize("operation", [op("remove"), op("remove", None, None), {"op": "remove", "path": None}])
def test_remove_needs_a_path(client: Client, name: str, operation: Mapping[str, Any]) -> None:
    target = new_user(client, name, title="Mate")
    with unchanged(client, target):
        refused(client.change(target, operation), 400, "noTarget")


@pytest.mark.req("P-3.5.2.2-02")
def test_remove_unassigns_a_single_value(client: Client, name: str) -> None:
    target = new_user(client, name, title="Mate", nickName="Mi", name={"familyName": "Berg", "givenName": "Mira"})
    after = changed(client, target, op("remove", "title"), op("remove", "name.givenName"))
    assert "title" not in after
    assert after["name"] == {"familyName": "Berg"}
    assert "name" not in changed(client, target, op("remove", "name"))
    assert client.found("/Users", f'id eq "{after["id"]}" and title pr') == set()
    assert client.found("/Users", f'id eq "{after["id"]}" and nickName pr') == {after["id"]}


@pytest.mark.req("P-3.5.2.2-03")
def test_remove_without_filter_takes_all_values(client: Client, name: str) -> None:
    assert "emails" not in changed(client, new_user(client, name, emails=[WORK, HOME]), op("remove", "emails"))
    path = f"/Groups/{client.group(name, client.user(f'x{name}')['id'])['id']}"
    assert client.change(path, op("remove", "members")).status_code == 204
    assert not client.get(path).json().get("members")


@pytest.mark.req("P-3.5.2.2-04")
def test_remove_with_filter_takes_the_matches(client: Client, name: str) -> None:
    second = {"value": "mira2@tern.example", "type": "work"}
    target = new_user(client, name, emails=[WORK, second, HOME])
    after = changed(
        client, target, op("remove", 'emails[type eq "work" and value ew "tern.example" and primary ne true]')
    )
    assert after["emails"] == [WORK, HOME]
    assert changed(client, target, op("remove", 'emails[type eq "work"]'))["emails"] == [HOME]
    assert "emails" not in changed(client, target, op("remove", 'emails[type eq "home"]'))
    first, other = client.user(f"x{name}")["id"], client.user(f"y{name}")["id"]
    path = f"/Groups/{client.group(name, first, other)['id']}"
    assert client.change(path, op("remove", f'members[value eq "{first}"]')).status_code == 204
    assert [m["value"] for m in client.get(path).json()["members"]] == [other]
    assert client.change(path, op("remove", f'members[value eq "{other}"]')).status_code == 204
    assert not client.get(path).json().get("members")


@pytest.mark.req("P-3.5.2.2-05")
def test_remove_with_filter_and_sub_attribute_takes_the_part_only(client: Client, name: str) -> None:
    target = new_user(client, name, emails=[{**WORK, "display": "Office"}, {**HOME, "display": "Home"}])
    after = changed(client, target, op("remove", 'emails[type eq "work"].display'))
    assert after["emails"] == [WORK, {**HOME, "display": "Home"}]


@pytest.mark.req("P-3.5.2.2-06", "P-3.12-16")
@pytest.mark.parametrize("path", ["userName", "id", "meta", "meta.created", "groups", "schemas", f"{TRAITS}:computed"])
def test_remove_of_a_required_or_read_only_attribute_of_a_user(client: Client, name: str, path: str) -> None:
    target = new_user(client, name)
    with unchanged(client, target):
        refused(client.change(target, op("remove", path)), 400, "mutability")


@pytest.mark.req("P-3.5.2.2-06", "P-3.12-16")
@pytest.mark.parametrize("path", ["displayName", "id", "meta.location"])
def test_remove_of_a_required_or_read_only_attribute_of_a_group(client: Client, name: str, path: str) -> None:
    target = f"/Groups/{client.group(name)['id']}"
    with unchanged(client, target):
        refused(client.change(target, op("remove", path)), 400, "mutability")


@pytest.mark.req("P-3.5.2.2-07")
def test_remove_of_what_is_not_there_changes_nothing(client: Client, name: str) -> None:
    target = new_user(client, name, emails=[WORK])
    stranger = client.user(f"x{name}")["id"]
    group = f"/Groups/{client.group(name)['id']}"
    with unchanged(client, target, group):
        for path in ("nickName", "name", "name.givenName", 'emails[type eq "home"]', 'emails[type eq "home"].value'):
            changed(client, target, op("remove", path))
        for gone in (stranger, "no-such-user"):
            assert client.change(group, op("remove", f'members[value eq "{gone}"]')).status_code == 204
            assert client.change(group, op("remove", "members", [{"value": gone}])).status_code == 204


# --- replace ---


@pytest.mark.req("P-3.5.2.3-01", "P-3.5.2.3-03")
def test_replace_without_path_replaces_what_it_names(client: Client, name: str) -> None:
    target = new_user(client, name, title="Mate", nickName="Mi", emails=[WORK, HOME])
    before = client.get(target).json()
    after = changed(client, target, op("replace", None, {"emails": [{"value": "o@tern.example"}], "nickName": "Mira"}))
    assert after["emails"] == [{"value": "o@tern.example"}]
    assert after["nickName"] == "Mira"
    rest = ("emails", "nickName", "meta")
    assert {k: v for k, v in after.items() if k not in rest} == {k: v for k, v in before.items() if k not in rest}


@pytest.mark.req("P-3.5.2.3-02")
def test_replace_of_a_single_value(client: Client, name: str) -> None:
    target = new_user(client, name, title="Mate")
    after = changed(client, target, op("replace", "title", "Pilot"), op("replace", "nickName", "Mi"))
    assert (after["title"], after["nickName"]) == ("Pilot", "Mi")


@pytest.mark.req("P-3.5.2.3-03")
def test_replace_of_several_values_replaces_the_list(client: Client, name: str) -> None:
    target = new_user(client, name, emails=[WORK, HOME])
    other = {"value": "o@tern.example", "type": "other"}
    assert changed(client, target, op("replace", "emails", [other]))["emails"] == [other]
    first, second, third = (client.user(f"{n}{name}")["id"] for n in "abc")
    path = f"/Groups/{client.group(name, first, second)['id']}"
    assert client.change(path, op("replace", "members", [{"value": second}, {"value": third}])).status_code == 204
    assert {m["value"] for m in client.get(path).json()["members"]} == {second, third}
    assert client.change(path, op("replace", "members", [{"value": first}])).status_code == 204
    assert [m["value"] for m in client.get(path).json()["members"]] == [first]
    assert client.change(path, op("replace", "members", [])).status_code == 204
    assert not client.get(path).json().get("members")


@pytest.mark.req("P-3.5.2.3-05")
def test_replace_of_a_selected_record_replaces_all_of_it(client: Client, name: str) -> None:
    second = {"value": "mira2@tern.example", "type": "work", "display": "Second"}
    new = {"value": "new@tern.example", "type": "other"}
    target = new_user(client, name, emails=[second, HOME])
    assert changed(client, target, op("replace", 'emails[type eq "work"]', new))["emails"] == [new, HOME]


@pytest.mark.req("P-3.5.2.3-05")
def test_replace_of_several_selected_records_leaves_one_of_equal_ones(client: Client, name: str) -> None:
    """Every match becomes the value; equal values would break RFC 7643 section 2.4, so that one of them stays."""
    second, new = {"value": "mira2@tern.example", "type": "work"}, {"value": "new@tern.example", "type": "other"}
    target = new_user(client, name, emails=[WORK, HOME, second])
    assert changed(client, target, op("replace", 'emails[type eq "work"]', new))["emails"] == [new, HOME]


@pytest.mark.req("P-3.5.2.3-07", "P-3.12-19")
@pytest.mark.parametrize(
    "path", ['emails[type eq "work"]', 'emails[type eq "work"].value', 'emails[type co "z"].value']
)
def test_replace_through_a_value_path_without_match_has_no_target(client: Client, name: str, path: str) -> None:
    target = new_user(client, name, emails=[HOME])
    value = {"value": "x@tern.example"} if path.endswith("]") else "x@tern.example"
    with unchanged(client, target):
        refused(client.change(target, op("replace", path, value)), 400, "noTarget")


@pytest.mark.req("P-3.5.2.3-08")
@pytest.mark.parametrize(
    ("path", "value", "left"),
    [
        ("title", None, None),
        ("title", "", None),
        ("name", None, None),
        ("emails", None, None),
        ("emails", [], None),
        ("name.givenName", None, {"familyName": "Berg"}),
    ],
)
def test_replace_with_null_unassigns(client: Client, name: str, path: str, value: Any, left: Any) -> None:
    target = new_user(client, name, title="Mate", name={"familyName": "Berg", "givenName": "Mira"}, emails=[WORK])
    assert changed(client, target, op("replace", path, value)).get(path.partition(".")[0]) == left
