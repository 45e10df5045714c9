"""The back end that the settings name."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from app.scim.query import Draft
from app.scim.registry import Registry
from backends import open_backend
from backends.sql.backend import SqlBackend
from backends.sql.upgrade import upgrade
from config.errors import ConfigError
from config.settings import Settings

FOREIGN = """
from tests.support.reference import ReferenceBackend

def make(settings, registry):
    return ReferenceBackend(registry)

def nothing(settings, registry):
    return None
"""


def test_sql_is_the_default(tmp_path: Path, registry: Registry) -> None:
    """Without any setting it is a SQLite file in the home directory."""
    settings = replace(Settings(), home=tmp_path)
    upgrade(settings.sql_url.reveal())
    backend = open_backend(settings, registry)
    assert isinstance(backend, SqlBackend)
    backend.check()
    backend.create("User", Draft({"userName": "ann@corp.example"}))
    assert (tmp_path / "landfall.db").exists()
    backend.close()


def test_a_third_partys(tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dotted path is imported and its factory called; what can't be imported or gives no back end is refused."""
    (tmp_path / "foreign_store.py").write_text(FOREIGN)
    monkeypatch.syspath_prepend(tmp_path)
    settings = Settings()
    backend = open_backend(replace(settings, backend="foreign_store:make"), registry)
    assert backend.create("User", Draft({"userName": "ann@corp.example"})).values == {"userName": "ann@corp.example"}
    for wrong in ("foreign_store:nothing", "foreign_store:absent", "absent_store:make"):
        with pytest.raises(ConfigError, match="backend"):
            open_backend(replace(settings, backend=wrong), registry)
    del sys.modules["foreign_store"]
