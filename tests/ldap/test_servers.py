"""The private directory servers do what the tests of the back end take for granted."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import ldap3
import pytest
from ldap3.core.exceptions import (
    LDAPEntryAlreadyExistsResult,
    LDAPException,
    LDAPInsufficientAccessRightsResult,
    LDAPInvalidCredentialsResult,
    LDAPOperationResult,
    LDAPResponseTimeoutError,
    LDAPSocketReceiveError,
    LDAPUnwillingToPerformResult,
)

from tests.support.directories import Authority, Directory, Tree, authority

SECRET = "Invented-2"
# RFC 4511 section 4.14.1
START_TLS = bytes.fromhex("301d02010177188016") + b"1.3.6.1.4.1.1466.20037"


def is_samba(directory: Directory) -> bool:
    return directory.kind == "active-directory"


def add_user(connection: ldap3.Connection, directory: Directory, tree: Tree, name: str, **more: object) -> str:
    """Add a user with a password, who can log in; returns the DN."""
    if is_samba(directory):
        dn, classes = f"CN={name},{tree.people}", ["user"]
        password = f'"{SECRET}"'.encode("utf-16-le")
        attributes = {"sAMAccountName": name, "unicodePwd": password, "userAccountControl": "512"}
    else:
        dn, classes = f"uid={name},{tree.people}", ["inetOrgPerson"]
        attributes = {"uid": name, "cn": name, "sn": name, "userPassword": SECRET}
    connection.add(dn, classes, {**attributes, **more})
    return dn


def add_group(connection: ldap3.Connection, directory: Directory, tree: Tree, name: str, *members: str) -> str:
    """Add a group with members; returns the DN."""
    classes, more = (["group"], {"sAMAccountName": name}) if is_samba(directory) else (["groupOfNames"], {})
    dn = f"{'CN' if is_samba(directory) else 'cn'}={name},{tree.groups}"
    connection.add(dn, classes, {"member": list(members), **more})
    return dn


def read(connection: ldap3.Connection, dn: str, *attributes: str) -> dict[str, list[bytes]]:
    """The values that the server shows of an entry, by name; none for what it does not show."""
    connection.search(dn, "(objectClass=*)", ldap3.BASE, attributes=list(attributes))
    shown = connection.response[0]["raw_attributes"]
    return {name: values for name, values in shown.items() if values}


def below(connection: ldap3.Connection, base: str) -> set[str]:
    """The DNs of all entries below a base."""
    connection.search(base, "(objectClass=*)", ldap3.SUBTREE, attributes=["1.1"])
    found = {entry["dn"] for entry in connection.response if entry["type"] == "searchResEntry"}
    return {dn for dn in found if dn.lower() != base.lower()}


def as_service(directory: Directory) -> AbstractContextManager[ldap3.Connection]:
    return directory.session(directory.service_dn, directory.service_password)


def verified(directory: Directory, host: str, *, start_tls: bool) -> bool:
    """Whether the service account can log in over TLS that is verified."""
    tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=str(directory.ca_file))
    address = f"ldap://{host}:{directory.port}" if start_tls else f"ldaps://{host}:{directory.ldaps_port}"
    server = ldap3.Server(address, tls=tls, get_info=ldap3.NONE)
    connection = ldap3.Connection(server, directory.service_dn, directory.service_password, raise_exceptions=True)
    try:
        connection.open()
        if start_tls:
            connection.start_tls()
        return bool(connection.bind())
    finally:
        connection.unbind()


def shake_hands(directory: Directory, host: str, ca_file: Path, *, start_tls: bool) -> None:
    """Begin TLS as a client does that trusts the authority. Not by ldap3, which forgets a socket to a wrong host."""
    context = ssl.create_default_context(cafile=str(ca_file))
    port = directory.port if start_tls else directory.ldaps_port
    with socket.create_connection((directory.host, port), 60) as plain:
        if start_tls:
            plain.sendall(START_TLS)
            assert plain.recv(4096)
        context.wrap_socket(plain, server_hostname=host).close()


@pytest.fixture
def untrusted(tmp_path: Path) -> Path:
    """The certificate of an authority that signed for no server."""
    file = tmp_path / "other.pem"
    file.write_bytes(Authority().certificate_pem)
    return file


TRANSPORTS = pytest.mark.parametrize("start_tls", [False, True], ids=["ldaps", "starttls"])


@TRANSPORTS
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_tls_is_verified_by_the_authority(directory: Directory, host: str, start_tls: bool) -> None:
    assert verified(directory, host, start_tls=start_tls)


@TRANSPORTS
def test_another_authority_is_refused(directory: Directory, untrusted: Path, start_tls: bool) -> None:
    shake_hands(directory, "localhost", directory.ca_file, start_tls=start_tls)
    with pytest.raises(ssl.SSLCertVerificationError, match="verify failed"):
        shake_hands(directory, "localhost", untrusted, start_tls=start_tls)


def test_the_server_can_show_another_certificate(directory: Directory) -> None:
    wrong_host, unknown = authority().identity("elsewhere.example"), Authority().identity("localhost", directory.host)
    try:
        for identity, reason in ((wrong_host, "Hostname mismatch"), (unknown, "verify failed: (unable|self-signed)")):
            directory.present(identity)
            for start_tls in (False, True):
                with pytest.raises(ssl.SSLCertVerificationError, match=reason):
                    shake_hands(directory, "localhost", directory.ca_file, start_tls=start_tls)
    finally:
        directory.present(None)
    assert verified(directory, "localhost", start_tls=False)


def test_the_service_account_writes_below_its_tree(directory: Directory, tree: Tree) -> None:
    with as_service(directory) as service:
        user = add_user(service, directory, tree, "ada")
        group = add_group(service, directory, tree, "analysts", user)
        service.modify(user, {"displayName": [(ldap3.MODIFY_REPLACE, ["Ada"])]})
        service.modify(group, {"description": [(ldap3.MODIFY_REPLACE, ["of engines"])]})
        assert read(service, user, "displayName") == {"displayName": [b"Ada"]}
        assert read(service, group, "member", "description") == {
            "member": [user.encode()],
            "description": [b"of engines"],
        }
        service.delete(group)
        service.delete(user)
        assert not below(service, tree.people) | below(service, tree.groups)


def test_the_service_account_writes_below_the_first_tree(directory: Directory) -> None:
    with as_service(directory) as service:
        user = add_user(service, directory, directory.tree, "ada")
        group = add_group(service, directory, directory.tree, "analysts", user)
        assert below(service, directory.people) == {user}
        assert below(service, directory.groups) == {group}
    directory.empty(directory.tree)


def test_the_service_account_writes_nowhere_else(directory: Directory, tree: Tree) -> None:
    elsewhere = tree.people.partition(",")[2]
    unit = {"description": [(ldap3.MODIFY_REPLACE, ["mine"])]}
    with as_service(directory) as service:
        for base in (directory.suffix, elsewhere):
            with pytest.raises(LDAPInsufficientAccessRightsResult):
                add_user(service, directory, Tree(base, base), "ada")
        for dn in (tree.people, tree.groups, elsewhere, directory.suffix, directory.service_dn):
            with pytest.raises(LDAPInsufficientAccessRightsResult):
                service.modify(dn, unit)
        for dn in (tree.people, tree.groups):
            with pytest.raises(LDAPInsufficientAccessRightsResult):
                service.delete(dn)


def test_the_service_account_sets_passwords_and_reads_none(directory: Directory, tree: Tree) -> None:
    kept = "unicodePwd" if is_samba(directory) else "userPassword"
    with as_service(directory) as service, directory.session() as administrator:
        user = add_user(service, directory, tree, "ada")
        directory.connect(user, SECRET).unbind()
        assert kept not in read(service, user, "*", "userPassword", "unicodePwd")
        # Active Directory shows it to nobody.
        assert (kept in read(administrator, user, kept)) is not is_samba(directory)


def test_a_wrong_password_is_refused(directory: Directory, tree: Tree) -> None:
    with as_service(directory) as service:
        user = add_user(service, directory, tree, "ada")
    with pytest.raises(LDAPInvalidCredentialsResult):
        directory.connect(user, "Another-3")


def test_a_locked_account_cannot_bind(directory: Directory, tree: Tree) -> None:
    locks = {
        "openldap": {"pwdAccountLockedTime": ["000001010000Z"]},
        "389ds": {"nsAccountLock": ["true"]},
        "active-directory": {"userAccountControl": ["514"]},
    }
    with as_service(directory) as service:
        user = add_user(service, directory, tree, "ada")
        directory.connect(user, SECRET).unbind()
        changes = locks[directory.kind].items()
        service.modify(user, {name: [(ldap3.MODIFY_REPLACE, values)] for name, values in changes})
    with pytest.raises((LDAPInvalidCredentialsResult, LDAPUnwillingToPerformResult)):
        directory.connect(user, SECRET)


def test_trees_are_empty_and_apart(directory: Directory, tree: Tree) -> None:
    other = directory.new_tree()
    with as_service(directory) as service:
        assert not below(service, other.people) | below(service, other.groups)
        user = add_user(service, directory, tree, "ada")
        group = add_group(service, directory, tree, "analysts", user)
        assert not below(service, other.people) | below(service, other.groups)
        second = add_user(service, directory, other, "grace")
        directory.empty(tree)
        assert not below(service, tree.people) | below(service, tree.groups)
        assert below(service, other.people) == {second}
        directory.empty(other)
        assert not below(service, other.people)
        assert group


def test_a_user_name_is_taken_once_in_a_tree(directory: Directory, tree: Tree) -> None:
    other = directory.new_tree()
    with as_service(directory) as service:
        dn = add_user(service, directory, tree, "ada")
        name, attribute = ("sAMAccountName", "CN") if is_samba(directory) else ("uid", "cn")
        again = {"sn": "Lovelace", "cn": "Countess", name: "ada"}
        with pytest.raises(LDAPOperationResult) as taken:
            service.add(f"{attribute}=Countess,{tree.people}", dn_classes(directory), again)
        assert taken.value.result in (19, 68)
        if is_samba(directory):
            with pytest.raises(LDAPEntryAlreadyExistsResult):
                add_user(service, directory, other, "ada")
        else:
            add_user(service, directory, other, "ada")
            directory.empty(other)
        assert below(service, tree.people) == {dn}


def dn_classes(directory: Directory) -> list[str]:
    return ["user" if is_samba(directory) else "inetOrgPerson"]


def test_a_suspended_server_hangs_until_it_is_resumed(directory: Directory) -> None:
    server = ldap3.Server(directory.url, get_info=ldap3.NONE, connect_timeout=60)
    connection = ldap3.Connection(server, directory.service_dn, directory.service_password, receive_timeout=1)
    directory.suspend()
    try:
        connection.open()
        with pytest.raises((LDAPResponseTimeoutError, LDAPSocketReceiveError)):
            connection.bind()
    finally:
        directory.resume()
        with suppress(LDAPException, OSError):
            connection.unbind()
    with as_service(directory) as service:
        assert read(service, directory.service_dn, "cn")


@pytest.mark.parametrize("end", [Directory.stop, Directory.kill], ids=["stop", "kill"])
def test_data_outlive_the_end_of_the_server(directory: Directory, tree: Tree, end: Callable[[Directory], None]) -> None:
    with as_service(directory) as service:
        user = add_user(service, directory, tree, "ada")
    port = directory.port
    end(directory)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((directory.host, port), 60)
    directory.start()
    assert directory.port == port
    with as_service(directory) as service:
        assert below(service, tree.people) == {user}


def test_a_record_of_100_kb_is_kept(directory: Directory, tree: Tree) -> None:
    record = b'{"x":"' + "\u00e9".encode() * 50_000 + b'"}'
    with as_service(directory) as service:
        user = add_user(service, directory, tree, "ada")
        group = add_group(service, directory, tree, "analysts", user)
        for dn in (user, group):
            held, names = (
                ("desktopProfile", "extensionName") if is_samba(directory) else ("landfallRecord", "landfallHeld")
            )
            if not is_samba(directory):
                service.modify(dn, {"objectClass": [(ldap3.MODIFY_ADD, ["landfallObject"])]})
            changes = {held: [record], names: ["emails", "phoneNumbers"]}
            service.modify(dn, {name: [(ldap3.MODIFY_REPLACE, values)] for name, values in changes.items()})
            assert read(service, dn, held) == {held: [record]}
            service.search(directory.suffix, f"({names}=PHONENUMBERS)", attributes=["1.1"])
            assert dn in {entry["dn"] for entry in service.response if entry["type"] == "searchResEntry"}
            if not is_samba(directory):
                with pytest.raises(LDAPOperationResult):
                    service.modify(dn, {held: [(ldap3.MODIFY_ADD, [b"{}"])]})


def test_a_deleted_member_leaves_its_groups(directory: Directory, tree: Tree) -> None:
    with as_service(directory) as service:
        user, other = (add_user(service, directory, tree, name) for name in ("ada", "grace"))
        group = add_group(service, directory, tree, "analysts", user, other)
        service.delete(user)
        deadline = time.monotonic() + 30
        while read(service, group, "member")["member"] != [other.encode()]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
