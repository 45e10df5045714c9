"""Tables and columns, generated from the registry: a readable column for each singular slot, one table of values for
each kind's multi-valued slots, one table for each stored relation; besides, one for all retired resources and
one for the names by which they are found, so that nothing that reads the others has to leave any out.

A text that is compared without case, and a dateTime, has a second column `…_key` with its comparison form, so that
the value itself stays as the client sent it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    FromClause,
    Index,
    Integer,
    MetaData,
    Table,
)
from sqlalchemy.types import TypeEngine

from app.scim.attributes import Attribute, Returned, SchemaDefinitionError, Type, Uniqueness
from app.scim.query import Slot
from app.scim.registry import ENTERPRISE_SCHEMA, EXTERNAL_ID, Registry, ResourceType, Schema
from backends.sql.columns import (
    ATTRIBUTE_LENGTH,
    ID_LENGTH,
    KEY_LENGTH,
    KIND_LENGTH,
    MYSQL_OPTIONS,
    Moment,
    long_text,
    short_text,
    text,
)

_SEARCHED = frozenset((EXTERNAL_ID.path, "displayName", f"{ENTERPRISE_SCHEMA}:employeeNumber"))
"""Slots besides the unique ones by which clients look for one resource."""

_DISPLAY: Slot = "displayName"
"""The slot that is the display text of a reference."""

_NAMES = {"primary": "is_primary"}
_TYPE_SUFFIX = {Type.BOOLEAN: "_boolean", Type.INTEGER: "_integer", Type.DECIMAL: "_decimal"}


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """Where a singular leaf is kept: its value in `column`, its comparison form in `key` (the same column where the
    value itself is compared). `indexed`: at most KEY_LENGTH characters of the comparison form fit."""

    attribute: Attribute
    column: Column[Any]
    key: Column[Any]
    indexed: bool

    @property
    def columns(self) -> tuple[Column[Any], ...]:
        return (self.column,) if self.key is self.column else (self.column, self.key)


@dataclass(frozen=True, slots=True, eq=False)
class MultiValued:
    """Where a multi-valued slot is kept: rows of the values table whose `attribute` is `name`. `fields` are by the
    path of the sub-attribute, or of the attribute itself where it is simple."""

    attribute: Attribute
    name: str
    fields: Mapping[str, Field]

    @property
    def simple(self) -> bool:
        return self.attribute.type is not Type.COMPLEX


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Where one kind is kept. `fields` are its readable singular slots, `multi` the multi-valued ones, `secrets` the
    columns of hashes of slots that are never returned. `values` is None where there is no multi-valued slot."""

    type: ResourceType
    table: Table
    values: Table | None
    owner: Column[Any] | None
    fields: Mapping[Slot, Field]
    multi: Mapping[Slot, MultiValued]
    secrets: Mapping[Slot, Column[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """A relation seen from one side: `near` holds the id of the resource that has the attribute `name`, `far` that
    of the one it refers to, which is of the kind that `target` keeps."""

    name: str
    table: Table
    near: Column[Any]
    far: Column[Any]
    target: Layout
    stored: bool


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """Every table; `unique` maps what a database names in a violation (an index, or table.column) to the slot.
    `retired` holds resources of all kinds as JSON, `retired_names` the folded names of each."""

    metadata: MetaData
    layouts: Mapping[str, Layout]
    links: Mapping[tuple[str, str], Link]
    unique: Mapping[str, Slot]
    retired: Table
    retired_names: Table


def build(registry: Registry) -> Tables:
    """The tables of a registry. Raises SchemaDefinitionError where a multi-valued attribute is within another."""
    metadata = MetaData()
    unique: dict[str, Slot] = {}
    layouts = {t.name: _LayoutBuilder(t, metadata, unique).build() for t in registry.types}
    links: dict[tuple[str, str], Link] = {}
    for kind in registry.types:
        for name, relation in kind.relations.items():
            if relation.stored:
                here, there = layouts[kind.name], layouts[relation.target]
                table = _link_table(metadata, here, there, name)
                near, far = table.primary_key.columns
                links[kind.name, name] = Link(name, table, near, far, there, stored=True)
                links[relation.target, relation.inverse] = Link(relation.inverse, table, far, near, here, stored=False)
    return Tables(metadata, layouts, links, unique, *_retired_tables(metadata))


def display(layout: Layout, source: FromClause, *, keys: bool) -> ColumnElement[str | None]:
    """The text that stands for a resource where others refer to it, or with `keys` its comparison form; `source` is
    the table or an alias of it."""
    field = layout.fields[_DISPLAY]
    return source.c[(field.key if keys else field.column).name]


def snake(name: str) -> str:
    """`phoneNumbers` as `phone_numbers`, `$ref` as `ref`."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", plain).lower()


def _table_name(kind: ResourceType) -> str:
    return f"scim_{snake(kind.name)}s"


def _owner_name(kind: ResourceType) -> str:
    return f"{snake(kind.name)}_id"


def _link_table(metadata: MetaData, here: Layout, there: Layout, name: str) -> Table:
    """Both directions are indexed: one by the primary key, the other with what `related` reads."""
    title = f"scim_{snake(here.type.name)}_{snake(name)}"
    near, far = (
        Column(
            _owner_name(layout.type),
            short_text(ID_LENGTH),
            ForeignKey(layout.table.c.id, name=f"fk_{title}_{snake(layout.type.name)}", ondelete="CASCADE"),
            primary_key=True,
        )
        for layout in (here, there)
    )
    return Table(
        title,
        metadata,
        near,
        far,
        Index(f"ix_{title}_{far.name}", far, near),
        sqlite_with_rowid=False,
        **MYSQL_OPTIONS,
    )


def _retired_tables(metadata: MetaData) -> tuple[Table, Table]:
    retired = Table(
        "scim_retired",
        metadata,
        Column("kind", short_text(KIND_LENGTH), primary_key=True),
        Column("id", short_text(ID_LENGTH), primary_key=True),
        Column("version", BigInteger, nullable=False),
        Column("created", Moment, nullable=False),
        Column("retired_at", Moment, nullable=False),
        Column("content", long_text(), nullable=False),
        Index("ix_scim_retired_retired_at", "kind", "retired_at", "id"),
        **MYSQL_OPTIONS,
    )
    names = Table(
        "scim_retired_names",
        metadata,
        Column("kind", short_text(KIND_LENGTH), primary_key=True),
        Column("id", short_text(ID_LENGTH), primary_key=True),
        Column("name", short_text(KEY_LENGTH), primary_key=True),
        ForeignKeyConstraint(
            ("kind", "id"), (retired.c.kind, retired.c.id), name="fk_scim_retired_names", ondelete="CASCADE"
        ),
        Index("ix_scim_retired_names_name", "kind", "name", "id"),
        sqlite_with_rowid=False,
        **MYSQL_OPTIONS,
    )
    return retired, names


class _LayoutBuilder:
    def __init__(self, kind: ResourceType, metadata: MetaData, unique: dict[str, Slot]) -> None:
        self._kind = kind
        self._metadata = metadata
        self._unique = unique
        self._title = _table_name(kind)
        self._used = {"id", "version", "created", "modified"}

    def build(self) -> Layout:
        kind = self._kind
        singular = {s: a for s, a in kind.slots.items() if not a.multi_valued}
        secrets = {s: self._secret(s) for s, a in singular.items() if a.returned is Returned.NEVER}
        fields = {s: self._field(s, a) for s, a in singular.items() if s not in secrets}
        table = Table(
            self._title,
            self._metadata,
            Column("id", short_text(ID_LENGTH), primary_key=True),
            Column("version", BigInteger, nullable=False),
            Column("created", Moment, nullable=False),
            Column("modified", Moment, nullable=False),
            *(c for f in fields.values() for c in f.columns),
            *secrets.values(),
            *self._indexes(fields),
            Index(f"ix_{self._title}_created", "created", "id"),
            **MYSQL_OPTIONS,
        )
        self._unique.update(dict.fromkeys((f"{self._title}.id", f"{self._title}_pkey", "PRIMARY"), "id"))
        values, multi = self._values(table, {s: a for s, a in kind.slots.items() if a.multi_valued})
        owner = values.c[_owner_name(kind)] if values is not None else None
        return Layout(kind, table, values, owner, fields, multi, secrets)

    def _name(self, slot: Slot, suffix: str = "") -> str:
        """A column name; one that is taken gets the schema's name in front."""
        schema = next((s for s in self._kind.schemas if slot.startswith(f"{s.id}:")), None)
        plain = slot.removeprefix(f"{schema.id}:") if schema else slot
        name = snake(plain.replace(".", "_")) + suffix
        if {name, f"{name}_key"} & self._used:
            name = f"{snake(_title(schema))}_{name}"
        if {name, f"{name}_key"} & self._used:
            raise SchemaDefinitionError(f"{slot}: a column of that name exists")
        self._used |= {name, f"{name}_key"}
        return name

    def _secret(self, slot: Slot) -> Column[Any]:
        return Column(self._name(slot, "_hash"), text())

    def _field(self, slot: Slot, attribute: Attribute) -> Field:
        name = self._name(slot)
        indexed = self._is_unique(attribute) or slot in _SEARCHED or slot in self._vias
        required = slot in self._kind.required_slots
        if _has_key(attribute):
            key_type = short_text(KEY_LENGTH) if indexed else text()
            column = Column(name, _type(attribute), nullable=not required)
            return Field(attribute, column, Column(f"{name}_key", key_type, nullable=not required), indexed)
        exact = short_text(KEY_LENGTH) if indexed and _is_text(attribute) else _type(attribute)
        column = Column(name, exact, nullable=not required)
        return Field(attribute, column, column, indexed)

    @property
    def _vias(self) -> set[Slot]:
        return {lookup.via for lookup in self._kind.lookups.values()}

    @staticmethod
    def _is_unique(attribute: Attribute) -> bool:
        return attribute.uniqueness is not Uniqueness.NONE

    def _indexes(self, fields: Mapping[Slot, Field]) -> Iterator[Index]:
        for slot, field in fields.items():
            if not field.indexed:
                continue
            unique = self._is_unique(field.attribute)
            name = f"{'uq' if unique else 'ix'}_{self._title}_{field.column.name}"
            yield Index(name, field.key, unique=unique)
            if unique:
                self._unique[name] = self._unique[f"{self._title}.{field.key.name}"] = slot

    def _values(
        self, table: Table, attributes: Mapping[Slot, Attribute]
    ) -> tuple[Table | None, Mapping[Slot, MultiValued]]:
        if not attributes:
            return None, {}
        builder = _ValuesBuilder()
        names = [a.name for a in attributes.values()]
        multi = {
            s: MultiValued(a, a.name if names.count(a.name) == 1 else s, builder.fields(a))
            for s, a in attributes.items()
        }
        title = f"scim_{snake(self._kind.name)}_values"
        owner = _owner_name(self._kind)
        foreign = ForeignKey(table.c.id, name=f"fk_{title}_{snake(self._kind.name)}", ondelete="CASCADE")
        values = Table(
            title,
            self._metadata,
            Column(owner, short_text(ID_LENGTH), foreign, primary_key=True),
            Column("attribute", short_text(ATTRIBUTE_LENGTH), primary_key=True),
            Column("position", Integer, primary_key=True, autoincrement=False),
            *builder.columns.values(),
            Index(f"ix_{title}_value", "attribute", "value_key", owner),
            sqlite_with_rowid=False,
            **MYSQL_OPTIONS,
        )
        return values, multi


class _ValuesBuilder:
    """Columns for the union of the sub-attributes of all multi-valued attributes of a kind."""

    def __init__(self) -> None:
        self.columns: dict[str, Column[Any]] = {}
        self._column("value", text())
        self._column("value_key", short_text(KEY_LENGTH))

    def fields(self, attribute: Attribute) -> Mapping[str, Field]:
        if any(sub.multi_valued for sub in attribute.sub_attributes):
            raise SchemaDefinitionError(f"{attribute.path}: a value may not have several values of its own")
        if attribute.type is not Type.COMPLEX:
            return {attribute.path: self._field(attribute, "value")}
        return {sub.path: self._field(sub, sub.name) for sub in attribute.sub_attributes}

    def _field(self, attribute: Attribute, title: str) -> Field:
        name = _NAMES.get(title, snake(title))
        if title != "primary":
            name += _TYPE_SUFFIX.get(attribute.type, "")
        column = self._column(name, _type(attribute))
        if not _has_key(attribute):
            return Field(attribute, column, column, indexed=False)
        return Field(attribute, column, self._column(f"{name}_key", text()), indexed=name == "value")

    def _column(self, name: str, type_: TypeEngine[Any]) -> Column[Any]:
        return self.columns.setdefault(name, Column(name, type_))


def _title(schema: Schema | None) -> str:
    return schema.name if schema else "core"


def _is_text(attribute: Attribute) -> bool:
    return attribute.type not in _TYPE_SUFFIX


def _has_key(attribute: Attribute) -> bool:
    """Whether the comparison form differs from the value (app.scim.types.comparable)."""
    return attribute.type is Type.DATE_TIME or (_is_text(attribute) and not attribute.case_exact)


def _type(attribute: Attribute) -> TypeEngine[Any]:
    if attribute.type is Type.BOOLEAN:
        return Boolean()
    if attribute.type is Type.INTEGER:
        return BigInteger()
    return Double() if attribute.type is Type.DECIMAL else text()
