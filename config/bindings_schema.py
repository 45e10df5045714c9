"""The shape of a bindings file: one marshmallow schema for each table, as strict as those of `config.schema`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, ClassVar, TypeVar

from marshmallow import INCLUDE, Schema, ValidationError, fields, post_load, validates_schema
from marshmallow.validate import Length

from config.directory import (
    PLACEHOLDER,
    Derived,
    GroupBindings,
    Kind,
    KindBindings,
    Lock,
    MemberSyntax,
    Password,
    Place,
    Single,
    Slot,
    UserBindings,
)
from config.fields import Text, Whole
from config.ldap_text import is_attribute, is_below, is_dn, is_filter
from config.schema import Table

Decoded = TypeVar("Decoded")
_MISSING: dict[str, Any] = {"required": "must be set"}
_LONGEST = 1_000_000
_LOCKS = {
    Kind.OPENLDAP: (Lock.PPOLICY, Lock.PWD_END_TIME, Lock.NONE),
    Kind.DS389: (Lock.NS_ACCOUNT_LOCK, Lock.NONE),
    Kind.ACTIVE_DIRECTORY: (Lock.USER_ACCOUNT_CONTROL, Lock.NONE),
}
_PASSWORDS = {
    Kind.OPENLDAP: (Password.MODIFY, Password.USER_PASSWORD, Password.NONE),
    Kind.DS389: (Password.USER_PASSWORD, Password.MODIFY, Password.NONE),
    Kind.ACTIVE_DIRECTORY: (Password.UNICODE_PWD, Password.NONE),
}


class Written(fields.Field[str]):
    """Text that has a syntax: one that `accepts` takes."""

    def __init__(self, accepts: Callable[[str], bool], message: str, **kwargs: Any) -> None:
        super().__init__(error_messages=_MISSING, **kwargs)
        self._accepts = accepts
        self._message = message

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        if not isinstance(value, str) or not self._accepts(value):
            raise ValidationError(self._message)
        return value


class AttributeName(Written):
    """The name of an LDAP attribute."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(is_attribute, "must be the name of an LDAP attribute", **kwargs)


class Choice(fields.Field[StrEnum]):
    """A member of an enumeration, by its value."""

    def __init__(self, members: type[StrEnum], **kwargs: Any) -> None:
        super().__init__(error_messages=_MISSING, **kwargs)
        self._members = members

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> StrEnum:
        found = next((member for member in self._members if member.value == value), None)
        if found is None:
            raise ValidationError(f"must be one of: {', '.join(self._members)}")
        return found


class Flag(fields.Field[bool]):
    """true or false."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("must be true or false")
        return value


class Many(fields.List[Any]):
    """A list; with `least`, of so many items at least."""

    def __init__(self, item: fields.Field[Any], *, least: int = 0, **kwargs: Any) -> None:
        messages = {"invalid": "must be a list", **_MISSING}
        size = Length(min=least, error="must not be empty")
        super().__init__(item, error_messages=messages, validate=size, **kwargs)


class Each(fields.Field[dict[str, Any]]):
    """A table of any keys, whose values `decode` makes."""

    def __init__(self, decode: Callable[[Any], Any], *, keys: Callable[[str], bool] = lambda _: True) -> None:
        super().__init__()
        self._decode = decode
        self._keys = keys

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise ValidationError("must be a table")
        found, faults = _decoded(value.items(), self._decode)
        faults.update({key: ["is not the name of an LDAP attribute"] for key in value if not self._keys(key)})
        if faults:
            raise ValidationError(faults)
        return found


class Limit(fields.Field[Any]):
    """The most characters: one number, or a table of them by sub-attribute."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if not isinstance(value, Mapping):
            return _LENGTH.deserialize(value)
        found, faults = _decoded(value.items(), _LENGTH.deserialize)
        if faults:
            raise ValidationError(faults)
        return found


_LENGTH = Whole(1, _LONGEST)


class SingleTable(Table):
    made = Single
    attribute = AttributeName(required=True)
    max = Whole(1, _LONGEST)
    forbid = Text()


