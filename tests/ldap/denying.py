"""Rights taken from the service account on one entry, or on one attribute of it, in each server's own way."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import ldap3
from ldap3.protocol.microsoft import security_descriptor_control

from tests.support.directories import Directory
from tests.support.directory_openldap import PASSWORD
from tests.support.directory_samba import DACL

DESCRIPTOR = "nTSecurityDescriptor"
DATABASE = "olcDatabase={1}mdb,cn=config"
TITLE = uuid.UUID("bf967a55-0de6-11d0-a285-00aa003049e2")
"""schemaIDGUID of title"""

_DELETE_CHILD, _WRITE_PROPERTY, _DELETE = 0x2, 0x20, 0x10000
_DENIED, _DENIED_OBJECT = 1, 6


@contextmanager
def denied(server: Directory, dn: str, *, title_only: bool = False) -> Iterator[None]:
    """Within it the service account may read the entry and not change or delete it; with `title_only` it may change
    everything but the title."""
    way = {"openldap": _by_rule, "389ds": _by_aci, "active-directory": _by_descriptor}[server.kind]
    with way(server, dn, title_only):
        yield


@contextmanager
def _by_rule(server: Directory, dn: str, title_only: bool) -> Iterator[None]:
    attribute = " attrs=title" if title_only else ""
    rule = f'to dn.exact="{dn}"{attribute} by dn.exact="{server.service_dn}" read by anonymous auth by * none'
    with server.session("cn=config", PASSWORD) as connection:
        connection.search(DATABASE, "(objectClass=*)", ldap3.BASE, attributes=["olcAccess"])
        before = connection.response[0]["raw_attributes"]["olcAccess"]
        connection.modify(DATABASE, {"olcAccess": [(ldap3.MODIFY_ADD, ["{0}" + rule])]})
        try:
            yield
        finally:
            connection.modify(DATABASE, {"olcAccess": [(ldap3.MODIFY_REPLACE, before)]})


@contextmanager
def _by_aci(server: Directory, dn: str, title_only: bool) -> Iterator[None]:
    what = ('(targetattr="title")', "write") if title_only else ('(targetattr="*")', "write, delete")
    aci = f'{what[0]}(version 3.0; acl "no"; deny ({what[1]}) userdn="ldap:///{server.service_dn}";)'
    with server.session() as connection:
        connection.modify(dn, {"aci": [(ldap3.MODIFY_ADD, [aci])]})
        try:
            yield
        finally:
            connection.modify(dn, {"aci": [(ldap3.MODIFY_DELETE, [aci])]})


@contextmanager
def _by_descriptor(server: Directory, dn: str, title_only: bool) -> Iterator[None]:
    with server.session() as connection:
        connection.search(server.service_dn, "(objectClass=*)", ldap3.BASE, attributes=["objectSid"])
        sid = connection.response[0]["raw_attributes"]["objectSid"][0]
        if title_only:
            body = struct.pack("<II", _WRITE_PROPERTY, 1) + TITLE.bytes_le
            with _described(connection, dn, _entry(_DENIED_OBJECT, body + sid)):
                yield
            return
        own = _entry(_DENIED, struct.pack("<I", _WRITE_PROPERTY | _DELETE) + sid)
        of_parent = _entry(_DENIED, struct.pack("<I", _DELETE_CHILD) + sid)
        with _described(connection, dn, own), _described(connection, dn.partition(",")[2], of_parent):
            yield


@contextmanager
def _described(connection: ldap3.Connection, dn: str, entry: bytes) -> Iterator[None]:
    controls = security_descriptor_control(sdflags=DACL)
    connection.search(dn, "(objectClass=*)", ldap3.BASE, attributes=[DESCRIPTOR], controls=controls)
    before = connection.response[0]["raw_attributes"][DESCRIPTOR][0]
    after = _with_first(before, entry)
    connection.modify(dn, {DESCRIPTOR: [(ldap3.MODIFY_REPLACE, [after])]}, controls=controls)
    try:
        yield
    finally:
        connection.modify(dn, {DESCRIPTOR: [(ldap3.MODIFY_REPLACE, [before])]}, controls=controls)


def _entry(kind: int, body: bytes) -> bytes:
    return struct.pack("<BBH", kind, 0, 4 + len(body)) + body


def _with_first(descriptor: bytes, entry: bytes) -> bytes:
    """A security descriptor that holds only an access list, with one more entry at its head ([MS-DTYP] 2.4.5)."""
    (start,) = struct.unpack_from("<I", descriptor, 16)
    revision, size, count = struct.unpack_from("<BxHH", descriptor, start)
    rest = descriptor[start + 8 : start + size]
    return descriptor[:start] + struct.pack("<BxHHxx", revision, size + len(entry), count + 1) + entry + rest
