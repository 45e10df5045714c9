"""What the service provider says of itself (RFC 7643 sections 5 to 7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.scim.registry import Registry, ResourceType, Schema

CONFIG_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
RESOURCE_TYPE_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"

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
    """The Schema document as it is published."""
    location = f"{base}/Schemas/{schema.id}"
    return {**schema.definition, "meta": {"resourceType": "Schema", "location": location}}


def schema_documents(registry: Registry, base: str) -> list[dict[str, Any]]:
    """Every schema in use."""
    return [schema_document(schema, base) for schema in registry.schemas]
