"""Records of writes as messages of syslog (RFC 5424), each with the record as JSON."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from logging import INFO, LogRecord, makeLogRecord
from logging.handlers import SysLogHandler
from urllib.parse import urlsplit

import orjson
import structlog

from app.control import AuditRecord
from app.services.audit.record import described

_MOST = 8192
"""Octets of a record in a message: of a larger one the values are left out, for a datagram may not be sent else."""
_log = structlog.get_logger("landfall.audit")


class Syslog:
    """Sends each record that came into the trail, once. What can't be sent is told in the log: the trail has it."""

    def __init__(self, address: str) -> None:
        """`address` is the path of a socket or udp://HOST:PORT."""
        self._address = address
        self._handler: _Handler | None = None

    def send(self, records: Sequence[AuditRecord]) -> None:
        """The records have been sent as far as the system took them."""
        for record in records:
            try:
                self._open().emit(makeLogRecord({"msg": _message(record), "levelno": INFO, "levelname": "INFO"}))
            except (OSError, ValueError) as error:
                # A host or port that there can't be is a ValueError to the socket.
                self.close()
                _log.error("not sent to syslog", seq=record.seq, reason=str(error))

    def close(self) -> None:
        """The socket is given back; the next record opens another one."""
        if self._handler is not None:
            self._handler.close()
            self._handler = None

    def _open(self) -> _Handler:
        if self._handler is None:
            self._handler = _Handler(_where(self._address), facility=SysLogHandler.LOG_AUTHPRIV)
        return self._handler


class _Handler(SysLogHandler):
    append_nul = False

    def handleError(self, record: LogRecord) -> None:  # noqa: N802 - the name is that of the library
        raise  # noqa: PLE0704 - called while the error is handled


def _where(address: str) -> str | tuple[str, int]:
    if not address.startswith("udp://"):
        return address
    parts = urlsplit(address)
    return parts.hostname or "", parts.port or 514


def _message(record: AuditRecord) -> str:
    content = orjson.dumps(described(record))
    if len(content) > _MOST:
        content = orjson.dumps({**described(record), "changes": {"omitted": len(content)}})
    time = record.time.isoformat(timespec="microseconds").replace("+00:00", "Z")
    host = socket.gethostname() or "-"
    return f"1 {time} {host} landfall {os.getpid()} audit - {content.decode()}"
