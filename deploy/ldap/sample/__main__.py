"""`make run-ldap`: a private directory and the service in front of it, which start and stop together."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from config.errors import ConfigError
from config.loader import FILE_VARIABLE, PREFIX, load
from deploy.ldap.sample.directory import SERVICE, Directory, Unable

_SHIPPED = Path(__file__).resolve().parents[3] / "config" / "bindings" / "openldap.toml"
_HOME = f"{PREFIX}HOME"
_PASSWORD_FILE = f"{PREFIX}LDAP_PASSWORD_FILE"
# What is in the file that is written here; a variable would override it.
_OWN = ("BACKEND", "LDAP_SERVERS", "LDAP_TLS", "LDAP_CA_FILE", "LDAP_BIND_DN", "LDAP_PASSWORD", "LDAP_BINDINGS")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Pair:
    """The directory and the service. A signal that ends this process ends the service first, then the directory."""

    def __init__(self, home: Path, environ: Mapping[str, str]) -> None:
        self._home = home
        self._environ = environ
        self._directory = Directory(home / "ldap")
        self._service: subprocess.Popen[bytes] | None = None
        self._asked_to_stop = False

    def run(self, lock: int) -> int:
        """Run both until one ends or a signal comes; the exit status. Raises Unable."""
        for number in _SIGNALS:
            signal.signal(number, self._stop)
        new = self._directory.make()
        try:
            self._directory.start(lock, lambda: not self._asked_to_stop)
            environ = {**self._environ, **self._settings()}
            self._introduce(environ, new=new)
            return 0 if self._asked_to_stop else self._serve(environ)
        finally:
            self._directory.stop()

    def _serve(self, environ: Mapping[str, str]) -> int:
        command = [sys.executable, "-m", "app.cli", "serve"]
        self._service = service = subprocess.Popen(command, env=dict(environ), stdin=subprocess.DEVNULL)
        if self._asked_to_stop:
            service.terminate()
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        if not self._directory.runs:
            service.terminate()
            service.wait()
            raise Unable(f"slapd has ended: {self._directory.said or 'it does not say why'}")
        status = service.wait()
        return 0 if self._asked_to_stop else status

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._asked_to_stop = True
        if self._service is not None:
            self._service.terminate()

    def _settings(self) -> dict[str, str]:
        """Write the files of the service, and give the variables that name them. The bindings are written once, to be
        changed and tried."""
        root = self._directory.root
        bindings, configuration = root / "bindings.toml", root / "landfall.toml"
        if not bindings.exists():
            bindings.write_text(_SHIPPED.read_text(encoding="utf-8"), encoding="utf-8")
        keys: dict[str, str | list[str]] = {
            "servers": [self._directory.url],
            "ca_file": str(self._directory.authority),
            "bind_dn": SERVICE,
            "bindings": str(bindings),
        }
        lines = [
            "# Written by `make run-ldap` at each start. Every key: config/examples/landfall.toml.",
            f"home = {_toml(str(self._home))}",
            'backend = "ldap"',
            "",
            "[ldap]",
            *(f"{name} = {_toml(value)}" for name, value in keys.items()),
        ]
        configuration.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return {FILE_VARIABLE: str(configuration), _PASSWORD_FILE: str(self._directory.password)}

    def _introduce(self, environ: Mapping[str, str], *, new: bool) -> None:
        what = "with twelve sample people and three groups" if new else "with everything as it was left"
        print(f"\nA private OpenLDAP is at {self._directory.url}, {what}. To look at it:\n")
        print(f"  {self._directory.search_command()}\n")
        print("For `landfall users list` and the other commands, in another terminal:\n")
        named = " ".join(f"{name}={shlex.quote(environ[name])}" for name in (FILE_VARIABLE, _PASSWORD_FILE))
        print(f"  export {named}\n", flush=True)


def main() -> int:
    """Run both; the exit status."""
    environ = {k: v for k, v in os.environ.items() if k.removeprefix(PREFIX) not in _OWN or not k.startswith(PREFIX)}
    try:
        home = load(None, {name: value for name, value in environ.items() if name == _HOME}).home.absolute()
        own = home / "ldap" / "landfall.toml"
        if environ.get(FILE_VARIABLE) and Path(environ[FILE_VARIABLE]).absolute() != own:
            raise Unable(f"{FILE_VARIABLE} must not be set: {own} is the configuration")
        with _alone(home) as lock:
            return Pair(home, environ).run(lock)
    except (Unable, ConfigError, OSError) as error:
        print(f"run-ldap: {error}", file=sys.stderr)
        return 1


@contextmanager
def _alone(home: Path) -> Iterator[int]:
    """A file descriptor whose lock only one copy in a home has. The directory shares it, so that one that outlived a
    copy that was killed counts as well."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (home / "ldap.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            running = home / "ldap" / "slapd.pid"
            process = f" (slapd is process {running.read_text().strip()})" if running.is_file() else ""
            raise Unable(f"a directory runs in {home} already{process}: stop it first") from None
        yield file.fileno()


def _toml(value: str | list[str]) -> str:
    """The value in TOML, whose strings and arrays of strings are written as JSON's are."""
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    raise SystemExit(main())
