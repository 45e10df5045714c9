"""From settings to a back end."""

from __future__ import annotations

from app.scim.registry import Registry
from backends.ldap.backend import LdapBackend
from backends.ldap.bindings_check import check_against
from backends.ldap.drivers import connector
from backends.ldap.drivers.base import Access, Address, Tls
from backends.ldap.pool import Directory
from config.bindings import load_bindings
from config.errors import ConfigError
from config.ldap_text import server_address
from config.settings import LdapSettings, Settings


def open_ldap(settings: Settings, registry: Registry) -> LdapBackend:
    """The back end that the settings describe; it connects when it is first asked something.

    Raises ConfigError with every fault of the bindings, and for a driver that is not installed.
    """
    ldap = settings.ldap
    bindings = load_bindings(ldap.bindings)
    found = check_against(bindings, registry)
    if found:
        raise ConfigError(found)
    return LdapBackend(open_directory(ldap), bindings, registry, candidates=ldap.candidates, page_size=ldap.page_size)


def open_directory(ldap: LdapSettings) -> Directory:
    """The connections that the settings describe. Raises ConfigError for a driver that is not installed."""
    access = Access(
        ldap.bind_dn,
        ldap.password.reveal(),
        str(ldap.ca_file) if ldap.ca_file else None,
        ldap.connect_timeout_seconds,
        ldap.response_timeout_seconds,
    )
    addresses = [_address(text, ldap.tls) for text in ldap.servers]
    # A thread that reads pages needs a second connection for what it looks up meanwhile.
    return Directory(addresses, access, connector(ldap.driver), size=ldap.pool_size)


def _address(text: str, tls: str) -> Address:
    server = server_address(text)
    if server.secure:
        return Address(server.host, server.port, Tls.LDAPS)
    return Address(server.host, server.port, Tls.START_TLS if tls == "required" else Tls.NONE)
