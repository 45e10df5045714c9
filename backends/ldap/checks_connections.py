"""Checks of the way to the directory: each server reached, its certificate verified, the service account signed in."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

from backends.base import Finding, State
from backends.ldap import faults
from backends.ldap.drivers import LDAP3, connector
from backends.ldap.drivers.base import Address, ConnectionLost, LdapError, Tls, TlsFailed
from backends.ldap.pool import Directory
from config.directory import Kind

_AUTH_METHOD, _STRONGER_AUTH = 7, 8
_DATA = re.compile(r"\bdata ([0-9a-f]+)\b")
_ACTIVE_DIRECTORY = {
    "52e": "the password is wrong, or there is no such account",
    "525": "there is no such account",
    "530": "the account may not sign in at this hour",
    "531": "the account may not sign in from this machine",
    "532": "the password has expired",
    "533": "the account is disabled",
    "701": "the account has expired",
    "773": "the password must be changed first",
    "775": "the account is locked out",
}
_NEEDS_PASSWORD = "ldap.bind_dn and ldap.password, or LANDFALL_LDAP_PASSWORD_FILE"  # noqa: S105


def connections(directory: Directory, kind: Kind) -> Iterator[tuple[Finding, bool]]:
    """A finding on each server, and whether the account could sign in there.

    A password that one server refuses is not sent to the next one: directories lock accounts that fail often.
    """
    refused = False
    several = len(directory.addresses) > 1
    for address in directory.addresses:
        finding, signed_in = _tls(directory, address, several), False
        if finding is None and refused:
            finding = Finding(_what(address), State.OK, "TLS is verified; no sign-in tried after the refusal above")
        elif finding is None:
            finding = _bind(directory, address, kind)
            signed_in = finding.state is not State.FAULT
            refused = refused or not signed_in
        yield finding, signed_in


def _what(address: Address) -> str:
    return str(address)


def _tls(directory: Directory, address: Address, several: bool) -> Finding | None:
    """What keeps a connection from being made and protected, or None. No name and no password is sent."""
    try:
        # This library tells why a certificate is refused, whichever the service uses.
        connector(LDAP3)(address, replace(directory.access, bind_dn="", password="")).close()
    except TlsFailed as failure:
        text, mend = _tls_reason(address, str(failure), directory.access.ca_file)
        return Finding(_what(address), State.FAULT, text, mend)
    except ConnectionLost as lost:
        text = f"can't be reached: {_without(address, str(lost))}"
        mend = (
            "See whether the server runs, listens on this port and is let through by firewalls; then whether its name "
            f"and port in ldap.servers are right:\nopenssl s_client -connect {address.host}:{address.port} </dev/null"
        )
        # With another server the service goes on, for the time being.
        return Finding(_what(address), State.WARNING if several else State.FAULT, text, mend)
    except LdapError:
        # Signing in without a name is not allowed, as it should be.
        return None
    return None


def _tls_reason(address: Address, said: str, ca_file: str | None) -> tuple[str, str]:
    start = " -starttls ldap" if address.tls is Tls.START_TLS else ""
    look = (
        f"openssl s_client -connect {address.host}:{address.port}{start} </dev/null | "
        "openssl x509 -noout -subject -issuer -dates -ext subjectAltName"
    )
    trusted = f"ldap.ca_file ({ca_file})" if ca_file else "the authorities that this system trusts"
    lower = said.lower()
    if "mismatch" in lower or "doesn't match" in lower:
        mend = (
            "Write the server's name in ldap.servers as its certificate has it, or give the server a certificate for "
            f"this name. The names are shown by:\n{look}"
        )
        return f"the certificate is for another host than {address.host}", mend
    if "expired" in lower or "not yet valid" in lower:
        return (
            "the certificate is not valid at this time",
            f"Renew it, or set the clock. The dates are shown by:\n{look}",
        )
    if "certificate verify failed" in lower or "self-signed" in lower or "unable to get" in lower:
        mend = (
            "Put the certificate of the authority that signed it, in PEM, into a file and name that in ldap.ca_file. "
            f"The issuer is shown by:\n{look}"
        )
        return f"the certificate is signed by an authority that is not in {trusted}", mend
    if address.tls is Tls.START_TLS:
        return (
            f"the server does not start TLS: {_without(address, said)}",
            f"Give the server a certificate and key, or use ldaps:// in ldap.servers. See:\n{look}",
        )
    return (
        f"TLS can't be agreed on: {_without(address, said)}",
        f"See whether this port speaks TLS from the start (usually 636), and its version is 1.2 or later:\n{look}",
    )


def _bind(directory: Directory, address: Address, kind: Kind) -> Finding:
    access = directory.access
    try:
        with closing(directory.connect(address, access)):
            pass
    except LdapError as error:
        text, mend = _bind_reason(error, address, access.bind_dn, kind)
        return Finding(_what(address), State.FAULT, text, mend)
    except ConnectionLost as lost:
        return Finding(_what(address), State.FAULT, f"the sign-in was not answered: {_without(address, str(lost))}")
    if address.tls is Tls.NONE and not _is_here(address.host):
        return Finding(
            _what(address),
            State.WARNING,
            f"{access.bind_dn} signs in, in clear text: everyone on the way can read its password and those of users",
            'Set ldap.tls = "required", or use ldaps:// in ldap.servers.',
        )
    protected = "in clear text, on this machine" if address.tls is Tls.NONE else "TLS is verified"
    return Finding(_what(address), State.OK, f"{access.bind_dn} signs in; {protected}")


def _bind_reason(error: LdapError, address: Address, bind_dn: str, kind: Kind) -> tuple[str, str]:
    if error.code in (_STRONGER_AUTH, 13):
        mend = 'Set ldap.tls = "required", or use ldaps:// in ldap.servers.'
        return "the server takes no password in clear text", mend
    if error.code not in (faults.INVALID_CREDENTIALS, faults.UNWILLING, faults.NO_SUCH_OBJECT, faults.INVALID_DN):
        return f"the sign-in of {bind_dn} is refused: {said(error)}", ""
    data = _DATA.search(error.message)
    why = _ACTIVE_DIRECTORY.get(data[1], f"code {data[1]}") if data else ""
    if not why and error.code == faults.UNWILLING:
        why = "the account may be locked"
    why = why or "the password is wrong, the account is locked, or there is no such account"
    return (
        f"the sign-in of {bind_dn} is refused: {why}",
        f"Set {_NEEDS_PASSWORD}. Try the password, or give a new one:\n{_try_password(address, bind_dn, kind)}",
    )


def _try_password(address: Address, bind_dn: str, kind: Kind) -> str:
    start = " -ZZ" if address.tls is Tls.START_TLS else ""
    lines = [f"ldapwhoami -x{start} -H {address} -D '{bind_dn}' -W"]
    if kind is Kind.ACTIVE_DIRECTORY:
        lines.append("Set-ADAccountPassword -Reset … (Microsoft), or samba-tool user setpassword … (Samba)")
    else:
        admin = "cn=Directory Manager" if kind is Kind.DS389 else "the DN of your administrator"
        lines.append(f"ldappasswd -x{start} -H {address} -D '{admin}' -W -S '{bind_dn}'")
    return "\n".join(lines)


def said(error: LdapError) -> str:
    """What the server answered, for an administrator."""
    words = error.message.strip().partition("\n")[0]
    return f"result code {error.code}{f' ({words})' if words else ''}"


def _without(address: Address, text: str) -> str:
    return text.removeprefix(f"{address}: ")


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
