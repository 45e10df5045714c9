"""The few things that SQLite, PostgreSQL and MariaDB do not say or do alike."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, ColumnElement, Text, case, cast, collate, func

_GRACE_SECONDS = 2
"""How much longer than the server's own limit the client waits for an answer before it takes the server for hung."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """In seconds: to get a connection, and to get the answer to one statement."""

    connect: int
    statement: int


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one kind of database needs.

    `begin` starts a transaction that may write. `contains(text, part)` is above 0 where the text has the part,
    `ends(text, length)` are its last characters, `text_of` is the text of a number. `array` makes a JSON array of its
    arguments, `whole` is an array as text, `gathered` the text of one of all that a query finds (where it finds
    nothing, of an empty one, or NULL); `exact` is a decimal in a form that gives the same number back. `session` are
    statements for each new connection, `arguments` what the driver is given. `connect` makes the connection, where the
    driver's own way will not do. `single_writer`: only one transaction at a time can write.
    """

    name: str
    begin: str
    contains: Callable[[Any, Any], ColumnElement[int]]
    ends: Callable[[Any, Any], ColumnElement[str]]
    text_of: Callable[[Any], ColumnElement[str]]
    array: Callable[..., ColumnElement[Any]]
    whole: Callable[[Any], ColumnElement[str]]
    gathered: Callable[[Any], ColumnElement[str]]
    exact: Callable[[Any], ColumnElement[Any]]
    session: Callable[[Timeouts], tuple[str, ...]]
    arguments: Callable[[Timeouts], dict[str, Any]]
    connect: Callable[[Timeouts, dict[str, Any]], Any] | None = None
    single_writer: bool = False


def _connect_postgresql(timeouts: Timeouts, arguments: dict[str, Any]) -> Any:
    # Not at the top: who has no PostgreSQL need not have its driver.
    from backends.sql import postgresql  # noqa: PLC0415

    return postgresql.connect(arguments, timeouts.statement + _GRACE_SECONDS)


def _connect_mariadb(_: Timeouts, arguments: dict[str, Any]) -> Any:
    # Not at the top either.
    import pymysql  # noqa: PLC0415

    try:
        return pymysql.connect(**arguments)
    except (AttributeError, OSError, TypeError, ValueError) as error:
        # It says so of an option in the address that it does not know, or whose file can't be read.
        raise pymysql.OperationalError(f"the options in the address can't be used: {error}") from error


_SQLITE = Dialect(
    name="sqlite",
    begin="BEGIN IMMEDIATE",
    contains=func.instr,
    ends=lambda text, length: func.substr(text, -length),
    text_of=lambda number: cast(number, Text),
    array=func.json_array,
    whole=lambda array: array,
    gathered=func.json_group_array,
    # In JSON it would have 15 digits.
    exact=lambda number: case((number.is_not(None), func.printf("%!.20g", number))),
    session=lambda timeouts: (
        f"PRAGMA busy_timeout = {timeouts.statement * 1000}",
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",
        "PRAGMA foreign_keys = ON",
    ),
    arguments=lambda timeouts: {"check_same_thread": False, "timeout": timeouts.statement},
    single_writer=True,
)

_POSTGRESQL = Dialect(
    name="postgresql",
    begin="BEGIN ISOLATION LEVEL READ COMMITTED",
    contains=func.strpos,
    ends=func.right,
    text_of=lambda number: collate(cast(number, Text), "C"),
    array=func.json_build_array,
    # The driver would read JSON itself, and slowly.
    whole=lambda array: cast(array, Text),
    gathered=lambda item: cast(func.json_agg(item), Text),
    exact=lambda number: number,
    session=lambda timeouts: (
        f"SET statement_timeout = {timeouts.statement * 1000}",
        f"SET idle_in_transaction_session_timeout = {timeouts.statement * 2000}",
        # A plan made while a table was small would be kept when it is not any more.
        "SET plan_cache_mode = force_custom_plan",
        "SET TimeZone = 'UTC'",
    ),
    arguments=lambda timeouts: {"connect_timeout": timeouts.connect},
    connect=_connect_postgresql,
)

_MARIADB = Dialect(
    name="mysql",
    begin="START TRANSACTION",
    contains=func.instr,
    ends=func.right,
    text_of=lambda number: collate(cast(number, Text), "utf8mb4_nopad_bin"),
    array=func.json_array,
    whole=lambda array: array,
    gathered=func.json_arrayagg,
    exact=lambda number: number,
    session=lambda timeouts: (
        f"SET max_statement_time = {timeouts.statement}, innodb_lock_wait_timeout = {timeouts.statement}",
        "SET tx_isolation = 'READ-COMMITTED', sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
        # Of JSON_ARRAYAGG no more would come than this; it is as much as can be set.
        "SET max_sort_length = 4096, time_zone = '+00:00', group_concat_max_len = 1073741824",
    ),
    arguments=lambda timeouts: {
        "charset": "utf8mb4",
        "collation": "utf8mb4_nopad_bin",
        "connect_timeout": timeouts.connect,
        "read_timeout": timeouts.statement + _GRACE_SECONDS,
        "write_timeout": timeouts.statement + _GRACE_SECONDS,
    },
    connect=_connect_mariadb,
)

_ALL = {"sqlite": _SQLITE, "postgresql": _POSTGRESQL, "mysql": _MARIADB, "mariadb": _MARIADB}


def of(url: URL) -> Dialect:
    """The dialect of a database address. Raises KeyError for another kind of database."""
    return _ALL[url.get_backend_name()]


def make_file(url: URL) -> None:
    """Afterwards the file of a SQLite database exists in write-ahead mode and only its owner can read it; a file that
    was there is left alone, and so are other databases. What can't be done is reported when the file is opened.
    """
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return
    path = Path(url.database)
    try:
        path.absolute().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory = os.open(path.absolute().parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return
    try:
        # Of several processes that start at once one makes the file: two can't turn on write-ahead logging.
        fcntl.flock(directory, fcntl.LOCK_EX)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    except (OSError, sqlite3.Error):
        return
    finally:
        os.close(directory)
