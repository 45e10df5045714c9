"""Settings that can't work end the start with one clear sentence, and not with a traceback."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.support.servers import free_port
from tests.wire.landfall import Landfall


def _refusal(landfall: Landfall) -> str:
    done = landfall.run("serve")
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
    return done.stderr


def test_an_unknown_key(tmp_path: Path) -> None:
    """The key is named, and so is every other fault of the file."""
    path = tmp_path / "landfall.toml"
    path.write_text('[sql]\nurll = "sqlite:///x.db"\n[oauth]\naccess_token_minutes = 5\n')
    refusal = _refusal(Landfall(tmp_path / "home", {"LANDFALL_CONFIG": str(path)}))
    assert "sql.urll: there is no such key" in refusal
    assert "oauth.access_token_minutes: must be 60 to 360" in refusal


@pytest.mark.parametrize("bind", ["127.0.0.1", "127.0.0.1:99999", "here and there", ":8000"])
def test_a_bad_address(tmp_path: Path, bind: str) -> None:
    """The form that is wanted is named."""
    assert "bind: must be HOST:PORT" in _refusal(Landfall(tmp_path / "home", {"LANDFALL_BIND": bind}))


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """It ends instead of trying for ever, and says which port it is."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refusal = _refusal(Landfall(tmp_path / "home", port=port))
    assert str(port) in refusal
    assert "in use" in refusal


@pytest.mark.parametrize("scheme", ["postgresql", "mariadb"])
@pytest.mark.parametrize("variable", ["LANDFALL_SQL_URL", "LANDFALL_CONTROL_URL"])
def test_a_database_that_cannot_be_reached(tmp_path: Path, variable: str, scheme: str) -> None:
    """The sentence holds no password."""
    url = f"{scheme}://landfall:invented-password@127.0.0.1:{free_port()}/landfall"
    refusal = _refusal(Landfall(tmp_path / "home", {variable: url}))
    assert refusal.startswith("landfall: ")
    assert len(refusal.strip().splitlines()) == 1
    assert "invented-password" not in refusal


@pytest.mark.parametrize("option", ["sslmode=require", "ssl_ca=/nowhere/ca.pem", "charset=invented"])
@pytest.mark.parametrize("variable", ["LANDFALL_SQL_URL", "LANDFALL_CONTROL_URL"])
def test_an_address_with_an_option_that_the_driver_cannot_use(tmp_path: Path, variable: str, option: str) -> None:
    """As one that another database has, or a file that is not there."""
    url = f"mariadb://landfall:invented-password@127.0.0.1:{free_port()}/landfall?{option}"
    refusal = _refusal(Landfall(tmp_path / "home", {variable: url}))
    assert "the options in the address can't be used" in refusal
    assert len(refusal.strip().splitlines()) == 1
    assert "invented-password" not in refusal


def test_a_rule_of_protection_that_cannot_be_used(tmp_path: Path) -> None:
    """It is told before the service is made, and the secret shown."""
    landfall = Landfall(tmp_path / "home", {"LANDFALL_PROTECTED_USERS": 'userName is "admin"'})
    assert "protected.users" in _refusal(landfall)
    assert "lfs_" not in landfall.run("serve").stdout


def test_an_unknown_back_end(tmp_path: Path) -> None:
    """The key is named."""
    assert "backend" in _refusal(Landfall(tmp_path / "home", {"LANDFALL_BACKEND": "nothing.here:make"}))


def test_a_home_that_cannot_be_made(tmp_path: Path) -> None:
    """A file stands where the directory should be."""
    (tmp_path / "home").write_text("")
    assert str(tmp_path / "home") in _refusal(Landfall(tmp_path / "home"))
