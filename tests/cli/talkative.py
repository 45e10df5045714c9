"""`landfall` in which a fault is logged whenever the control store or the back end is opened; each command that prints
JSON opens one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from app.cli import main
from app.cli.operator import Operator
from app.control import ControlStore
from backends.base import Backend

_log = structlog.get_logger("tests")
_check, _backend = ControlStore.check, Operator.backend


def _checking(self: ControlStore) -> None:
    _tell()
    _check(self)


@contextmanager
def _opening(self: Operator) -> Iterator[Backend]:
    with _backend(self) as backend:
        _tell()
        yield backend


def _tell() -> None:
    try:
        raise LookupError("said beside")
    except LookupError:
        _log.exception("a fault")


if __name__ == "__main__":
    ControlStore.check = _checking  # type: ignore[method-assign]
    Operator.backend = _opening  # type: ignore[method-assign]
    main()
