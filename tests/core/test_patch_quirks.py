"""One test per leniency: the client's shape goes in, the RFC's shape comes out, and other shapes pass unchanged."""

from __future__ import annotations

from typing import Any

import pytest

from app.scim.errors import InvalidValue
from app.scim.filter.bind import bind_element
from app.scim.filter.nodes import AttrPath, Op, ParsedCompare
from app.scim.patch import quirks
from app.scim.patch.operations import Aimed, Operation, Target
from app.scim.registry import ResourceType
from tests.core.patch_helpers import ENTERPRISE, GROUP, USER

WORK = ParsedCompare(AttrPath("", "type"), Op.EQ, "work")


def aimed(resource_type: ResourceType, name: str, op: str, value: Any, *, filtered: bool = False) -> Aimed:
    attribute = resource_type.find(AttrPath("", name))
    assert attribute is not None
    match = bind_element(WORK, attribute) if filtered else None
    return Aimed(Operation(op, name, value, True), Target(attribute, None, WORK if filtered else None, match))


def attribute(name: str) -> Any:
    found = USER.find(AttrPath("", name))
    assert found is not None
    return found


def test_op_with_capital() -> None:
    assert quirks.op_with_capital(Operation("Replace", "title"), USER) == (Operation("replace", "title", upsert=True),)
    assert quirks.op_with_capital(Operation("replace", "title"), USER) == (Operation("replace", "title"),)


def test_remove_by_value_object() -> None:
    sent = Operation("remove", None, {"members": [{"value": "a"}]}, True)
    assert quirks.remove_by_value_object(sent, GROUP) == (
        Operation("remove", "members", [{"value": "a"}], True, from_key=True),
    )
    for other in (Operation("remove"), Operation("remove", "members", {"value": "a"}, True)):
        assert quirks.remove_by_value_object(other, GROUP) == (other,)


def test_keys_as_paths() -> None:
    sent = Operation("replace", None, {"name.givenName": "Mira", f"{ENTERPRISE}:department": "Retail"}, True)
    assert quirks.keys_as_paths(sent, USER) == (
        Operation("replace", "name.givenName", "Mira", True, from_key=True),
        Operation("replace", f"{ENTERPRISE}:department", "Retail", True, from_key=True),
    )
    for other in (Operation("replace", "name", {"givenName": "M"}, True), Operation("add", None, "x", True)):
        assert quirks.keys_as_paths(other, USER) == (other,)


def test_schema_uri_as_path() -> None:
    sent = Operation("replace", ENTERPRISE.lower(), {"department": "Retail"}, True)
    assert quirks.schema_uri_as_path(sent, USER) == (
        Operation("replace", f"{ENTERPRISE}:department", "Retail", True, from_key=True),
    )
    removed = quirks.schema_uri_as_path(Operation("remove", ENTERPRISE), USER)
    assert {o.path for o in removed} >= {f"{ENTERPRISE}:department", f"{ENTERPRISE}:manager"}
    assert {o.op for o in removed} == {"remove"}
    with pytest.raises(InvalidValue):
        quirks.schema_uri_as_path(Operation("replace", ENTERPRISE, "Retail", True), USER)
    for other in (Operation("replace", "title", {"a": 1}, True), Operation("add", ENTERPRISE)):
        assert quirks.schema_uri_as_path(other, USER) == (other,)


def test_replace_means_upsert() -> None:
    sent = aimed(USER, "emails", "replace", "x")
    assert quirks.replace_means_upsert(sent, USER, "entra").operation.upsert
    assert quirks.replace_means_upsert(sent, USER, "rfc") == sent


def test_replace_of_one_member() -> None:
    for value in ([{"value": "a"}], {"value": "a"}, "a"):
        sent = aimed(GROUP, "members", "replace", value)
        made = quirks.replace_of_one_member(sent, GROUP, "entra")
        assert made.op == "add"
        assert made.note
        assert quirks.replace_of_one_member(sent, GROUP, "rfc") == sent
    for resource_type, name, other in ((GROUP, "members", ["a", "b"]), (GROUP, "members", []), (USER, "emails", ["a"])):
        kept = aimed(resource_type, name, "replace", other)
        assert quirks.replace_of_one_member(kept, resource_type, "entra") == kept


def test_text_for_selected_value() -> None:
    made = quirks.text_for_selected_value(
        aimed(USER, "emails", "replace", "a@tern.example", filtered=True), USER, "rfc"
    )
    assert made.target.sub is attribute("emails").sub("value")
    for kept in (
        aimed(USER, "emails", "replace", "a@tern.example"),
        aimed(USER, "emails", "replace", {"value": "a@tern.example"}, filtered=True),
        aimed(USER, "emails", "replace", "", filtered=True),
        aimed(USER, "addresses", "replace", "Bergen", filtered=True),
        aimed(GROUP, "members", "replace", "a", filtered=True),
    ):
        assert (
            quirks.text_for_selected_value(kept, USER if kept.target.attribute.name != "members" else GROUP, "rfc")
            == kept
        )


def test_array_for_scalar() -> None:
    assert quirks.array_for_scalar(attribute("title"), [{"$ref": None, "value": "Pilot"}]) == "Pilot"
    for kept in ("Pilot", ["Pilot"], [{"x": 1}], [{"value": "a"}, {"value": "b"}], {"value": "a"}):
        assert quirks.array_for_scalar(attribute("title"), kept) == kept
    assert quirks.array_for_scalar(attribute("emails"), [{"value": "a"}]) == [{"value": "a"}]


def test_blank_is_null() -> None:
    assert quirks.blank_is_null(attribute("title"), "") is None
    assert quirks.blank_is_null(attribute("title"), " ") == " "
    assert quirks.blank_is_null(attribute("active"), False) is False


def test_role_in_json() -> None:
    sent = {"value": '{"id":"5f","value":"Pilot","displayName":"Harbour pilot","type":"app"}', "primary": True}
    made = {"value": "Pilot", "display": "Harbour pilot", "type": "app", "primary": True}
    assert quirks.role_in_json(attribute("roles"), sent) == made
    for text in ("Pilot", "{broken", '{"a":1}', "{" * 100_000, '{"value":' + "[" * 100_000):
        assert quirks.role_in_json(attribute("roles"), {"value": text}) == {"value": text}
    assert quirks.role_in_json(attribute("emails"), sent) == sent


def test_every_quirk_is_in_a_pipeline_and_says_what_it_is_for() -> None:
    listed = (*quirks.OPERATION_QUIRKS, *quirks.AIMED_QUIRKS, *quirks.VALUE_QUIRKS)
    assert len(set(listed)) == len(listed)
    assert all(quirk.__doc__ for quirk in listed)
    assert {quirk.__name__ for quirk in listed} >= {
        name.removeprefix("test_") for name in globals() if name.startswith("test_") and hasattr(quirks, name[5:])
    }