class PlaceTable(Schema):
    """Keys that are none of the fields are sub-attributes."""

    class Meta:
        unknown = INCLUDE

    type = Text(validate=Length(min=1, error="must not be empty"))
    primary = Flag()
    max = Limit()

    @validates_schema(skip_on_field_errors=False)
    def sub_attributes_have_attributes(self, data: dict[str, Any], **kwargs: Any) -> None:
        parts = {name: value for name, value in data.items() if name not in self.fields}
        if not parts:
            raise ValidationError("must name an LDAP attribute for a sub-attribute, such as value")
        faults: dict[str, Any] = {
            name: ["must be the name of an LDAP attribute"]
            for name, value in parts.items()
            if not isinstance(value, str) or not is_attribute(value)
        }
        limits = data.get("max")
        if isinstance(limits, dict) and (spare := limits.keys() - parts.keys()):
            faults["max"] = {name: ["is no sub-attribute of this place"] for name in spare}
        if faults:
            raise ValidationError(faults)

    @post_load(pass_original=True)
    def make(self, data: dict[str, Any], original: Mapping[str, Any], **kwargs: Any) -> Place:
        parts = {name: data[name] for name in original if name not in self.fields}
        limit = data.get("max")
        limits = limit if isinstance(limit, dict) else {}
        return Place(parts, data.get("type"), data.get("primary", False), None if limits else limit, limits)


class DerivedTable(Table):
    made = Derived
    slots = Many(Text(), least=1, data_key="from", required=True)
    max = Whole(1, _LONGEST)
    forbid = Text()

    @post_load
    def make(self, data: dict[str, Any], **kwargs: Any) -> Derived:
        return Derived(**{**data, "slots": tuple(data["slots"])})


def _decoded(items: Any, decode: Callable[[Any], Any]) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """What `decode` makes of each value, and what is wrong with the others, by key."""
    found, faults = {}, {}
    for key, value in items:
        try:
            found[key] = decode(value)
        except ValidationError as error:
            faults[key] = error.messages
    return found, faults


def _binding(value: Any) -> Single | tuple[Place, ...]:
    if isinstance(value, str):
        return Single(str(AttributeName().deserialize(value)))
    if isinstance(value, list):
        return _places(value)
    if isinstance(value, Mapping) and ("attribute" in value or not value):
        return _loaded(SingleTable(), value, Single)
    raise ValidationError(
        'must be the name of an LDAP attribute, {attribute = "…", max = …} or a list of places; '
        'a key with a dot stands in quotation marks: "name.familyName"'
    )


def _places(value: list[Any]) -> tuple[Place, ...]:
    found, faults = _decoded(enumerate(value), _place)
    if faults:
        raise ValidationError(faults)
    if not found:
        raise ValidationError("must not be empty: take the key out instead")
    return tuple(found.values())


def _place(value: Any) -> Place:
    if not isinstance(value, Mapping):
        raise ValidationError('must be a table such as {type = "work", value = "mail"}')
    return _loaded(PlaceTable(), value, Place)


def _derived(value: Any) -> Derived:
    return _loaded(DerivedTable(), {"from": value} if isinstance(value, list) else value, Derived)


def _loaded(schema: Schema, value: Any, made: type[Decoded]) -> Decoded:
    found = schema.load(value)
    assert isinstance(found, made)
    return found


def _fixed(value: Any) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(item, str) and item for item in values):
        raise ValidationError("must be a text or a list of texts")
    return tuple(values)


def _is_template(text: str) -> bool:
    return is_dn(PLACEHOLDER.sub("x", text))


