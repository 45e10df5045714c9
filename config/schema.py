"""The shape that a configuration must have: one marshmallow schema for each table, one field for each key.

The defaults are those of `config.settings`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from marshmallow import Schema, ValidationError, fields, post_load, validates_schema
from marshmallow.validate import Length, OneOf, Regexp

from config.directory import Key
from config.fields import (
    Bases,
    BaseUrl,
    Bind,
    BindingsName,
    BindName,
    Directory,
    File,
    LdapServer,
    Network,
    Password,
    SqlUrl,
    Switch,
    SyslogAddress,
    Text,
    Token,
    Whole,
)
from config.settings import (
    AuditSettings,
    BrakesSettings,
    ControlSettings,
    LdapSettings,
    LifecycleSettings,
    LimitsSettings,
    LogSettings,
    MetricsSettings,
    OAuthSettings,
    ProtectedSettings,
    ServerSettings,
    Settings,
    SqlSettings,
)

_BACKEND = re.compile(r"(?:sql|ldap|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*)\Z")


class Table(Schema):
    """A table of the configuration file, which becomes an instance of `made`."""

    made: ClassVar[type[Any]]
    error_messages = {"unknown": "there is no such key", "type": "must be a table"}  # noqa: RUF012

    @post_load
    def make(self, data: dict[str, Any], **kwargs: Any) -> Any:
        return self.made(**data)


class SqlTable(Table):
    made = SqlSettings
    url = SqlUrl()
    pool_size = Whole(1, 500)
    connect_timeout_seconds = Whole(1, 300)
    statement_timeout_seconds = Whole(1, 3600)


class LdapTable(Table):
    made = LdapSettings
    servers = fields.List(LdapServer(), error_messages={"invalid": "must be a list"})
    tls = Text(validate=OneOf(("required", "none"), error="must be one of: {choices}"))
    ca_file = File()
    bind_dn = BindName()
    password = Password()
    bindings = BindingsName()
    driver = Text(validate=OneOf(("ldap3", "python-ldap"), error="must be one of: {choices}"))
    pool_size = Whole(1, 500)
    connect_timeout_seconds = Whole(1, 300)
    response_timeout_seconds = Whole(1, 3600)
    candidates = Whole(1, 10_000_000)
    page_size = Whole(1, 100_000)

    @post_load
    def make(self, data: dict[str, Any], **kwargs: Any) -> LdapSettings:
        return LdapSettings(**{**data, "servers": tuple(data.get("servers", ()))})


class ControlTable(Table):
    made = ControlSettings
    url = SqlUrl()


class AuditTable(Table):
    made = AuditSettings
    sync = Switch()
    keep_days = Whole(0, 36_500)
    syslog = SyslogAddress()


class OAuthTable(Table):
    made = OAuthSettings
    access_token_minutes = Whole(60, 360)
    token_failures_per_minute = Whole(1, 100_000)
    clock_skew_seconds = Whole(0, 300)
    signing_key_days = Whole(1, 3650)


class LimitsTable(Table):
    made = LimitsSettings
    max_body_bytes = Whole(1024, 1024**3)
    max_json_depth = Whole(8, 500)
    max_filter_length = Whole(64, 65_536)
    max_filter_depth = Whole(1, 200)
    max_filter_terms = Whole(1, 10_000)
    max_operations = Whole(1, 100_000)
    page_size = Whole(1, 100_000)
    max_results = Whole(1, 100_000)

    @validates_schema(skip_on_field_errors=False)
    def page_fits(self, data: dict[str, Any], **kwargs: Any) -> None:
        limits = LimitsSettings(**data)
        if limits.page_size > limits.max_results:
            raise ValidationError({"page_size": ["must not be more than limits.max_results"]})


class LifecycleTable(Table):
    made = LifecycleSettings
    adoption = Text(validate=OneOf(("match", "approve", "refuse"), error="must be one of: {choices}"))
    unique_email = Switch()
    delete = Text(validate=OneOf(("retire", "remove"), error="must be one of: {choices}"))


class ProtectedTable(Table):
    made = ProtectedSettings
    users = Text(validate=Length(min=1, error="must not be empty"))
    groups = Text(validate=Length(min=1, error="must not be empty"))
    bases = Bases()
    hidden = Switch()

    @post_load
    def make(self, data: dict[str, Any], **kwargs: Any) -> ProtectedSettings:
        return ProtectedSettings(**{**data, "bases": tuple(data.get("bases", ()))})


class BrakesTable(Table):
    made = BrakesSettings
    window_minutes = Whole(1, 10_080)
    deactivations = Whole(0, 10_000_000)
    deletions = Whole(0, 10_000_000)
    member_removals = Whole(0, 10_000_000)
    share = Whole(0, 100)


class ServerTable(Table):
    made = ServerSettings
    workers = Whole(1, 256)
    threads = Whole(1, 256)
    pin_workers = Switch()
    timeout_seconds = Whole(1, 3600)
    graceful_timeout_seconds = Whole(1, 3600)
    trusted_proxies = fields.List(Network(), error_messages={"invalid": "must be a list"})

    @post_load
    def make(self, data: dict[str, Any], **kwargs: Any) -> ServerSettings:
        return ServerSettings(**{**data, "trusted_proxies": tuple(data.get("trusted_proxies", ()))})


class MetricsTable(Table):
    made = MetricsSettings
    enabled = Switch()
    token = Token()


class LogTable(Table):
    made = LogSettings
    level = Text(validate=OneOf(("debug", "info", "warning", "error", "critical"), error="must be one of: {choices}"))
    format = Text(validate=OneOf(("text", "json"), error="must be one of: {choices}"))


class SettingsTable(Table):
    made = Settings
    home = Directory()
    bind = Bind()
    public_url = BaseUrl()
    backend = Text(validate=Regexp(_BACKEND, error="must be sql, ldap or package.module:factory"))
    mode = Text(validate=OneOf(("provision", "rehearse"), error="must be one of: {choices}"))
    sql = fields.Nested(SqlTable)
    ldap = fields.Nested(LdapTable)
    control = fields.Nested(ControlTable)
    audit = fields.Nested(AuditTable)
    oauth = fields.Nested(OAuthTable)
    lifecycle = fields.Nested(LifecycleTable)
    brakes = fields.Nested(BrakesTable)
    limits = fields.Nested(LimitsTable)
    protected = fields.Nested(ProtectedTable)
    server = fields.Nested(ServerTable)
    metrics = fields.Nested(MetricsTable)
    log = fields.Nested(LogTable)

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def directory_is_named(self, data: dict[str, Any], original: Mapping[str, Any], **kwargs: Any) -> None:
        given = original.get("ldap", {})
        if data.get("backend") != "ldap" or not isinstance(given, Mapping):
            return
        needed = ("servers", "bind_dn", "password", "bindings")
        faults = {name: ['must be set when backend is "ldap"'] for name in needed if given.get(name, []) == []}
        authorities = given.get("ca_file")
        if isinstance(authorities, str) and authorities and not Path(authorities).is_file():
            faults["ca_file"] = [f"{authorities} is not there"]
        if faults:
            raise ValidationError({"ldap": faults})


def leaves(messages: Any, key: Key = ()) -> Iterator[tuple[Key, str]]:
    """Key and text of each of marshmallow's nested messages; a place in a list counts as a part of the key."""
    if isinstance(messages, Mapping):
        for name, inner in messages.items():
            yield from leaves(inner, key if name == "_schema" else (*key, name))
    else:
        yield from ((key, message) for message in messages)
