"""Loading schemas and resource types (RFC 7643 sections 2 and 6), and finding attributes by their paths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from app.scim.attributes import Mutability, Returned, SchemaDefinitionError, Type, Uniqueness, parse_attribute
from app.scim.discovery import schema_document
from app.scim.filter.nodes import AttrPath
from app.scim.registry import ENTERPRISE_SCHEMA, ID, USER_SCHEMA, Registry, Schema, load

URN = "urn:example:params:scim:schemas:extension:test:2.0:User"


def extension(*attributes: Mapping[str, Any]) -> Registry:
    """The standard types with an extension of these attributes on User."""
    return load(({"id": URN, "name": "Test", "attributes": attributes},))


@pytest.mark.req("S-2.1-04")
@pytest.mark.parametrize("name", ["1abc", "", "-a", "_a", "$a", "$", "a b", "a.b", "a:b", "å", "a\n", "a[", "$REF"])
def test_names_outside_the_grammar_are_refused(name: str) -> None:
    """An attribute's name is a letter followed by letters, digits, `-`, `_` and `$`."""
    with pytest.raises(SchemaDefinitionError, match="attribute name"):
        extension({"name": name})
    with pytest.raises(SchemaDefinitionError, match="attribute name"):
        extension({"name": "outer", "type": "complex", "subAttributes": [{"name": name}]})


@pytest.mark.req("S-2.1-04")
@pytest.mark.parametrize("name", ["a", "A1", "a-b_c", "a$b", "a$"])
def test_names_within_the_grammar_are_found(name: str) -> None:
    """Every name that the grammar allows can be loaded and found, without regard to case."""
    user = extension({"name": name}).type("User")
    found = user.find(AttrPath(URN, name.upper()))
    assert found is not None
    assert found.path == f"{URN}:{name}"


@pytest.mark.req("S-2.1-04", "S-2.4-02")
def test_ref_is_the_one_name_that_starts_with_a_dollar() -> None:
    """`$ref` is a sub-attribute of complex attributes."""
    subs = [{"name": "value"}, {"name": "$ref", "type": "reference", "referenceTypes": ["external"]}]
    user = extension({"name": "link", "type": "complex", "subAttributes": subs}).type("User")
    assert user.find(AttrPath(URN, "link", "$ref")) is user.slots[f"{URN}:link.$ref"]


@pytest.mark.req("S-2.2-01")
def test_what_a_definition_leaves_out_has_its_default() -> None:
    """A definition of a name alone is an optional single string, readWrite, returned by default, not unique."""
    attribute = parse_attribute({"name": "plain"}, URN)
    assert (attribute.type, attribute.multi_valued, attribute.required) == (Type.STRING, False, False)
    assert (attribute.case_exact, attribute.canonical_values) == (False, ())
    assert (attribute.mutability, attribute.returned) == (Mutability.READ_WRITE, Returned.DEFAULT)
    assert attribute.uniqueness is Uniqueness.NONE


@pytest.mark.req("S-2.3-01")
@pytest.mark.parametrize("name", ["string", "boolean", "decimal", "integer", "dateTime", "binary", "reference"])
def test_the_simple_types(name: str) -> None:
    """Each simple data type may be used at the top and inside."""
    subs = [{"name": "inner", "type": name}]
    registry = extension({"name": "a", "type": name}, {"name": "b", "type": "complex", "subAttributes": subs})
    slots = registry.type("User").slots
    assert slots[f"{URN}:a"].type == slots[f"{URN}:b.inner"].type == name


@pytest.mark.req("S-2.3-01")
@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "date"},
        {"type": "String"},
        {"mutability": "readonly"},
        {"returned": "sometimes"},
        {"uniqueness": "unique"},
    ],
)
def test_other_keywords_are_refused(wrong: Mapping[str, str]) -> None:
    """A type or characteristic that the RFC does not name is refused with the attribute's name."""
    with pytest.raises(SchemaDefinitionError, match="badge"):
        extension({"name": "badge", **wrong})


@pytest.mark.req("S-2.3.8-02", "S-7-05")
def test_a_sub_attribute_is_never_complex() -> None:
    """A complex attribute inside a complex one is refused; a multi-valued simple one is not."""
    inner = {"name": "inner", "type": "complex", "subAttributes": [{"name": "value"}]}
    with pytest.raises(SchemaDefinitionError, match=r"outer\.inner"):
        extension({"name": "outer", "type": "complex", "subAttributes": [inner]})
    several = {"name": "inner", "multiValued": True}
    registry = extension({"name": "outer", "type": "complex", "subAttributes": [several]})
    assert registry.type("User").slots[f"{URN}:outer.inner"].multi_valued


