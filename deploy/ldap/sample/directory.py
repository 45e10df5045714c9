"""A private OpenLDAP in one directory on disk: made once, started and stopped."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from deploy.ldap.sample.authority import certify

HOST = "127.0.0.1"
SUFFIX = "dc=example,dc=org"
SERVICE = f"cn=landfall,ou=services,{SUFFIX}"

_HERE = Path(__file__).resolve().parent
_SCHEMAS = Path("/etc/ldap/schema")
_MODULES = Path("/usr/lib/ldap")
_ADMINISTRATION = f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin{os.pathsep}/sbin"
_RETIRED = "retired"
_START_SECONDS = 60
_STOP_SECONDS = 30


class Unable(Exception):
    """The directory can't be had; the message is for who wants it."""


class Directory:
    """The directory server below `root`, reached at `url` with TLS; it runs between `start` and `stop`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.authority = root / "authority.pem"
        self.password = root / "password"
        self.port = 0
        self._program = _program("slapd")
        self._slapd: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address; only this machine can reach it."""
        return f"ldaps://{HOST}:{self.port}"

    def make(self) -> bool:
        """Afterwards it is there; True when it was not, so that it holds the sample entries and no more.

        Raises Unable.
        """
        if self.root.is_dir():
            return False
        # What is made only in part, for it was interrupted, must not be taken for a directory later.
        unfinished = Path(tempfile.mkdtemp(prefix=f"{self.root.name}.", dir=self.root.parent))
        try:
            Directory(unfinished)._fill()
            unfinished.rename(self.root)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        return True

    def start(self, keep_open: int, going_on: Callable[[], bool]) -> None:
        """Start it and return when it can be asked, or when `going_on` says no. It inherits the file descriptor
        `keep_open`. Raises Unable when it does not come up.
        """
        self.port = self._choose_port()
        before, retires = self._indexes(), self._retires()
        self._configure()
        if not retires:
            self._add_retired()
        if self._indexes() != before:
            # slapd takes an index for complete, and what was there before it would not be found.
            _output([_program("slapindex"), "-f", str(self.root / "slapd.conf"), "-b", SUFFIX])
        log = self.root / "slapd.log"
        command = [self._program, "-d", "none", "-h", self.url, "-f", str(self.root / "slapd.conf")]
        with log.open("wb") as output:
            # In a session of its own it gets no Ctrl-C, and is there until the service has ended.
            self._slapd = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=(keep_open,),
            )
        deadline = time.monotonic() + _START_SECONDS
        while going_on() and not self._answers():
            if not self.runs or time.monotonic() > deadline:
                self.stop()
                raise Unable(f"slapd does not start: {self.said or shlex.join(command)}{_apparmor()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Afterwards the process that `start` began has ended."""
        if self._slapd is None:
            return
        self._slapd.terminate()
        try:
            self._slapd.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._slapd.kill()
            self._slapd.wait()

    @property
    def runs(self) -> bool:
        """Whether the process that `start` began is there."""
        return self._slapd is not None and self._slapd.poll() is None

    @property
    def said(self) -> str:
        """The last line that slapd wrote since it was started, if any."""
        lines = (self.root / "slapd.log").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def search_command(self) -> str:
        """The shell command that shows all people and groups in it."""
        filter = "(|(objectClass=inetOrgPerson)(objectClass=groupOfNames))"
        arguments = ["-x", "-LLL", "-o", "ldif-wrap=no", "-H", self.url, "-D", SERVICE, "-y", str(self.password)]
        command = shlex.join(["ldapsearch", *arguments, "-b", SUFFIX, filter])
        return f"LDAPTLS_CACERT={shlex.quote(str(self.authority))} {command}"

    def _fill(self) -> None:
        for name, content in zip(("authority.pem", "certificate.pem", "key.pem"), certify(HOST), strict=True):
            self._write(name, content)
        # ldapsearch -y takes a line break for a part of the password.
        self._write("password", secrets.token_urlsafe(24).encode())
        (self.root / "data").mkdir(mode=0o700)
        self._configure()
        hashed = _output([_program("slappasswd"), "-n", "-h", "{SSHA}", "-T", str(self.password)])
        text = (_HERE / "entries.ldif").read_text(encoding="utf-8")
        for name, value in {"SUFFIX": SUFFIX, "SERVICE": SERVICE, "PASSWORD": hashed}.items():
            text = text.replace(f"@{name}@", value)
        entries = self.root / "entries.ldif"
        self._write(entries.name, text.encode())
        _output([_program("slapadd"), "-f", str(self.root / "slapd.conf"), "-b", SUFFIX, "-l", str(entries)])
        entries.unlink()

    def _configure(self) -> None:
        """Write the configuration for where the directory is now: its home may have been moved."""
        paths = {
            "SCHEMAS": _SCHEMAS,
            "LANDFALL_SCHEMA": _HERE.parent / "landfall.schema",
            "MODULES": _MODULES,
            "PIDFILE": self.root / "slapd.pid",
            "AUTHORITY": self.authority,
            "CERTIFICATE": self.root / "certificate.pem",
            "KEY": self.root / "key.pem",
            "DATA": self.root / "data",
        }
        text = (_HERE / "slapd.conf").read_text(encoding="utf-8")
        for name, path in paths.items():
            text = text.replace(f"@{name}@", str(path) if name == "SCHEMAS" else _quoted(path))
        self._write("slapd.conf", text.replace("@SUFFIX@", SUFFIX).replace("@SERVICE@", SERVICE).encode())

    def _retires(self) -> bool:
        """Whether it was made with a place for retired people, which its configuration names then."""
        return f"|{_RETIRED})" in (self.root / "slapd.conf").read_text(encoding="utf-8")

    def _add_retired(self) -> None:
        entry = self.root / "retired.ldif"
        lines = (f"dn: ou={_RETIRED},{SUFFIX}", "objectClass: organizationalUnit", f"ou: {_RETIRED}", "")
        self._write(entry.name, "\n".join(lines).encode())
        _output([_program("slapadd"), "-f", str(self.root / "slapd.conf"), "-b", SUFFIX, "-l", str(entry)])
        entry.unlink()

    def _indexes(self) -> list[str]:
        lines = (self.root / "slapd.conf").read_text(encoding="utf-8").splitlines()
        return [line for line in lines if line.startswith("index ")]

    def _choose_port(self) -> int:
        """The port of the last start if it is free, else another one."""
        kept = self.root / "port"
        wanted = int(kept.read_text()) if kept.is_file() else 0
        for port in (wanted, 0):
            with socket.socket() as tried:
                # As slapd does it: connections that are closed but not yet forgotten do not hold the port.
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    tried.bind((HOST, port))
                except OSError:
                    continue
                chosen: int = tried.getsockname()[1]
                self._write("port", str(chosen).encode())
                return chosen
        raise Unable("there is no free port")

    def _answers(self) -> bool:
        # slapd listens before it serves; it shakes hands when it serves.
        context = ssl.create_default_context(cafile=str(self.authority))
        try:
            with (
                socket.create_connection((HOST, self.port), timeout=5) as connection,
                context.wrap_socket(connection, server_hostname=HOST),
            ):
                return True
        except OSError:
            return False

    def _write(self, name: str, content: bytes) -> None:
        """Write a file that only its owner reads, whole or not at all."""
        unfinished = self.root / f"{name}.new"
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
        unfinished.rename(self.root / name)


def _program(name: str) -> str:
    found = shutil.which(name, path=_ADMINISTRATION)
    if found is None:
        raise Unable(f"{name} is not installed: apt-get install slapd ldap-utils")
    return found


def _output(command: list[str]) -> str:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unable(f"{shlex.join(command)}: {done.stderr.strip() or done.returncode}{_apparmor()}")
    return done.stdout.strip()


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _apparmor() -> str:
    """A hint where a profile of the system keeps slapd away from other directories than its own."""
    profile = Path("/etc/apparmor.d/usr.sbin.slapd")
    return f" ({profile} may be the reason: it must allow this directory)" if profile.is_file() else ""
