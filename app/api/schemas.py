"""marshmallow schemas generated from the registry: they check what comes in and describe it in OpenAPI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, missing

from app.scim import errors, types
from app.scim.attributes import Attribute, Mutability, Returned, Type
from app.scim.errors import InvalidValue
from app.scim.registry import ID, META, SCHEMAS_ATTRIBUTE, ResourceType


class _Checked(fields.Field[Any]):
    """A leaf whose value is checked by the core and kept as it is: nothing is coerced."""

    def __init__(self, definition: Attribute, **kwargs: Any) -> None:
        self.definition = definition
        super().__init__(**kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        try:
            types.check(self.definition, value)
        except errors.InvalidValue as error:
            raise ValidationError(error.detail) from None
        return value


class _Text(_Checked, fields.String):
    pass


class _Boolean(_Checked, fields.Boolean):
    pass


class _Integer(_Checked, fields.Integer):
    pass


class _Decimal(_Checked, fields.Float):
    pass


class _DateTime(_Checked, fields.DateTime):
    pass


class _Complex(fields.Nested):
    """A complex attribute: each value is an object whose members the core checks one by one. The nested schema is what
    OpenAPI shows of it; running it for every value would cost more than the rest of the document."""

    def __init__(self, definition: Attribute, nested: type[Schema], **kwargs: Any) -> None:
        super().__init__(nested, many=definition.multi_valued, **kwargs)
        self.parts = {sub.name: sub for sub in definition.sub_attributes}
        self.needed = [s for s in definition.sub_attributes if s.required and s.mutability is not Mutability.READ_ONLY]

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, partial: Any = None, **kwargs: Any
    ) -> Any:
        if self.many and not isinstance(value, list):
            raise ValidationError("must be a list of objects")
        for element in value if self.many else (value,):
            self._check(element)
        return value

    def _check(self, element: Any) -> None:
        if not isinstance(element, dict):
            raise ValidationError("must be an object")
        for path in (sub.path for sub in self.needed if sub.name not in element):
            raise ValidationError(f"{path}: is required")
        try:
            for name, part in element.items():
                if (sub := self.parts.get(name)) is not None:
                    types.check(sub, part)
        except errors.InvalidValue as error:
            raise ValidationError(error.detail) from None


_LEAVES: dict[Type, type[_Checked]] = {
    Type.STRING: _Text,
    Type.BOOLEAN: _Boolean,
    Type.INTEGER: _Integer,
    Type.DECIMAL: _Decimal,
    Type.DATE_TIME: _DateTime,
    Type.BINARY: _Text,
    Type.REFERENCE: _Text,
}


def resource_schema(resource_type: ResourceType) -> type[Schema]:
    """The schema class of a resource type, named after it; extensions are nested under their URIs."""
    members: dict[str, Any] = {
        a.name: _field(a, resource_type) for a in resource_type.attributes_of(resource_type.schema) if a is not META
    }
    members["schemas"] = fields.List(fields.String())
    members["meta"] = fields.Nested(_META, dump_only=True)
    for extension in resource_type.extensions:
        inner = {a.name: _field(a, resource_type) for a in extension.schema.attributes}
        # A dot in a field's name would split it, so the URI is only the key in the data.
        members[f"extension_{extension.schema.name}"] = fields.Nested(
            _schema(extension.schema.name, inner), data_key=extension.schema.id, required=extension.required
        )
    return _schema(resource_type.name, members)


def _python_name(name: str) -> str:
    return "reference" if name == "$ref" else name


def _schema(name: str, members: dict[str, Any]) -> type[Schema]:
    meta = type("Meta", (), {"unknown": EXCLUDE})
    named = {_python_name(key): field for key, field in members.items()}
    return type(f"{name}Schema", (Schema,), {**named, "Meta": meta})


_META = _schema("Meta", {s.name: fields.String(dump_only=True) for s in META.sub_attributes})


def _field(attribute: Attribute, resource_type: ResourceType) -> fields.Field[Any]:
    options: dict[str, Any] = {
        "data_key": attribute.name,
        "required": attribute.required,
        "dump_only": attribute.mutability is Mutability.READ_ONLY,
        "load_only": attribute.returned is Returned.NEVER,
        "metadata": {"description": attribute.description} if attribute.description else {},
    }
    if attribute in (SCHEMAS_ATTRIBUTE, ID):
        options["required"] = False
    if attribute.type is Type.COMPLEX:
        inner = _schema(
            attribute.path.replace(":", "_"),
            {s.name: _field(s, resource_type) for s in attribute.sub_attributes},
        )
        return _Complex(attribute, inner, **options)
    leaf = _LEAVES[attribute.type]
    return fields.List(leaf(attribute), **options) if attribute.multi_valued else leaf(attribute, **options)


class Checker:
    """Checks documents by the fields of a schema class, whose members are named with `prefix` in front.

    marshmallow's own walk looks at every field of a schema, present or not, and costs as much as the fields that are.
    """

    def __init__(self, schema: type[Schema], prefix: str = "") -> None:
        known = {field.data_key or name: field for name, field in schema().load_fields.items()}
        extensions = {name: type(field.schema) for name, field in known.items() if type(field) is fields.Nested}
        self._fields = known
        self._required = frozenset(name for name, field in known.items() if field.required)
        self._extensions = {name: Checker(inner, f"{name}:") for name, inner in extensions.items()}
        self._prefix = prefix

    def check(self, document: dict[str, Any]) -> dict[str, Any]:
        """The document itself when its types and required members are right. Raises InvalidValue."""
        for name in self._required - document.keys():
            self._check(name, missing, document)
        for name, value in document.items():
            if (extension := self._extensions.get(name)) is not None and isinstance(value, dict):
                extension.check(value)
            elif name in self._fields:
                self._check(name, value, document)
        return document

    def _check(self, name: str, value: Any, document: dict[str, Any]) -> None:
        try:
            self._fields[name].deserialize(value, name, document)
        except ValidationError as error:
            place, message = f"{self._prefix}{name}", _first(error.messages)
            # What the core says names the attribute itself.
            raise InvalidValue(message if message.startswith(place) else f"{place}: {message}") from None


def _first(faults: Any) -> str:
    """The first message; marshmallow nests them by the place in a list."""
    while isinstance(faults, dict | list):
        faults = next(iter(faults.values())) if isinstance(faults, dict) else faults[0]
    return str(faults)
