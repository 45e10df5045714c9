"""What the keys of a configuration may hold: strict marshmallow fields. A TOML value of another type is a fault to them
and is never converted.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from marshmallow import ValidationError, fields
from marshmallow.validate import Range

from config.directory import Kind
from config.ldap_text import is_dn, server_address
from config.secret import Secret
from config.sql_url import normalise

_BIND = re.compile(r"(?P<host>\[(?P<v6>[0-9A-Fa-f:.]+)\]|[A-Za-z0-9_.-]+):(?P<port>[0-9]{1,5})")
_ACCOUNT = re.compile(r"[^@\s]+@[^@\s]+")
_TOML_PATH = re.compile(r"[^\x00-\x1f]+\.toml")
_SYSLOG = re.compile(r"/[^\x00-\x1f]+|udp://(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::[0-9]{1,5})?")
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{16,1000}=*")


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


class Token(Hidden):
    """A token that a client sends (RFC 6750 section 2.1)."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Secret:
        if not isinstance(value, str) or not _TOKEN.fullmatch(value):
            raise ValidationError("must be at least 16 letters, digits and characters of -._~+/")
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
        if not isinstance(value, str) or not _SYSLOG.fullmatch(value) or not _is_place(value):
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


def _is_v6(text: str | None) -> bool:
    """True for an IPv6 address, and where there is none to check."""
    try:
        return text is None or bool(ipaddress.IPv6Address(text))
    except ValueError:
        return False


def _is_place(text: str) -> bool:
    """True for a path, and for an address of a host that can have that name and without a port or with one that there
    can be."""
    if text.startswith("/"):
        return True
    try:
        parts = urlsplit(text)
        (parts.hostname or "").encode("idna")
        return (parts.port or 1) > 0
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
