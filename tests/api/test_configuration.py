"""ServiceProviderConfig, ResourceTypes and Schemas over HTTP (RFC 7643 sections 5 to 7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from config.settings import LimitsSettings
from tests.api.answers import post_user, taken
from tests.api.expect import refused
from tests.api.opening import own_service
from tests.api.schemas import TRAITS, api_registry
from tests.support.service import PATCH_OP, SCIM_JSON, USER, Client, Service

CONFIG = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
COMMON = ("schemas", "id", "meta")

_NAMED = {"name", "type", "multiValued", "description", "required", "mutability", "returned"}
_TYPES = {"string", "boolean", "decimal", "integer", "dateTime", "binary", "reference"}
_CHARACTERISTICS = {
    "string": {"caseExact", "uniqueness"},
    "reference": {"caseExact", "uniqueness", "referenceTypes"},
    "binary": {"caseExact"},
    "integer": {"uniqueness"},
    "decimal": {"uniqueness"},
    "boolean": set(),
    "dateTime": set(),
    "complex": {"subAttributes"},
}


@pytest.fixture(scope="module")
def limited(
    store_name: str, new_database: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    """A client of a service with small limits."""
    limits = LimitsSettings(page_size=2, max_results=3, max_body_bytes=4096)
    with own_service(store_name, api_registry(), new_database, tmp_path_factory.mktemp("home"), limits) as service:
        client = service.client()
        for number in range(5):
            client.user(f"user{number}@tern.example")
        yield client


def _listed(client: Client, path: str) -> list[dict[str, Any]]:
    document = taken(client.get(path))
    assert document["totalResults"] == document["itemsPerPage"] == len(document["Resources"])
    resources: list[dict[str, Any]] = document["Resources"]
    return resources


def _attributes(document: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], bool]]:
    """Each attribute of a Schema resource, and whether it is a sub-attribute."""
    for attribute in document["attributes"]:
        yield attribute, False
        for sub in attribute.get("subAttributes", ()):
            yield sub, True


@pytest.mark.req("S-5-01", "P-3.2-02")
@pytest.mark.parametrize(
    "path", ["/ServiceProviderConfig", "/ResourceTypes", "/ResourceTypes/User", "/Schemas", f"/Schemas/{USER}"]
)
def test_configuration_is_read_only(path: str, client: Client) -> None:
    """Discovery can be read, and every other method is refused with the methods that are allowed."""
    before = taken(client.get(path))
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        response = client.request(method, path, json={"schemas": [CONFIG]})
        refused(response, 405)
        assert "GET" in response.headers["Allow"]
        assert method not in response.headers["Allow"]
    assert taken(client.get(path)) == before


@pytest.mark.req("S-5-02", "S-5-04")
def test_the_configuration_is_complete(client: Client) -> None:
    """Every feature is there with the right JSON type, and the authentication schemes are known ones."""
    document = taken(client.get("/ServiceProviderConfig"))
    assert document["schemas"] == [CONFIG]
    for feature in ("patch", "bulk", "filter", "changePassword", "sort", "etag"):
        assert type(document[feature]["supported"]) is bool, feature
    for feature, member in (("bulk", "maxOperations"), ("bulk", "maxPayloadSize"), ("filter", "maxResults")):
        assert type(document[feature][member]) is int
    assert document["authenticationSchemes"]
    for scheme in document["authenticationSchemes"]:
        assert scheme["type"] in {"oauth", "oauth2", "oauthbearertoken", "httpbasic", "httpdigest"}
        assert scheme["name"]
        assert scheme["description"]


@pytest.mark.req("S-5-03")
def test_what_is_said_to_be_supported_works(client: Client, name: str) -> None:
    """patch, filter, sort, etag and changePassword work where they are announced; bulk is refused where it is not."""
    document = taken(client.get("/ServiceProviderConfig"))
    first, second = client.user(f"2-{name}"), client.user(f"1-{name}")
    path = f"/Users/{first['id']}"
    assert document["filter"]["supported"]
    assert client.found("/Users", f'userName eq "2-{name}"') == {first["id"]}
    assert document["sort"]["supported"]
    found = client.search("/Users", f'userName ew "-{name}"', sortBy="userName")
    assert [r["id"] for r in taken(found)["Resources"]] == [second["id"], first["id"]]
    assert document["etag"]["supported"]
    tag = client.get(path).headers["ETag"]
    assert client.get(path, headers={"If-None-Match": tag}).status_code == 304
    assert document["patch"]["supported"]
    assert document["changePassword"]["supported"]
    taken(client.change(path, {"op": "replace", "path": "password", "value": "Correct-Horse-42"}))
    assert client.get(path).headers["ETag"] != tag
    assert document["bulk"]["supported"] is False
    refused(client.post("/Bulk", json={"schemas": [PATCH_OP]}), 501)


@pytest.mark.req("S-5-06")
def test_discovery_needs_no_token(service: Service) -> None:
    """A client without credentials learns how to authenticate."""
    with service.anonymous as anonymous:
        for path in ("/ServiceProviderConfig", "/ResourceTypes", "/ResourceTypes/User", "/Schemas", f"/Schemas/{USER}"):
            assert anonymous.get(path).status_code == 200


@pytest.mark.req("S-5-07", "P-3.4.2.4-04")
def test_published_limits_are_enforced(limited: Client) -> None:
    """No answer has more than maxResults resources, and no request more than maxPayloadSize octets."""
    document = taken(limited.get("/ServiceProviderConfig"))
    assert document["filter"]["maxResults"] == 3
    for endpoint in ("/Users", "/"):
        page = taken(limited.get(endpoint, params={"count": "4"}))
        assert (page["totalResults"], page["itemsPerPage"], len(page["Resources"])) == (5, 3, 3)
    size = document["bulk"]["maxPayloadSize"]
    body = f'{{"schemas":["{USER}"],"userName":"fits@tern.example","title":""}}'
    fits = body.replace('"title":""', f'"title":"{"x" * (size - len(body))}"')
    assert len(fits) == size
    taken(limited.post("/Users", content=fits, headers={"Content-Type": SCIM_JSON}), 201)
    too_large = limited.post("/Users", content=fits + " ", headers={"Content-Type": SCIM_JSON})
    refused(too_large, 413)


@pytest.mark.req("S-5-08", "S-7-19")
@pytest.mark.parametrize("path", ["/ServiceProviderConfig", "/ResourceTypes/User", f"/Schemas/{USER}"])
def test_configuration_schemas_describe_what_is_returned(path: str, client: Client) -> None:
    """Every member of a configuration resource is published in its schema, with its type."""
    document = taken(client.get(path))
    schema = taken(client.get(f"/Schemas/{document['schemas'][0]}"))
    _assert_described(document, schema["attributes"])


def _assert_described(value: Mapping[str, Any], attributes: list[dict[str, Any]], nested: bool = False) -> None:
    types = {"string": str, "reference": str, "boolean": bool, "integer": int, "complex": dict}
    by_name = {a["name"]: a for a in attributes}
    for member, inner in value.items():
        # Sub-attributes are never complex, so a schema can't describe the sub-attributes that it lists itself.
        if (member == "subAttributes") if nested else (member in COMMON):
            continue
        attribute = by_name[member]
        elements = inner if attribute["multiValued"] else [inner]
        for element in elements:
            assert type(element) is types[attribute["type"]], member
            if isinstance(element, dict):
                _assert_described(element, attribute["subAttributes"], nested=True)


@pytest.mark.req("S-6-01", "S-6-02", "S-6-04", "S-6-06")
def test_resource_types_lead_to_what_they_name(client: Client) -> None:
    """Each type has its members, its schemas are published, its endpoint answers and its location is itself."""
    types = _listed(client, "/ResourceTypes")
    assert [t["name"] for t in types] == ["User", "Group"]
    for document in types:
        assert document["schemas"] == ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"]
        urns = [document["schema"], *(e["schema"] for e in document.get("schemaExtensions", ()))]
        for urn in urns:
            assert taken(client.get(f"/Schemas/{urn}"))["id"] == urn
        assert all(type(e["required"]) is bool for e in document.get("schemaExtensions", ()))
        assert document["endpoint"].startswith("/")
        found = taken(client.get(client.base + document["endpoint"], params={"count": "1"}))
        assert all(r["meta"]["resourceType"] == document["name"] for r in found["Resources"])
        assert document["meta"]["resourceType"] == "ResourceType"
        assert document["meta"]["location"] == f"{client.base}/ResourceTypes/{document['name']}"
        assert taken(client.get(document["meta"]["location"])) == document


@pytest.mark.req("S-6-05")
def test_a_resource_type_is_known_by_its_exact_name(client: Client) -> None:
    """The name in another case, and a type that does not exist, are not found."""
    for unknown in ("user", "USER", "Device"):
        refused(client.get(f"/ResourceTypes/{unknown}"), 404)


@pytest.mark.req("S-7-01", "S-7-02", "S-7-19")
def test_every_schema_in_use_is_published(client: Client, name: str) -> None:
    """Each URI in the schemas of any resource leads to a Schema resource with schemas, id and meta."""
    attributes = {e["schema"]: {"plain": "x"} for e in taken(client.get("/ResourceTypes/User"))["schemaExtensions"]}
    user = client.user(
        name, **{**attributes, "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"division": "N"}}
    )
    documents = [user, client.group(f"g-{name}"), taken(client.get("/ServiceProviderConfig"))]
    documents += _listed(client, "/ResourceTypes") + _listed(client, "/Schemas")
    used = {urn for document in documents for urn in document["schemas"]}
    assert TRAITS in used
    for urn in used:
        schema = taken(client.get(f"/Schemas/{urn}"))
        assert schema["schemas"] == ["urn:ietf:params:scim:schemas:core:2.0:Schema"]
        assert schema["id"] == urn
        assert schema["meta"] == {"resourceType": "Schema", "location": f"{client.base}/Schemas/{urn}"}
        assert taken(client.get(schema["meta"]["location"])) == schema
    assert used <= {s["id"] for s in _listed(client, "/Schemas")}


@pytest.mark.req("S-7-03", "S-7-04", "S-7-05", "S-7-18")
def test_published_attributes_have_their_characteristics(client: Client) -> None:
    """Each attribute names what holds for its type and nothing that does not; sub-attributes are never complex."""
    types = {t["name"] for t in _listed(client, "/ResourceTypes")}
    for document in _listed(client, "/Schemas"):
        for attribute, nested in _attributes(document):
            where = f"{document['id']}:{attribute['name']}"
            assert attribute["type"] in (_TYPES if nested else {*_TYPES, "complex"}), where
            optional = {"canonicalValues"} if attribute["type"] == "string" else set()
            assert attribute.keys() - optional == _NAMED | _CHARACTERISTICS[attribute["type"]], where
            assert type(attribute["multiValued"]) is type(attribute["required"]) is bool
            assert attribute["mutability"] in {"readOnly", "readWrite", "immutable", "writeOnly"}
            assert attribute["returned"] in {"always", "never", "default", "request"}
            assert attribute.get("uniqueness", "none") in {"none", "server", "global"}
            if attribute["type"] == "reference":
                assert isinstance(attribute["referenceTypes"], list)
                assert set(attribute["referenceTypes"]) <= {*types, "external", "uri"}, where
            assert attribute["type"] != "complex" or attribute["subAttributes"], where


@pytest.mark.req("S-7-10", "S-7-15", "S-7-12", "S-7-09")
def test_characteristics_are_published_as_they_are_enforced(client: Client) -> None:
    """The extension whose attributes are immutable, returned on request and read-only says so."""
    by_name = {a["name"]: a for a in taken(client.get(f"/Schemas/{TRAITS}"))["attributes"]}
    assert by_name["birthPlace"]["mutability"] == "immutable"
    assert by_name["computed"]["mutability"] == "readOnly"
    assert by_name["clearance"]["returned"] == "request"
    assert by_name["realm"]["returned"] == "always"


@pytest.mark.req("S-7-08")
def test_filters_and_uniqueness_follow_case_exact(client: Client, name: str) -> None:
    """userName is found and taken in any case, externalId only in its own."""
    user = client.user(name, externalId=f"Ext-{name}")
    assert client.found("/Users", f'userName eq "{name.upper()}"') == {user["id"]}
    assert client.found("/Users", f'externalId eq "Ext-{name}"') == {user["id"]}
    assert client.found("/Users", f'externalId eq "ext-{name}"') == set()
    refused(post_user(client, name.upper()), 409, "uniqueness")


@pytest.mark.req("P-3.1-02")
def test_messages_are_no_schemas(client: Client) -> None:
    """No message URN is listed or found under Schemas."""
    assert not [s["id"] for s in _listed(client, "/Schemas") if "api:messages" in s["id"]]
    refused(client.get(f"/Schemas/{PATCH_OP}"), 404)