class KindTable(Schema):
    """What [users] and [groups] have in common."""

    made: ClassVar[type[KindBindings]]
    error_messages = {"unknown": "there is no such key", "type": "must be a table"}  # noqa: RUF012
    base = Written(is_dn, "must be a DN, such as ou=people,dc=example,dc=org", required=True)
    filter = Written(is_filter, "must be a filter in parentheses, such as (objectClass=person)", required=True)
    object_classes = Many(Written(is_attribute, "must be the name of an object class"), least=1, required=True)
    rdn = AttributeName(required=True)
    version = AttributeName(required=True)
    placement = Many(Written(_is_template, "must be a DN, in which {slot} may stand for a value"))
    record = AttributeName()
    held = AttributeName()
    derived = Each(_derived, keys=is_attribute)
    fixed = Each(_fixed, keys=is_attribute)
    filled = Many(AttributeName())
    attributes = Each(_binding)
    extensions = Each(Each(_binding).deserialize)

    @validates_schema(skip_on_field_errors=False)
    def held_has_a_record(self, data: dict[str, Any], **kwargs: Any) -> None:
        if "held" in data and "record" not in data:
            raise ValidationError({"held": ["lists what is in the record, and there is none"]})

    @validates_schema(skip_on_field_errors=False)
    def placement_is_below_base(self, data: dict[str, Any], **kwargs: Any) -> None:
        base = data.get("base")
        templates = enumerate(data.get("placement", ()))
        outside = [number for number, text in templates if base and not is_below(PLACEHOLDER.sub("x", text), base)]
        if outside:
            raise ValidationError({"placement": {number: [f"must be below {base}"] for number in outside}})

    @validates_schema(skip_on_field_errors=False)
    def attributes_are_of_the_core(self, data: dict[str, Any], **kwargs: Any) -> None:
        wrong = [name for name in data.get("attributes", {}) if ":" in name]
        if wrong:
            raise ValidationError({"attributes": {name: ["belongs in the table of its extension"] for name in wrong}})

    @post_load
    def make(self, data: dict[str, Any], **kwargs: Any) -> KindBindings:
        bound: dict[Slot, Any] = {**data.pop("attributes", {})}
        for urn, attributes in data.pop("extensions", {}).items():
            bound.update((f"{urn}:{name}", value) for name, value in attributes.items())
        frozen: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        return self.made(
            **frozen,
            singles={slot: value for slot, value in bound.items() if isinstance(value, Single)},
            lists={slot: value for slot, value in bound.items() if not isinstance(value, Single)},
        )


class UsersTable(KindTable):
    made = UserBindings
    lock = Choice(Lock)
    password = Choice(Password)
    member_of = AttributeName()
    retired = Written(is_dn, "must be a DN, such as ou=retired,dc=example,dc=org")


class GroupsTable(KindTable):
    made = GroupBindings
    member = AttributeName()
    member_syntax = Choice(MemberSyntax)
    placeholder = Written(is_dn, "must be a DN")
    pieces = Whole(1, 100_000)

    @validates_schema(skip_on_field_errors=False)
    def placeholder_is_a_member(self, data: dict[str, Any], **kwargs: Any) -> None:
        if "placeholder" in data and data.get("member_syntax") is MemberSyntax.NAME:
            raise ValidationError({"placeholder": ["is for members that are DNs"]})


class BindingsTable(Schema):
    """The whole file; what it makes is the keyword arguments of `config.directory.Bindings`."""

    error_messages = {"unknown": "there is no such key", "type": "must be a table"}  # noqa: RUF012
    kind = Choice(Kind, required=True)
    users = fields.Nested(UsersTable, required=True, error_messages=_MISSING)
    groups = fields.Nested(GroupsTable, required=True, error_messages=_MISSING)

    @validates_schema(skip_on_field_errors=False)
    def accounts_fit_the_kind(self, data: dict[str, Any], **kwargs: Any) -> None:
        kind, users = data.get("kind"), data.get("users")
        if not isinstance(kind, Kind) or not isinstance(users, UserBindings):
            return
        faults = {
            name: [f"must be one of: {', '.join(allowed)} where kind is {kind}"]
            for name, value, allowed in (
                ("lock", users.lock, _LOCKS[kind]),
                ("password", users.password, _PASSWORDS[kind]),
            )
            if value not in allowed
        }
        if faults:
            raise ValidationError({"users": faults})
