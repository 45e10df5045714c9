"""SQL database addresses as operators write them, and as SQLAlchemy needs them."""

from __future__ import annotations

import re

_DRIVERS = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mysql+pymysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
    "mariadb+pymysql": "mysql+pymysql",
}
# It ends at the first "@", as in SQLAlchemy, so that "/" and "?" in a password are read the same way.
_USER = re.compile(r"[^:/@]*(?::[^@]*)?@")
_PLACE = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:/?@]*)(?::\d{1,5})?/(?P<database>[^/?]+)(?:\?(?P<query>.*))?")


def normalise(url: str) -> str:
    """The same database under the SQLAlchemy driver that this program uses for it.

    `sqlite:///FILE` stays; PostgreSQL becomes `postgresql+psycopg://`, MySQL and MariaDB `mysql+pymysql://`
    with `charset=utf8mb4` unless the address names a character set. Normalising twice changes nothing.

    Raises ValueError, with a message that repeats nothing of the address, for anything else: another kind of
    database, no database name, or SQLite in memory (each worker process would have its own).
    """
    scheme, separator, rest = url.partition("://")
    driver = _DRIVERS.get(scheme.lower())
    if not separator or driver is None:
        raise ValueError("must start with sqlite:///, postgresql:// or mariadb://")
    if driver == "sqlite":
        return f"{driver}://{_file(rest)}"
    if " " in rest or not rest.isprintable():
        raise ValueError("must not contain white space or control characters: percent-encode them")
    place = _PLACE.fullmatch(_without_user(rest))
    if place is None:
        raise ValueError(
            "must have the form NAME://USER:PASSWORD@HOST:PORT/DATABASE, in which "
            "special characters of the password are percent-encoded, @ as %40"
        )
    if driver == "mysql+pymysql" and not re.search(r"(?:^|&)charset=", place["query"] or ""):
        return f"{driver}://{rest}{'?' if place['query'] is None else '&'}charset=utf8mb4"
    return f"{driver}://{rest}"


def without_password(url: str) -> str:
    """The address for messages to the operator: its password is masked and its query left out.

    `url` is one that `normalise` returned.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite":
        return url.partition("?")[0]
    place = _without_user(rest)
    user = rest[: len(rest) - len(place)]
    name, colon, _ = user.rstrip("@").partition(":")
    shown = f"{name}{':***' if colon else ''}@" if user else ""
    return f"{scheme}://{shown}{place.partition('?')[0]}"


def sqlite_file(url: str) -> str | None:
    """The path of the database file of an address that `normalise` returned; None for a database server."""
    if not url.startswith("sqlite:///"):
        return None
    return url.removeprefix("sqlite:///").partition("?")[0]


def _file(rest: str) -> str:
    path = rest.removeprefix("/").partition("?")[0]
    if not rest.startswith("/") or not path:
        raise ValueError("must name a file: sqlite:///relative/path or sqlite:////absolute/path")
    if not rest.isprintable():
        raise ValueError("must not contain control characters")
    if path == ":memory:" or path.startswith("file:"):
        raise ValueError("must name a file: in memory, each worker process would have a database of its own")
    return rest


def _without_user(rest: str) -> str:
    user = _USER.match(rest)
    return rest[user.end() :] if user else rest
