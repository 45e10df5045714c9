"""Reading the configuration: defaults, then a TOML file, then environment variables."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from marshmallow import Schema, ValidationError, fields

from config.errors import ConfigError, Fault
from config.fields import Bases, Hidden, Switch, Whole
from config.schema import SettingsTable, leaves
from config.settings import Settings

PREFIX = "LANDFALL_"
FILE_VARIABLE = "LANDFALL_CONFIG"
# Container platforms announce a service called "landfall" to its neighbours by variables of these names.
_SERVICE_LINK = re.compile(r"LANDFALL_(SERVICE_(HOST|PORT)(_\w+)?|PORT(_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)?)")

Key = tuple[str, ...]


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """The settings in force.

    `path` is the TOML file; None means the one that `LANDFALL_CONFIG` names, or none at all. A variable
    `LANDFALL_SQL_URL` overrides the key `sql.url`, and `LANDFALL_SQL_URL_FILE` names a file that holds that
    secret (a line break at its end does not count). The items of a list are separated by commas, DNs by
    semicolons.

    Raises ConfigError with every fault at once: unreadable files, unknown keys and variables, wrong types
    and values.
    """
    faults: list[Fault] = []
    document = _read_toml(path or _path(environ.get(FILE_VARIABLE)), faults)
    _overlay(document, environ, faults)
    settings = Settings()
    try:
        settings = SettingsTable().load(document)
    except ValidationError as error:
        faults.extend(Fault(".".join(map(str, key)), message) for key, message in leaves(error.messages))
    if faults:
        raise ConfigError(sorted(faults))
    return settings


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _read_toml(path: Path | None, faults: list[Fault]) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        faults.append(Fault(str(path), f"cannot be read: {error.strerror}"))
    except UnicodeDecodeError:
        faults.append(Fault(str(path), "is not UTF-8"))
    except tomllib.TOMLDecodeError as error:
        faults.append(Fault(str(path), f"is not TOML: {error}"))
    return {}


def _overlay(document: dict[str, Any], environ: Mapping[str, str], faults: list[Fault]) -> None:
    """Put the values of the environment over those of the file, and note what cannot be read."""
    known = {PREFIX + "_".join(key).upper(): (key, field) for key, field in _keys(SettingsTable(), ())}
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name == FILE_VARIABLE or _SERVICE_LINK.fullmatch(name):
            continue
        plain = name.removesuffix("_FILE")
        key, field = known.get(name) or known.get(plain) or ((), None)
        if field is None or (name not in known and not isinstance(field, Hidden)):
            faults.append(Fault(name, "there is no such variable"))
        elif name in known and not _is_text(environ[name]):
            faults.append(Fault(name, "is not UTF-8 text"))
        elif name in known:
            _put(document, key, _decode(environ[name], field))
        elif plain in environ:
            faults.append(Fault(name, f"and {plain} must not both be set"))
        else:
            _put_secret(document, key, name, environ[name], faults)


def _keys(schema: Schema, above: Key) -> Iterator[tuple[Key, fields.Field[Any]]]:
    for name, field in schema.fields.items():
        if isinstance(field, fields.Nested):
            yield from _keys(field.schema, (*above, name))
        else:
            yield (*above, name), field


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        # Python passes octets that it can't decode as halves of surrogate pairs.
        return False
    return True


def _decode(text: str, field: fields.Field[Any]) -> Any:
    """The value that a file would have held; text that is none stays text, for the field to refuse."""
    if isinstance(field, Whole) and re.fullmatch(r"-?[0-9]{1,18}", text):
        return int(text)
    if isinstance(field, Switch) and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if isinstance(field, fields.List):
        items = text.split(";" if isinstance(field, Bases) else ",")
        return [item.strip() for item in items if item.strip()]
    return text


def _put(document: dict[str, Any], key: Key, value: Any) -> None:
    table: Any = document
    for name in key[:-1]:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            return
    table[key[-1]] = value


def _put_secret(document: dict[str, Any], key: Key, name: str, path: str, faults: list[Fault]) -> None:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        faults.append(Fault(name, f"{path} cannot be read: {error.strerror}"))
    except ValueError:
        faults.append(Fault(name, f"{path} is not UTF-8 text"))
    else:
        _put(document, key, text.removesuffix("\n").removesuffix("\r"))
