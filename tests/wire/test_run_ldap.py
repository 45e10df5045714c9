"""`make run-ldap`: a private directory with sample people in it and the service in front of it, with one command."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import selected_directories
from tests.support.servers import free_port
from tests.support.service import Client
from tests.wire.landfall import Landfall, access_token, serving

pytestmark = pytest.mark.skipif("openldap" not in selected_directories(), reason="BACKENDS does not name openldap")

SCRIPT = str(Path(__file__).parents[2] / "deploy" / "run-ldap.sh")
NAME = "mira.solberg@tern.example"
PASSWORD = "rope and tar 7"


def _copy(home: Path) -> Landfall:
    return Landfall(home, command=(SCRIPT,))


def _printed(landfall: Landfall, label: str) -> list[str]:
    return re.findall(rf"^ *{label} +(\S+)$", landfall.output, re.MULTILINE)


def _search_command(landfall: Landfall) -> str:
    return str(re.findall(r"^ *(LDAPTLS_CACERT=.*)$", landfall.output, re.MULTILINE)[-1])


def _searched(landfall: Landfall) -> str:
    """What the printed command shows."""
    done = subprocess.run(_search_command(landfall), shell=True, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def _slapd(landfall: Landfall) -> int:
    return int((landfall.home / "ldap" / "slapd.pid").read_text())


def _is_running(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


def _first_client(landfall: Landfall) -> Client:
    names = {"token_endpoint": "Token endpoint", "client_id": "Client ID", "client_secret": "Client secret"}
    return landfall.speak(access_token({name: _printed(landfall, label)[0] for name, label in names.items()}))


def _sign_in(landfall: Landfall, name: str) -> int:
    """The exit status of a bind with the password of the tests: the LDAP result code (RFC 4511 section 4.1.9)."""
    url = re.search(r"-H (\S+)", _search_command(landfall))
    assert url is not None
    command = ["ldapwhoami", "-x", "-H", url[1], "-D", f"uid={name},ou=people,dc=example,dc=org", "-w", PASSWORD]
    environ = {**os.environ, "LDAPTLS_CACERT": str(landfall.home / "ldap" / "authority.pem")}
    return subprocess.run(command, env=environ, capture_output=True, check=False).returncode


def _named(client: Client, endpoint: str, attribute: str) -> set[str]:
    listed: dict[str, Any] = client.get(endpoint, params={"count": "1000"}).json()
    return {resource[attribute] for resource in listed["Resources"]}


def test_one_command_gives_a_directory_and_the_service_in_front_of_it(tmp_path: Path) -> None:
    """What it prints is enough to use it; the sample entries are there and what is written is seen in the directory;
    the demo succeeds; SIGTERM ends both; the second start keeps everything."""
    landfall = _copy(tmp_path / "home")
    with serving(landfall):
        client = _first_client(landfall)
        sample = _named(client, "/Users", "userName")
        assert len(sample) == 12
        assert _named(client, "/Groups", "displayName") == {"Night Shift", "Workshop", "Dome Keys"}
        user = client.user(NAME, password=PASSWORD, nickName="Miri")
        assert f"uid: {NAME}\n" in _searched(landfall)
        assert _sign_in(landfall, NAME) == 0
        client.change(f"/Users/{user['id']}", {"op": "replace", "path": "active", "value": False})
        assert _sign_in(landfall, NAME) == 49
        _is_the_demo_right(landfall)
        assert _named(client, "/Users", "userName") == sample | {NAME}
        _is_private(landfall)
        slapd, command = _slapd(landfall), _search_command(landfall)
        assert _is_running(slapd)
        authorization = client.headers["Authorization"]
        before = client.get(f"/Users/{user['id']}").json()
    assert not _is_running(slapd)
    with pytest.raises(httpx.ConnectError):
        httpx.get(landfall.url)
    with serving(landfall):
        again = landfall.speak(authorization.removeprefix("Bearer "))
        assert again.get(f"/Users/{user['id']}").json() == before
        assert _named(again, "/Users", "userName") == sample | {NAME}
        assert len(_printed(landfall, "Client secret")) == 1
        assert _search_command(landfall) == command
        assert f"uid: {NAME}\n" in _searched(landfall)


def _is_the_demo_right(landfall: Landfall) -> None:
    """The whole replay, and the sums of its closing table."""
    demo = landfall.run("demo")
    assert demo.returncode == 0, demo.stdout
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in demo.stdout.splitlines() if line[:1] == "│"]
    assert rows[-1][:2] == ["together", "700"]
    assert sum(int(row[1]) for row in rows[:-1] if row[1]) == 700
    assert sum(int(row[3]) for row in rows[:-1] if row[3]) == int(rows[-1][3])


def _is_private(landfall: Landfall) -> None:
    """The password of the service account is in one file that only its owner reads, and is shown nowhere."""
    file = landfall.home / "ldap" / "password"
    assert file.stat().st_mode & 0o777 == 0o600
    assert landfall.home.stat().st_mode & 0o777 == 0o700
    password = file.read_text()
    assert len(password) >= 32
    others = [path.read_text() for path in landfall.home.glob("ldap/*.[tcl]*") if path.suffix in (".toml", ".conf")]
    assert len(others) == 3
    assert not any(password in text for text in (landfall.output, *others))


def test_the_commands_reach_the_directory_with_the_variables_that_are_printed(tmp_path: Path) -> None:
    """`landfall users list`, `groups list` and `check` with the export line; another copy in the same home is refused;
    and when slapd dies, the service ends too and says so."""
    landfall = _copy(tmp_path / "home")
    with serving(landfall):
        exported = re.findall(r"(LANDFALL_\w+)=(\S+)", landfall.output)
        operator = Landfall(landfall.home, dict(exported), landfall.port)
        assert operator.report("users", "list")["total"] == 12
        assert {g["displayName"] for g in operator.report("groups", "list")["items"]} >= {"Workshop"}
        assert {finding["state"] for finding in operator.report("check", "--write")} == {"ok"}
        refused = subprocess.run(
            [SCRIPT],
            env={**os.environ, "LANDFALL_HOME": str(landfall.home)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert refused.returncode == 1
        assert f"slapd is process {_slapd(landfall)}" in refused.stderr
        os.kill(_slapd(landfall), signal.SIGKILL)
        assert landfall.ended() == 1
    assert "run-ldap: slapd has ended" in landfall.output
    with pytest.raises(httpx.ConnectError):
        httpx.get(landfall.url)


def test_a_configuration_of_ones_own_is_refused(tmp_path: Path) -> None:
    """It would not be what is started, so that nobody is left to wonder."""
    variables = {"LANDFALL_CONFIG": str(tmp_path / "mine.toml"), "LANDFALL_HOME": str(tmp_path / "home")}
    environ = {**os.environ, **variables, "LANDFALL_BIND": f"127.0.0.1:{free_port()}"}
    done = subprocess.run([SCRIPT], env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("run-ldap: LANDFALL_CONFIG must not be set")
