"""The private LDAP servers of the tests, by the names that BACKENDS has for them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from uuid import uuid4

from tests.support.directory_389ds import DirectoryServer389
from tests.support.directory_base import Directory, Tree
from tests.support.directory_openldap import OpenLDAP
from tests.support.directory_samba import SambaAD
from tests.support.directory_tls import Authority, Identity, authority

# The same in each worker of pytest-xdist.
_RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid4().hex


def _samba() -> SambaAD:
    return SambaAD(shared=Path(tempfile.gettempdir(), f"landfall-domain-{_RUN}"))


DIRECTORY_SERVERS: Mapping[str, Callable[[], Directory]] = {
    "openldap": OpenLDAP,
    "389ds": DirectoryServer389,
    "samba": _samba,
}


def selected_directories() -> tuple[str, ...]:
    """Those kinds of directory that BACKENDS names, in a fixed order; all of them when it is not set."""
    text = os.environ.get("BACKENDS") or ",".join(DIRECTORY_SERVERS)
    names = {name.strip() for name in text.split(",")}
    return tuple(name for name in DIRECTORY_SERVERS if name in names)


__all__ = [
    "DIRECTORY_SERVERS",
    "Authority",
    "Directory",
    "DirectoryServer389",
    "Identity",
    "OpenLDAP",
    "SambaAD",
    "Tree",
    "authority",
    "selected_directories",
]
