"""The service without its audit, to measure what that costs. Operators have no switch for it."""

from __future__ import annotations

import os
from typing import Any, cast
from unittest.mock import patch

from app.factory import create_app
from app.services.audit import AuditJournal
from app.services.journal import Write
from config.loader import load


class _NoJournal:
    def start(self) -> None:
        pass

    def begin(self, write: Write) -> None:
        pass

    def end(self, write: Write) -> None:
        pass

    def close(self) -> None:
        pass


def _no_audit(*_: Any) -> AuditJournal:
    return cast(AuditJournal, _NoJournal())


with patch("app.factory.open_audit", _no_audit):
    application = create_app(load(None, os.environ))
