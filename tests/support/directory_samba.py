"""A private Active Directory for the tests: the domain controller of Samba, of which only LDAP is started."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import ldap3
from ldap3.protocol.microsoft import security_descriptor_control

from tests.support.directory_base import Directory, Tree
from tests.support.directory_tls import Identity
from tests.support.servers import HOST, ServerMissing, free_port, program

REALM = "EXAMPLE.TEST"
SUFFIX = "DC=example,DC=test"
SERVICE = "landfall"
PASSWORD = "Invented-1"
# DACL_SECURITY_INFORMATION of [MS-ADTS] section 3.1.1.3.4.1.11
DACL = 4
SHIM = Path(__file__).with_name("portshim.c")
PROVISION = Path(__file__).with_name("samba_provision.py")
LOAD = Path(__file__).with_name("samba_load.py")
# samba-ad-provision has the schema, and samba-dsdb-modules what reads and writes the data.
NEEDED = (Path("/usr/share/samba/setup/ad-schema"), Path("/usr/lib/python3/dist-packages/samba/provision"))
# Samba's modules are there for the Python of the distribution only.
PYTHON = "/usr/bin/python3"

CONFIGURATION = """\
[global]
    realm = {realm}
    workgroup = {domain}
    netbios name = DC1
    server role = active directory domain controller
    server services = ldap
    interfaces = {host}/8
    bind interfaces only = yes
    private dir = {base}/private
    state directory = {base}/state
    cache directory = {base}/cache
    lock directory = {base}/locks
    binddns dir = {base}/bind
    pid directory = {base}/run
    ncalrpc dir = {base}/run/ncalrpc
    ntp signd socket directory = {base}/run/ntp
    winbindd socket directory = {base}/run/winbindd
    log file = {base}/samba.log
    max log size = 0
    tls enabled = yes
    tls keyfile = {base}/tls/key.pem
    tls certfile = {base}/tls/certificate.pem
    tls cafile = {base}/tls/authority.pem
    ldap server require strong auth = yes
    ldb:nosync = yes
    load printers = no
    disable spoolss = yes

[sysvol]
    path = {base}/state/sysvol
    read only = no

[netlogon]
    path = {base}/state/sysvol/{zone}/scripts
    read only = no
