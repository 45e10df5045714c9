"""The shape that a configuration must have: one marshmallow schema for each table, one field for each key.

Fields are strict: a TOML value of another type is a fault and is never converted. The defaults are those of
`config.settings`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from marshmallow import Schema, ValidationError, fields, post_load, validates_schema
from marshmallow.validate import Length, OneOf, Range, Regexp

from config.directory import Key, Kind
from config.ldap_text import is_dn, server_address
from config.secret import Secret
from config.settings import (
    AuditSettings,
    BrakesSettings,
    ControlSettings,
    LdapSettings,
    LifecycleSettings,
    LimitsSettings,
    LogSettings,
    OAuthSettings,
    ProtectedSettings,
    ServerSettings,
    Settings,
    SqlSettings,
)
from config.sql_url import normalise

_BIND = re.compile(r"(?P<host>\[(?P<v6>[0-9A-Fa-f:.]+)\]|[A-Za-z0-9_.-]+):(?P<port>[0-9]{1,5})")
_ACCOUNT = re.compile(r"[^@\s]+@[^@\s]+")
_TOML_PATH = re.compile(r"[^\x00-\x1f]+\.toml")
_SYSLOG = re.compile(r"/[^\x00-\x1f]+|udp://(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::[0-9]{1,5})?")
_BACKEND = re.compile(r"(?:sql|ldap|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*)\Z")


class Text(fields.String):
    """A string, exactly as written."""

    default_error_messages = {"invalid": "must be a string"}  # noqa: RUF012


class Whole(fields.Integer):
    """A whole number in a closed range."""

    default_error_messages = {"invalid": "must be a whole number"}  # noqa: RUF012

    def __init__(self, low: int, high: int) -> None:
        super().__init__(strict=True, validate=Range(low, high, error="must be {min} to {max}"))

    def _validated(self, value: Any) -> int:
        # The base class also takes digits in a string.
        if type(value) is not int:
            raise self.make_error("invalid")
        return value


class Switch(fields.Boolean):
    """true or false, and nothing that is like it."""

    default_error_messages = {"invalid": "must be true or false"}  # noqa: RUF012

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> bool:
        if type(value) is not bool:
            raise self.make_error("invalid")
        return value


class Directory(fields.Field[Path]):
    """A path. "?" would end the file name in a SQLite address, NUL in the operating system's."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Path:
        if not isinstance(value, str) or not value or re.search(r"[?\x00-\x1f]", value):
            raise ValidationError('must be the path of a directory, without "?" or control characters')
        return Path(value)


class Bind(fields.Field[str]):
    """HOST:PORT, an IPv6 address in brackets."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        found = _BIND.fullmatch(value) if isinstance(value, str) else None
        if found is None or not 1 <= int(found["port"]) <= 65535 or not _is_v6(found["v6"]):
            raise ValidationError("must be HOST:PORT, with an IPv6 address in brackets")
        return found[0]


class BaseUrl(fields.Field[str]):
    """An http or https URL that other URLs are made from by appending a path."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        if not isinstance(value, str) or not _is_base_url(value):
            raise ValidationError("must be http://HOST or https://HOST, with an optional port and path and no more")
        return value.rstrip("/")


class Hidden(fields.Field[Secret]):
    """A value that must not be printed; an environment variable may name a file that holds it."""


class SqlUrl(Hidden):
    """The address of a SQL database, which may hold a password."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Secret:
        if not isinstance(value, str):
            raise ValidationError("must be a string")
        try:
            return Secret(normalise(value))
        except ValueError as reason:
            raise ValidationError(str(reason)) from None


class Password(Hidden):
    """A password, exactly as written. An empty one would make a simple bind anonymous (RFC 4513 section 5.1.2)."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Secret:
        if not isinstance(value, str) or not value:
            raise ValidationError("must be a string that is not empty")
        return Secret(value)


class LdapServer(fields.Field[str]):
    """The address of a directory server."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError("must be a string")
        try:
            server_address(value)
        except ValueError as reason:
            raise ValidationError(str(reason)) from None
        return value


class BindName(fields.Field[str]):
    """The name of an account in a simple bind: a DN (RFC 4514), or NAME@DOMAIN, which Active Directory takes too."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        if not isinstance(value, str) or not (is_dn(value) or _ACCOUNT.fullmatch(value)):
            raise ValidationError("must be a DN, such as cn=landfall,dc=example,dc=org, or NAME@DOMAIN")
        return value


class Base(fields.Field[str]):
    """The DN of the top of a subtree."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        if not isinstance(value, str) or not is_dn(value):
            raise ValidationError("must be a DN, such as ou=admins,dc=example,dc=org")
        return value


class Bases(fields.List[str]):
    """DNs. Commas stand in them, so that in an environment variable they are separated by semicolons."""

    def __init__(self) -> None:
        super().__init__(Base(), error_messages={"invalid": "must be a list"})


class BindingsName(fields.Field[str]):
    """The name of a bindings file that is part of the program, or the path of another."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        if not isinstance(value, str) or not (value in set(Kind) or _TOML_PATH.fullmatch(value)):
            raise ValidationError(f"must be one of: {', '.join(Kind)}, or the path of a .toml file")
        return value


class File(fields.Field[Path]):
    """The path of a file."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Path:
        if not isinstance(value, str) or not value or re.search(r"[\x00-\x1f]", value):
            raise ValidationError("must be the path of a file, without control characters")
        return Path(value)


class SyslogAddress(fields.Field[str]):
    """Where a syslog server listens: the path of a socket, or UDP on a host."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        if not isinstance(value, str) or not _SYSLOG.fullmatch(value) or not _has_port(value):
            raise ValidationError("must be the path of a socket, such as /dev/log, or udp://HOST or udp://HOST:PORT")
        return value


class Network(fields.Field[str]):
    """An IP address or network."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        try:
            if isinstance(value, str):
                ipaddress.ip_network(value)
                return value
        except ValueError:
            pass
        raise ValidationError("must be an IP address, or a network such as 10.0.0.0/8")


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
    timeout_seconds = Whole(1, 3600)
    graceful_timeout_seconds = Whole(1, 3600)
    trusted_proxies = fields.List(Network(), error_messages={"invalid": "must be a list"})

    @post_load
    def make(self, data: dict[str, Any], **kwargs: Any) -> ServerSettings:
        return ServerSettings(**{**data, "trusted_proxies": tuple(data.get("trusted_proxies", ()))})


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


def _is_v6(text: str | None) -> bool:
    """True for an IPv6 address, and where there is none to check."""
    try:
        return text is None or bool(ipaddress.IPv6Address(text))
    except ValueError:
        return False


def _has_port(text: str) -> bool:
    """True for an address without a port or with one that there can be."""
    try:
        return text.startswith("/") or (urlsplit(text).port or 1) > 0
    except ValueError:
        return False


def _is_base_url(text: str) -> bool:
    if re.search(r"[^\x21-\x7e]|[?#\\\"<>^`{|}]", text):
        return False
    try:
        parts = urlsplit(text)
        valid_port = parts.port is None or parts.port > 0
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc and valid_port
