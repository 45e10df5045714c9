"""What the service provider says of itself (RFC 7643 sections 5 to 7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.scim.attributes import Attribute, Type
from app.scim.registry import Registry, ResourceType, Schema

CONFIG_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
RESOURCE_TYPE_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"
SCHEMA_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:Schema"

_WITH_CASE = frozenset((Type.STRING, Type.REFERENCE, Type.BINARY))
_WITH_UNIQUENESS = frozenset((Type.STRING, Type.REFERENCE, Type.INTEGER, Type.DECIMAL))

_SCHEMES: tuple[Mapping[str, Any], ...] = (
    {
        "type": "oauth2",
        "name": "OAuth 2.0 client credentials",
        "description": "Access tokens from the token endpoint of this service.",
        "specUri": "https://www.rfc-editor.org/info/rfc6749",
        "primary": True,
    },
    {
        "type": "oauthbearertoken",
        "name": "OAuth bearer token",
        "description": "A long-lived bearer token issued by the operator.",
        "specUri": "https://www.rfc-editor.org/info/rfc6750",
        "primary": False,
    },
)


@dataclass(frozen=True, slots=True)
class Features:
    """What discovery reports and the service enforces: sizes in bytes and resources, and whether results are sorted."""

    max_results: int
    max_payload_size: int
    sort: bool


def service_provider_config(features: Features, base: str) -> dict[str, Any]:
    """The ServiceProviderConfig document; every flag is what the service does."""
    return {
        "schemas": [CONFIG_SCHEMA],
        "patch": {"supported": True},
        "bulk": {"supported": False, "maxOperations": 0, "maxPayloadSize": features.max_payload_size},
        "filter": {"supported": True, "maxResults": features.max_results},
        "changePassword": {"supported": True},
        "sort": {"supported": features.sort},
        "etag": {"supported": True},
        "authenticationSchemes": [dict(scheme) for scheme in _SCHEMES],
        "meta": {"resourceType": "ServiceProviderConfig", "location": f"{base}/ServiceProviderConfig"},
    }


def resource_type_document(resource_type: ResourceType, base: str) -> dict[str, Any]:
    """The ResourceType document of a type."""
    document: dict[str, Any] = {
        "schemas": [RESOURCE_TYPE_SCHEMA],
        "id": resource_type.name,
        "name": resource_type.name,
        "description": resource_type.description,
        "endpoint": resource_type.endpoint,
        "schema": resource_type.schema.id,
    }
    if resource_type.extensions:
        document["schemaExtensions"] = [
            {"schema": e.schema.id, "required": e.required} for e in resource_type.extensions
        ]
    location = f"{base}/ResourceTypes/{resource_type.name}"
    document["meta"] = {"resourceType": "ResourceType", "location": location}
    return document


def schema_document(schema: Schema, base: str) -> dict[str, Any]:
    """The Schema document as it is published: what its definition leaves out is there with the default in force."""
    document = {"schemas": [SCHEMA_SCHEMA], **schema.definition}
    if schema.attributes:
        document["attributes"] = [_attribute_document(a) for a in schema.attributes]
    location = f"{base}/Schemas/{schema.id}"
    return {**document, "meta": {"resourceType": "Schema", "location": location}}


def _attribute_document(attribute: Attribute) -> dict[str, Any]:
    """The characteristics that an attribute of its type has (RFC 7643 sections 2.3 and 7)."""
    document: dict[str, Any] = {
        "name": attribute.name,
        "type": attribute.type.value,
        "multiValued": attribute.multi_valued,
        "description": attribute.description,
        "required": attribute.required,
    }
    if attribute.type in _WITH_CASE:
        document["caseExact"] = attribute.case_exact
    if attribute.canonical_values:
        document["canonicalValues"] = list(attribute.canonical_values)
    if attribute.reference_types:
        document["referenceTypes"] = list(attribute.reference_types)
    document["mutability"] = attribute.mutability.value
    document["returned"] = attribute.returned.value
    if attribute.type in _WITH_UNIQUENESS:
        document["uniqueness"] = attribute.uniqueness.value
    if attribute.type is Type.COMPLEX:
        document["subAttributes"] = [_attribute_document(s) for s in attribute.sub_attributes]
    return document


def schema_documents(registry: Registry, base: str) -> list[dict[str, Any]]:
    """Every schema in use."""
    return [schema_document(schema, base) for schema in registry.schemas]
