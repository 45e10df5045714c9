"""What the private directory servers of the tests have in common."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import ssl
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import ldap3
from ldap3.core.exceptions import LDAPException

from tests.support.directory_tls import Identity, authority
from tests.support.servers import HOST, Server, free_port

SCHEMA = Path(__file__).resolve().parents[2] / "deploy" / "ldap"
# Generous, for a machine that runs several servers at a time.
ANSWER_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Tree:
    """The DNs of an entry below which users are kept, and of one for groups. Beside the first is one for users that are
    retired."""

    people: str
    groups: str

    @property
    def retired(self) -> str:
        """The DN of that."""
        return f"{self.people[:2]}=retired,{self.people.partition(',')[2]}"


class Directory(Server):
    """A private LDAP server with LDAP and LDAPS, StartTLS, and an account that may do no more than Landfall needs:
    write below `people`, below `groups`, below the unit for retired users and below all of these in each new tree,
    without reading passwords.

    `identity` is the certificate that it shows: without one, a right one for `localhost` and `127.0.0.1`.
    """

    kind: str
    suffix: str
    people: str
    groups: str
    admin_dn: str
    admin_password: str
    service_dn: str
    service_password: str
    host = HOST

    def __init__(self, identity: Identity | None = None) -> None:
        super().__init__()
        self.ldaps_port = free_port()
        self.ca_file = self._base / "authority.pem"
        self._identity = identity or _right_identity()
        self._administrator: ldap3.Connection | None = None

    @property
    def url(self) -> str:
        """Its address for LDAP in the clear, or with StartTLS."""
        return f"ldap://{self.host}:{self.port}"

    @property
    def ldaps_url(self) -> str:
        """Its address for LDAP over TLS."""
        return f"ldaps://{self.host}:{self.ldaps_port}"

    @property
    def tree(self) -> Tree:
        """The tree that is there from the start."""
        return Tree(self.people, self.groups)

    def connect(self, dn: str | None = None, password: str | None = None) -> ldap3.Connection:
        """A connection over TLS, bound with the given name and password, or else as the administrator; who asks for it
        unbinds it. Operations that fail raise what ldap3 has for their result code; `invalidCredentials` does so here.
        """
        name, secret = (self.admin_dn, self.admin_password) if dn is None else (dn, password)
        tls = ldap3.Tls(validate=ssl.CERT_NONE)
        server = ldap3.Server(self.ldaps_url, tls=tls, get_info=ldap3.NONE, connect_timeout=ANSWER_SECONDS)
        connection = ldap3.Connection(
            server,
            name,
            secret,
            auto_referrals=False,
            check_names=False,
            raise_exceptions=True,
            receive_timeout=ANSWER_SECONDS,
        )
        try:
            connection.bind()
        except LDAPException:
            connection.unbind()
            raise
        return connection

    @contextmanager
    def session(self, dn: str | None = None, password: str | None = None) -> Iterator[ldap3.Connection]:
        """Such a connection, unbound at the end. ldap3's own `with` leaves one open that was bound before."""
        connection = self.connect(dn, password)
        try:
            yield connection
        finally:
            with suppress(LDAPException, OSError):
                connection.unbind()

    def new_tree(self) -> Tree:
        """A pair of new and empty entries for users and groups; the service account has its rights below them."""
        root = f"{self._ou}=t{next(self._numbers)},{self._ou}=trees,{self.suffix}"
        tree = Tree(f"{self._ou}=people,{root}", f"{self._ou}=groups,{root}")
        connection = self._as_administrator()
        for dn in (root, tree.people, tree.groups, tree.retired):
            connection.add(dn, "organizationalUnit", {"ou": dn.partition(",")[0].partition("=")[2]})
        self._prepare(connection, tree)
        return tree

    def empty(self, tree: Tree) -> None:
        """Remove every entry below the bases of a tree, and leave these themselves."""
        connection = self._as_administrator()
        # Groups first, so that the server need not remove from them each user that goes.
        gone = [_empty(connection, base) for base in (tree.groups, tree.people, tree.retired)]
        if any(gone):
            self._settle(connection, tree)

    def present(self, identity: Identity | None) -> None:
        """Show another certificate from now on, or with None the right one again. It is restarted, if it runs."""
        running = self._process is not None
        self.stop()
        self._identity = identity or _right_identity()
        self._install_identity()
        if running:
            self.start()

    @property
    def _ou(self) -> str:
        return self.people[:2]

    def _prepare(self, connection: ldap3.Connection, tree: Tree) -> None:
        """Do what a new tree needs besides its entries."""

    def _settle(self, connection: ldap3.Connection, tree: Tree) -> None:
        """Wait until the server has done what it does later for entries that were removed from a tree."""

    @abstractmethod
    def _install_identity(self) -> None:
        """Put the files of the identity where the server reads them when it starts."""

    def _initialise(self) -> None:
        self.ca_file.write_bytes(authority().certificate_pem)

    def _answers(self) -> bool:
        try:
            for port in (self.port, self.ldaps_port):
                socket.create_connection((self.host, port), ANSWER_SECONDS).close()
            self.connect(self.service_dn, self.service_password).unbind()
        except (OSError, LDAPException):
            return False
        return True

    def _account(self) -> str:
        """The name of the account that the server runs as."""
        return pwd.getpwuid(os.getuid() if self._user is None else self._user).pw_name

    def _as_administrator(self) -> ldap3.Connection:
        """One connection for all preparations, because to open one takes longer than most of them."""
        if self._administrator is not None and not _is_open(self._administrator):
            self._administrator = None
        if self._administrator is None:
            self._administrator = self.connect()
        return self._administrator

    def _end(self, how: signal.Signals) -> None:
        connection, self._administrator = self._administrator, None
        super()._end(how)
        if connection is not None:
            with suppress(LDAPException, OSError):
                connection.unbind()

    def _write(self, path: Path, content: str | bytes, mode: int = 0o600) -> None:
        """Write a file that only the server's account reads."""
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
        self._own(path)

    def _make(self, *names: str) -> None:
        """Make directories in that of the server, with their parents first."""
        for name in names:
            (self._base / name).mkdir()
            self._own(self._base / name)

    def _own_all(self, root: Path) -> None:
        """Give a directory and all in it to the account that the server runs as."""
        for directory, _, files in os.walk(root):
            self._own(Path(directory))
            for file in files:
                self._own(Path(directory, file))

    def _copy(self, source: Path, target: Path) -> None:
        shutil.copy(source, target)
        self._own(target)


def _is_open(connection: ldap3.Connection) -> bool:
    """A server may end a connection that has been idle for long: Samba does after a quarter of an hour."""
    try:
        connection.search("", "(objectClass=*)", ldap3.BASE, attributes=["1.1"])
    except (LDAPException, OSError):
        with suppress(LDAPException, OSError):
            connection.unbind()
        return False
    return True


def _empty(connection: ldap3.Connection, base: str) -> int:
    """Remove what stands below a base, and tell how many entries that were."""
    pages = connection.extend.standard.paged_search(base, "(objectClass=*)", attributes=["1.1"], paged_size=500)
    found = [page["dn"] for page in pages if page["type"] == "searchResEntry"]
    # The longest names first: whatever stands below an entry has a longer one. The last one is the base.
    below = sorted(found, key=len, reverse=True)[:-1]
    for dn in below:
        connection.delete(dn)
    return len(below)


def _right_identity() -> Identity:
    return authority().identity("localhost", HOST)
