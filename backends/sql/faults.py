"""What went wrong in the database, in the words of the seam. The only place that reads library exceptions."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError, SQLAlchemyError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.scim.query import Slot
from backends.errors import Duplicate, ReadOnly, RejectedValue, StoreError, Unavailable, UnknownReference

Code = str | int | None
Codes = frozenset[str | int]

_RETRY_SOON = 1
_CONTENDED: Codes = frozenset(("40001", "40P01", 1213, 1205, 1020))
_UNIQUE: Codes = frozenset(("23505", 1062, 1586, "SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"))
_FOREIGN: Codes = frozenset(("23503", 1452, 1216, "SQLITE_CONSTRAINT_FOREIGNKEY"))
_READ_ONLY: Codes = frozenset(("25006", "42501", 1290, 1792, 1836, 1142, "SQLITE_READONLY"))
_REJECTED: Codes = frozenset((1406, 1264, 1366, 1292, 1118, 1153, 1048, 3988, "SQLITE_TOOBIG", "SQLITE_MISMATCH"))
_UNAVAILABLE: Codes = frozenset(
    (
        *("57014", "55P03", "25P03", "57P01", "57P02", "57P03", "57P05", "58030"),
        *(
            1021,
            1040,
            1041,
            1042,
            1043,
            1044,
            1045,
            1049,
            1053,
            1077,
            1114,
            1135,
            1158,
            1159,
            1160,
            1161,
            1180,
            1203,
            1205,
            1226,
        ),
        *(1317, 1927, 1969, 2002, 2003, 2005, 2006, 2013, 2014, 2055),
        *("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_NOMEM"),
        *("SQLITE_INTERRUPT", "SQLITE_PROTOCOL"),
    )
)
_UNAVAILABLE_CLASSES = ("08", "53", "57P")
_REJECTED_CLASSES = ("22", "54", "23502", "23514")


@dataclass(frozen=True, slots=True)
class Faults:
    """Translates for one set of tables: `unique` maps the name that a violation gives to the slot, `relations` the
    table that keeps a relation to its name."""

    unique: Mapping[str, Slot]
    relations: Mapping[str, str]

    def translate(self, error: SQLAlchemyError) -> StoreError:
        """The fact that an exception of the library reports; plain StoreError for what was not foreseen."""
        if isinstance(error, PoolTimeout):
            return Unavailable(_RETRY_SOON)
        if not isinstance(error, DBAPIError):
            return RejectedValue("value", "can't be stored") if isinstance(error, StatementError) else _unforeseen()
        code = code_of(error)
        if code in _UNIQUE:
            return Duplicate(self._unique_slot(error))
        if code in _FOREIGN:
            return UnknownReference(self._relation(error), ())
        if code in _CONTENDED:
            return Unavailable(_RETRY_SOON)
        if _is(code, _READ_ONLY):
            return ReadOnly("the database takes no writes")
        if error.connection_invalidated or _is(code, _UNAVAILABLE, _UNAVAILABLE_CLASSES) or _not_connected(error):
            return Unavailable()
        if _is(code, _REJECTED, _REJECTED_CLASSES):
            return RejectedValue("value", "can't be stored")
        return _unforeseen()

    def _unique_slot(self, error: DBAPIError) -> Slot | None:
        text = str(error.orig)
        diag = getattr(error.orig, "diag", None)
        named = [getattr(diag, "constraint_name", None) or ""]
        named += re.findall(r"UNIQUE constraint failed: ([\w.]+)", text)
        # MariaDB repeats the value before the key, so that only the last quotes are the key's.
        named += [key.rpartition(".")[2] for key in re.findall(r"for key '([^']*)'[^']*$", text)]
        return next((self.unique[name] for name in named if name in self.unique), None)

    def _relation(self, error: DBAPIError) -> str:
        text = str(error.orig)
        names = [relation for table, relation in self.relations.items() if table in text]
        return next(iter((*names, *self.relations.values())), "")


def code_of(error: DBAPIError) -> Code:
    """SQLSTATE of PostgreSQL, error number of MariaDB, or result name of SQLite."""
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorname", None)
    first = cause.args[0] if cause is not None and cause.args else None
    # PyMySQL gives both; the SQLSTATE is the less exact.
    return first if isinstance(first, int) else getattr(cause, "sqlstate", None)


def is_contention(error: DBAPIError) -> bool:
    """Two transactions got in each other's way: the same one can succeed when it is tried again."""
    return code_of(error) in _CONTENDED


def is_lost_connection(error: DBAPIError) -> bool:
    """The connection was dead, as after a restart of the server; a hung server is not meant."""
    return error.connection_invalidated and "timed out" not in str(error.orig) and "timeout" not in str(error.orig)


def _is(code: Code, codes: Codes, classes: tuple[str, ...] = ()) -> bool:
    if isinstance(code, str) and code.startswith("SQLITE_"):
        # Extended results such as SQLITE_IOERR_WRITE refine the basic one.
        return any(code == c or code.startswith(f"{c}_") for c in codes if isinstance(c, str))
    return code in codes or (isinstance(code, str) and code.startswith(classes or ("-",)))


def _not_connected(error: DBAPIError) -> bool:
    """psycopg gives no code when there is no connection at all."""
    return error.statement is None and code_of(error) is None


def _unforeseen() -> StoreError:
    return StoreError("the database reported an error that was not foreseen")
