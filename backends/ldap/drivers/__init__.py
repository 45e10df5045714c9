"""Client libraries for LDAP behind one interface; nothing of theirs is seen outside of this package."""

from __future__ import annotations

from collections.abc import Callable

from backends.ldap.drivers.base import Access, Address, Connection
from config.errors import ConfigError, Fault

LDAP3 = "ldap3"
PYTHON_LDAP = "python-ldap"


def connector(driver: str) -> Callable[[Address, Access], Connection]:
    """What opens a connection by the library of that name, LDAP3 or PYTHON_LDAP.

    Raises ConfigError when there is no such driver or its library is not installed.
    """
    if driver == LDAP3:
        from backends.ldap.drivers.with_ldap3 import connect  # noqa: PLC0415

        return connect
    if driver == PYTHON_LDAP:
        try:
            from backends.ldap.drivers.with_libldap import connect  # noqa: PLC0415
        except ImportError as missing:
            raise ConfigError([Fault("ldap.driver", _NOT_INSTALLED)]) from missing
        return connect
    raise ConfigError([Fault("ldap.driver", f"must be {LDAP3} or {PYTHON_LDAP}")])


_NOT_INSTALLED = (
    'the library python-ldap is missing: install it with pip install "landfall[libldap]" or '
    "pip install --require-hashes -r requirements/libldap.txt (building it takes a C compiler and the header files of "
    f"libldap and libsasl2), or set {LDAP3}"
)
