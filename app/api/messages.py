"""marshmallow schemas of the protocol's own messages (RFC 7644 sections 3.4.3, 3.5.2, 3.12), written by hand."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields

from app.scim.errors import InvalidSyntax

SEARCH_REQUEST = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


class _StrictInteger(fields.Integer):
    """A JSON integer; text and fractions are refused."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValidationError("must be an integer")
        return value


class _Message(Schema):
    class Meta:
        unknown = EXCLUDE

    schemas = fields.List(fields.String(), required=True)


class SearchRequestSchema(_Message):
    """SearchRequest of RFC 7644 section 3.4.3."""

    filter = fields.String(allow_none=True)
    sort_by = fields.String(data_key="sortBy", allow_none=True)
    sort_order = fields.String(data_key="sortOrder", allow_none=True)
    start = _StrictInteger(data_key="startIndex", allow_none=True)
    count = _StrictInteger(allow_none=True)
    attributes = fields.List(fields.String(), allow_none=True)
    excluded = fields.List(fields.String(), data_key="excludedAttributes", allow_none=True)


class PatchRequestSchema(_Message):
    """PatchOp of RFC 7644 section 3.5.2. What an operation holds is checked by the core."""

    operations = fields.List(fields.Dict(), data_key="Operations", required=True)


class ErrorSchema(_Message):
    """Error of RFC 7644 section 3.12."""

    status = fields.String(required=True)
    scim_type = fields.String(data_key="scimType")
    detail = fields.String()


def list_response_schema(resource: type[Schema]) -> type[Schema]:
    """ListResponse of RFC 7644 section 3.4.2 with resources of one type."""
    members: dict[str, Any] = {
        "total": fields.Integer(data_key="totalResults", required=True),
        "start": fields.Integer(data_key="startIndex"),
        "items_per_page": fields.Integer(data_key="itemsPerPage"),
        "resources": fields.Nested(resource, many=True, data_key="Resources"),
    }
    return type(f"{resource.__name__.removesuffix('Schema')}ListSchema", (_Message,), members)


def load_message(schema: Schema, body: Any, urn: str) -> dict[str, Any]:
    """The members of a message under their Python names, names in the body compared without case.

    Raises InvalidSyntax when it is no such message.
    """
    if not isinstance(body, dict):
        raise InvalidSyntax("the body must be a JSON object")
    names = _members(schema)
    renamed = [(names[k.lower()], v) for k, v in body.items() if k.lower() in names]
    if len(dict(renamed)) != len(renamed):
        raise InvalidSyntax("the body names a member twice")
    try:
        loaded: dict[str, Any] = schema.load(dict(renamed))
    except ValidationError as error:
        member = next(iter(error.messages_dict))
        raise InvalidSyntax(f"{member}: is missing or has the wrong form") from None
    if urn.lower() not in {u.lower() for u in loaded["schemas"]}:
        raise InvalidSyntax(f"schemas: must hold {urn}")
    return loaded


@lru_cache(maxsize=16)
def _members(schema: Schema) -> dict[str, str]:
    """The names of a message's members by their lower-case form."""
    return {(f.data_key or name).lower(): f.data_key or name for name, f in schema.fields.items()}