"""


class SambaAD(Directory):
    """A domain controller of Samba 4.17 with the schema of Active Directory 2012 R2. It takes no password in the clear.
    The domain has the password rules that a new one has. Names of accounts are unique in all trees together.

    To make a domain takes ten seconds. Servers that are given the same `shared` directory are copies of one domain:
    the first one that starts leaves it there, and the last one that is closed removes it. Raises ServerMissing.
    """

    name = "samba"
    account = "nobody"
    kind = "active-directory"
    suffix = SUFFIX
    people = f"OU=people,{SUFFIX}"
    groups = f"OU=groups,{SUFFIX}"
    admin_dn = f"CN=Administrator,CN=Users,{SUFFIX}"
    admin_password = PASSWORD
    service_dn = f"CN={SERVICE},CN=Users,{SUFFIX}"
    service_password = PASSWORD

    def __init__(self, identity: Identity | None = None, shared: Path | None = None) -> None:
        self._program = program("samba")
        self._compiler = program("gcc")
        missing = [str(path) for path in NEEDED if not path.exists()]
        if missing:
            raise ServerMissing(f"{', '.join(missing)} is not there: install samba-ad-provision and python3-samba")
        super().__init__(identity)
        self.shared = shared
        self._ports = {389: self.port, 636: self.ldaps_port, 3268: free_port(), 3269: free_port()}

    def kill(self) -> None:
        """End it at once, with all the processes that it has started. Ports and data are kept."""
        pids = self._pids()
        # The others would go on to serve for a moment, and finish what they are at.
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        super().kill()

    def load(self, entries: Iterable[Mapping[str, str]]) -> None:
        """Add entries, each given by its `dn` and its attributes, as another tool would: straight to the database, all
        or none. Users without a password take a tenth of the time that users with one take by LDAP. Raises
        ServerFailed."""
        self._copy(LOAD, self._base / LOAD.name)
        self._write(self._base / "entries.json", json.dumps(list(entries)))
        self._run(PYTHON, LOAD.name, str(self._base), "entries.json")

    def close(self) -> None:
        """Stop it and remove its data, and the shared domain if no other server uses that."""
        super().close()
        if self.shared is not None:
            with _locked(self.shared):
                (self.shared / self._base.name).unlink(missing_ok=True)
                if not any(self.shared.glob("landfall-*")):
                    shutil.rmtree(self.shared)

    def _initialise(self) -> None:
        super()._initialise()
        self._make("etc", "tls", "run", "run/ncalrpc", "run/ntp", "run/winbindd", "cache", "locks", "bind")
        (self._base / "run/ntp").chmod(0o750)
        self._install_identity()
        names = {"realm": REALM, "domain": REALM.partition(".")[0], "zone": REALM.lower()}
        text = CONFIGURATION.format(base=self._base, host=HOST, **names)
        self._write(self._base / "etc/smb.conf", text)
        self._copy(SHIM, self._base / SHIM.name)
        self._run(self._compiler, "-shared", "-fPIC", "-O1", "-o", "portshim.so", SHIM.name, "-ldl")
        if self.shared is None:
            self._provision()
            return
        with _locked(self.shared):
            (self.shared / self._base.name).touch()
            domain, unfinished = self.shared / "domain", self.shared / "unfinished"
            if domain.exists():
                for part in ("private", "state"):
                    shutil.copytree(domain / part, self._base / part)
                    self._own_all(self._base / part)
            else:
                self._provision()
                shutil.rmtree(unfinished, ignore_errors=True)
                for part in ("private", "state"):
                    shutil.copytree(self._base / part, unfinished / part)
                unfinished.rename(domain)

    def _prepare(self, connection: ldap3.Connection, tree: Tree) -> None:
        # Tests set plain passwords, of four characters and more.
        policy = {"pwdProperties": 0, "minPwdLength": 4, "minPwdAge": 0, "pwdHistoryLength": 0}
        changes = {name: [(ldap3.MODIFY_REPLACE, [str(value)])] for name, value in policy.items()}
        connection.modify(self.suffix, changes)
        # What the service account may do stands in the access lists of the first tree.
        access = security_descriptor_control(sdflags=DACL)
        for base, model in ((tree.people, self.people), (tree.groups, self.groups), (tree.retired, self.tree.retired)):
            connection.search(
                model, "(objectClass=*)", ldap3.BASE, attributes=["nTSecurityDescriptor"], controls=access
            )
            values = connection.response[0]["raw_attributes"]["nTSecurityDescriptor"]
            connection.modify(base, {"nTSecurityDescriptor": [(ldap3.MODIFY_REPLACE, values)]}, controls=access)

    def _provision(self) -> None:
        self._copy(PROVISION, self._base / PROVISION.name)
        self._run(PYTHON, PROVISION.name, str(self._base), self._account(), REALM, PASSWORD, SERVICE, PASSWORD)

    def _command(self) -> Sequence[str]:
        configuration = str(self._base / "etc/smb.conf")
        return [self._program, "--foreground", "--no-process-group", "-s", configuration, "-M", "prefork"]

    def _environment(self) -> Mapping[str, str]:
        ports = {f"PORT_{fixed}": str(port) for fixed, port in self._ports.items()}
        return {"LD_PRELOAD": str(self._base / "portshim.so"), **ports}

    def _report(self) -> str:
        log = self._base / "samba.log"
        return super()._report() + (log.read_text(errors="replace")[-4000:] if log.exists() else "")

    def _install_identity(self) -> None:
        # Samba refuses a key that others may read.
        self._write(self._base / "tls/key.pem", self._identity.key_pem)
        self._write(self._base / "tls/certificate.pem", self._identity.certificate_pem)
        self._write(self._base / "tls/authority.pem", self._identity.authority_pem)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Makes the directory, if it is not there, and keeps other processes out of such a block for the same one."""
    while True:
        directory.mkdir(mode=0o700, exist_ok=True)
        # It may be removed by another before this process has the lock.
        with suppress(FileNotFoundError), (directory / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            current = (directory / "lock").stat().st_ino == os.fstat(lock.fileno()).st_ino
            if current:
                yield
                return
