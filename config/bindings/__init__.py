"""Reading bindings files. The ones that are shipped stand beside this module and describe each key for operators."""

from __future__ import annotations

import re
import tomllib
from importlib import resources
from pathlib import Path

from marshmallow import ValidationError

from config.bindings_schema import BindingsTable
from config.directory import Bindings, Kind, fault_at, line_of
from config.errors import ConfigError, Fault
from config.schema import leaves
from config.toml_lines import lines

_AT_LINE = re.compile(r"\(at line (\d+), column \d+\)")


def load_bindings(source: str | Path) -> Bindings:
    """The bindings of a file: `source` is its path, or the name of a shipped one (one of `config.directory.Kind`).

    Raises ConfigError with every fault at once, each with the line to mend.
    """
    shipped = f"{source}.toml" if source in set(Kind) else None
    path = Path(shipped or source)
    try:
        octets = resources.files(__name__).joinpath(shipped).read_bytes() if shipped else path.read_bytes()
        text = octets.decode("utf-8")
    except OSError as error:
        raise ConfigError([Fault(str(path), f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([Fault(str(path), "is not UTF-8")]) from error
    return parse_bindings(text, path)


def parse_bindings(text: str, source: Path) -> Bindings:
    """The bindings that a TOML text describes; `source` names it in messages. Raises ConfigError as `load_bindings`."""
    text = text.replace("\r\n", "\n")
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([_not_toml(str(error), text, source)]) from error
    known = lines(text)
    try:
        parts = BindingsTable().load(document)
    except ValidationError as error:
        faults = sorted(leaves(error.messages), key=lambda leaf: (line_of(known, leaf[0]), str(leaf[0])))
        raise ConfigError([fault_at(source, known, key, message) for key, message in faults]) from None
    return Bindings(**parts, source=source, lines=known)


def _not_toml(message: str, text: str, source: Path) -> Fault:
    found = _AT_LINE.search(message)
    line = int(found[1]) if found else text.count("\n") + 1
    return Fault(f"{source.name} line {line}", f"is not TOML: {message}")
