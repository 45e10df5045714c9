"""Discovery endpoints (RFC 7644 section 4)."""

from __future__ import annotations

from urllib.parse import quote

import httpx
import pytest

from tests.api.expect import refused
from tests.api.schemas import TRAITS, VECTORS
from tests.support.service import ENTERPRISE, GROUP, USER, Client, Service

CONFIG = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
ENDPOINTS = ("/ServiceProviderConfig", "/ResourceTypes", "/ResourceTypes/User", "/Schemas", f"/Schemas/{USER}")


@pytest.mark.req("P-4-01")
def test_the_configuration_is_one_object(client: Client) -> None:
    response = client.get("/ServiceProviderConfig")
    document = response.json()
    assert response.status_code == 200
    assert document["schemas"] == [CONFIG]
    assert "totalResults" not in document
    assert "Resources" not in document
    assert document["meta"] == {
        "resourceType": "ServiceProviderConfig",
        "location": f"{client.base}/ServiceProviderConfig",
    }


def test_what_the_configuration_says_is_so(client: Client, name: str) -> None:
    document = client.get("/ServiceProviderConfig").json()
    supported = {feature for feature, value in document.items() if isinstance(value, dict) and value.get("supported")}
    assert supported == {"patch", "filter", "sort", "etag", "changePassword"}
    assert client.post("/Bulk", json={}).status_code == 501
    most = document["filter"]["maxResults"]
    assert client.get("/Users", params={"count": str(most + 1)}).json()["itemsPerPage"] <= most
    assert {scheme["type"] for scheme in document["authenticationSchemes"]} == {"oauth2", "oauthbearertoken"}


@pytest.mark.req("P-4-02")
def test_all_schemas_as_a_list_and_each_by_its_uri(client: Client) -> None:
    listed = client.get("/Schemas").json()
    assert listed["schemas"] == [LIST]
    found = {schema["id"]: schema for schema in listed["Resources"]}
    assert found.keys() >= {USER, GROUP, ENTERPRISE, TRAITS, VECTORS["seed"]["extensionSchemas"][0]["id"]}
    assert listed["totalResults"] == listed["itemsPerPage"] == len(listed["Resources"]) == len(found)
    for urn, schema in found.items():
        single = client.get(f"/Schemas/{urn}")
        assert single.status_code == 200
        assert single.json() == schema
        assert schema["meta"] == {"resourceType": "Schema", "location": f"{client.base}/Schemas/{urn}"}
        assert client.get(schema["meta"]["location"]).json() == schema


@pytest.mark.req("P-4-03")
def test_all_resource_types_as_a_list_and_each_by_its_name(client: Client) -> None:
    listed = client.get("/ResourceTypes").json()
    assert listed["schemas"] == [LIST]
    found = {resource_type["name"]: resource_type for resource_type in listed["Resources"]}
    assert found.keys() == {"User", "Group"}
    assert listed["totalResults"] == listed["itemsPerPage"] == 2
    for name, resource_type in found.items():
        single = client.get(f"/ResourceTypes/{name}")
        assert single.json() == resource_type
        assert resource_type["meta"]["location"] == f"{client.base}/ResourceTypes/{name}"
        assert client.get(resource_type["endpoint"]).status_code == 200
        assert client.get(f"/Schemas/{resource_type['schema']}").status_code == 200


@pytest.mark.req("P-4-02", "P-4-03")
@pytest.mark.parametrize(
    "path",
    [
        "/Schemas/urn:ietf:params:scim:schemas:core:2.0:Device",
        "/Schemas/User",
        "/Schemas/%0d%0a",
        "/ResourceTypes/Device",
        "/ResourceTypes/user",
        f"/ResourceTypes/{USER}",
        f"/Schemas/{USER}/attributes",
    ],
)
def test_what_is_not_offered_is_404(client: Client, path: str) -> None:
    refused(client.get(path), 404)


@pytest.mark.req("P-4-04")
@pytest.mark.parametrize("endpoint", ["/Schemas", "/ResourceTypes", "/ServiceProviderConfig", f"/Schemas/{USER}"])
@pytest.mark.parametrize(
    "parameters",
    [
        {"count": "1"},
        {"count": "0"},
        {"startIndex": "2"},
        {"startIndex": "x", "count": "-1"},
        {"sortBy": "name", "sortOrder": "descending"},
        {"sortBy": "nothing", "sortOrder": "sideways"},
        {"attributes": "name"},
        {"attributes": "name", "excludedAttributes": "id"},
        {"aadOptscim062020": ""},
    ],
)
def test_query_parameters_are_ignored(client: Client, endpoint: str, parameters: dict[str, str]) -> None:
    response = client.get(endpoint, params=parameters)
    assert response.status_code == 200
    assert response.json() == client.get(endpoint).json()


@pytest.mark.req("P-4-05")
@pytest.mark.parametrize("endpoint", ["/Schemas", "/ResourceTypes"])
@pytest.mark.parametrize("filter", ['id eq "x"', "", "not a filter", 'name eq "User"'])
def test_a_filter_is_forbidden(client: Client, endpoint: str, filter: str) -> None:
    refused(client.get(endpoint, params={"filter": filter}), 403)


@pytest.mark.req("P-4-06")
@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_discovery_is_for_reading(client: Client, reader: Client, endpoint: str, method: str) -> None:
    before = client.get(endpoint).json()
    body = {"schemas": [USER], "userName": "x"}
    response = client.request(method, endpoint, json=body)
    refused(response, 405)
    assert "GET" in response.headers["Allow"]
    refused(reader.request(method, endpoint, json=body), 403)
    assert client.get(endpoint).json() == before


@pytest.mark.req("P-4-07")
@pytest.mark.parametrize("urn", [USER, GROUP, ENTERPRISE, TRAITS])
def test_a_schema_uri_is_read_without_case_and_percent_decoded(client: Client, urn: str) -> None:
    expected = client.get(f"/Schemas/{urn}").json()
    assert expected["id"] == urn
    encoded = "".join(f"%{ord(c):02X}" for c in urn)
    for spelling in (urn.upper(), urn.lower(), urn.swapcase(), quote(urn, safe=""), encoded):
        response = client.get(httpx.URL(f"{client.base}/Schemas/{spelling}"))
        assert response.status_code == 200
        assert response.json() == expected


@pytest.mark.req("P-4-08")
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_discovery_is_public_for_reading(service: Service, client: Client, endpoint: str) -> None:
    """It tells a client how to authenticate and holds nothing of the people that are stored."""
    with service.anonymous as anonymous:
        assert anonymous.get(endpoint).json() == client.get(endpoint).json()
        assert anonymous.head(endpoint).status_code == 200
        assert anonymous.get(endpoint, headers={"Authorization": "Bearer wrong"}).status_code == 200
        refused(anonymous.post(endpoint, json={}), 401)


def test_a_trailing_slash_and_a_doubled_one_change_nothing(client: Client) -> None:
    for endpoint in ENDPOINTS:
        assert client.get(f"{endpoint}/").json() == client.get(endpoint).json()
        assert client.get(httpx.URL(f"{client.base}/{endpoint}")).json() == client.get(endpoint).json()