@pytest.mark.req("S-2.4-02")
@pytest.mark.parametrize(
    ("name", "type"), [("primary", "string"), ("type", "boolean"), ("display", "integer"), ("$ref", "string")]
)
def test_default_sub_attributes_keep_their_meaning(name: str, type: str) -> None:
    """primary is a boolean, type and display are strings and `$ref` is a reference."""
    with pytest.raises(SchemaDefinitionError, match=r"section 2\.4"):
        extension(
            {"name": "x", "type": "complex", "multiValued": True, "subAttributes": [{"name": name, "type": type}]}
        )


@pytest.mark.req("S-2.3.6-02", "S-2.3.7-03")
@pytest.mark.parametrize("type", ["binary", "reference"])
def test_binary_and_references_are_case_exact(type: str) -> None:
    """Whatever a definition says of their case."""
    assert parse_attribute({"name": "x", "type": type, "caseExact": False}, URN).case_exact


@pytest.mark.req("S-3.3-04", "S-3.1-01")
@pytest.mark.parametrize("names", [("a", "A"), ("id",), ("Meta",), ("schemas",), ("externalid",)])
def test_no_name_is_defined_twice(names: tuple[str, ...]) -> None:
    """A schema neither repeats a name, in any case, nor defines a common attribute."""
    with pytest.raises(SchemaDefinitionError, match="twice"):
        extension(*({"name": name} for name in names))


@pytest.mark.req("S-6-05")
def test_names_and_endpoints_of_types_are_unique() -> None:
    """Two resource types with one name or one endpoint are refused; names that differ in case are two."""
    user, group = load().types
    with pytest.raises(SchemaDefinitionError, match="name"):
        Registry((user, replace(group, name="User")))
    with pytest.raises(SchemaDefinitionError, match="endpoint"):
        Registry((user, replace(group, endpoint="/Users")))
    registry = Registry((user, replace(group, name="user")))
    assert registry.type("user").endpoint == "/Groups"
    with pytest.raises(KeyError):
        registry.type("USER")


@pytest.mark.req("S-3.1-01", "P-3.4.2.2-10")
def test_paths_find_attributes() -> None:
    """A URN selects its schema, common attributes belong to the base schema, and names ignore case."""
    user = load().type("User")

    def find(urn: str, name: str, sub: str | None = None) -> str | None:
        found = user.find(AttrPath(urn, name, sub))
        return found.path if found else None

    assert find("", "USERNAME") == find(USER_SCHEMA.upper(), "username") == "userName"
    assert user.find(AttrPath(USER_SCHEMA, "id")) is user.find(AttrPath("", "ID")) is ID
    assert find(ENTERPRISE_SCHEMA, "manager", "VALUE") == f"{ENTERPRISE_SCHEMA}:manager.value"
    assert find("", "department") == f"{ENTERPRISE_SCHEMA}:department"
    assert find(USER_SCHEMA, "department") is None
    assert find(ENTERPRISE_SCHEMA, "id") is None
    assert find("", "name", "nothing") is None
    assert find("", "title", "value") is None
    assert find("urn:example:none", "userName") is None


def test_a_name_of_two_extensions_needs_its_urn() -> None:
    """Without a URN it is found in none of them, and a core attribute of that name is preferred."""
    other = {"id": f"{URN}x", "name": "Other", "attributes": [{"name": "shared"}, {"name": "own"}, {"name": "title"}]}
    registry = load(({"id": URN, "name": "Test", "attributes": [{"name": "shared"}]}, other))
    user = registry.type("User")
    assert user.find(AttrPath("", "shared")) is None
    for urn in (URN, f"{URN}x"):
        found = user.find(AttrPath(urn, "shared"))
        assert found is not None
        assert found.schema == urn
    found = user.find(AttrPath("", "own"))
    assert found is not None
    assert found.path == f"{URN}x:own"
    assert user.find(AttrPath("", "title")) is user.slots["title"]


@pytest.mark.req("S-7-03", "S-2.2-01")
def test_the_published_document_can_be_loaded_again() -> None:
    """What is published of a schema defines the same attributes."""
    for schema in load().types[0].schemas:
        document = schema_document(schema, "https://scim.example")
        again = Schema.parse(document, extension=schema.id != USER_SCHEMA)
        assert schema_document(again, "https://scim.example") == document
        assert [a.path for a in again.attributes] == [a.path for a in schema.attributes]
