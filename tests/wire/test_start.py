"""From nothing to a running service with one command, and again."""

from __future__ import annotations

import os
import re
from pathlib import Path

import httpx

from tests.wire.landfall import Landfall, access_token, serving

_ROOT = Path(__file__).parents[2]


def _printed(output: str, label: str) -> list[str]:
    return re.findall(rf"^ *{label} +(\S+)$", output, re.MULTILINE)


def test_the_first_start_prints_what_is_pasted_into_the_identity_provider(tmp_path: Path) -> None:
    """Address, token endpoint, client id and secret as printed are enough to create a user."""
    with serving(Landfall(tmp_path / "home")) as landfall:
        (tenant_url,) = _printed(landfall.output, "Tenant URL")
        (token_endpoint,) = _printed(landfall.output, "Token endpoint")
        (client_id,) = _printed(landfall.output, "Client ID")
        (secret,) = _printed(landfall.output, "Client secret")
        assert tenant_url == landfall.scim_url
        printed = {"token_endpoint": token_endpoint, "client_id": client_id, "client_secret": secret}
        client = landfall.speak(access_token(printed))
        user = client.user("mira.solberg@tern.example")
        assert client.get(f"/Users/{user['id']}").json()["userName"] == "mira.solberg@tern.example"


def test_the_second_start_keeps_everything_and_prints_no_secret(tmp_path: Path) -> None:
    """Users, credentials and the signing key survive: even the access token of before is accepted."""
    landfall = Landfall(tmp_path / "home")
    with serving(landfall):
        token = access_token(landfall.integration("before"))
        user = landfall.speak(token).user("mira.solberg@tern.example")
    with serving(landfall):
        assert len(_printed(landfall.output, "Client secret")) == 1
        assert len(_printed(landfall.output, "Tenant URL")) == 2
        again = landfall.speak(token)
        assert again.get(f"/Users/{user['id']}").json() == user


def test_what_is_on_disk_is_for_its_owner_alone(tmp_path: Path) -> None:
    """The home directory holds the signing key and the users."""
    with serving(Landfall(tmp_path / "home")) as landfall:
        assert landfall.home.stat().st_mode & 0o777 == 0o700
        files = [path for path in landfall.home.iterdir() if path.name.endswith(".db")]
        assert {path.name for path in files} == {"control.db", "landfall.db"}
        assert [oct(path.stat().st_mode & 0o077) for path in files] == ["0o0", "0o0"]


def test_two_copies_run_side_by_side(tmp_path: Path) -> None:
    """Each has its own users, and refuses the other's tokens."""
    with serving(Landfall(tmp_path / "one")) as one, serving(Landfall(tmp_path / "two")) as two:
        first, second = one.client("first"), two.client("second")
        first.user("mira.solberg@tern.example")
        assert second.found("/Users", 'userName eq "mira.solberg@tern.example"') == set()
        stranger = httpx.get(f"{two.scim_url}/Users", headers={"Authorization": first.headers["Authorization"]})
        assert stranger.status_code == 401
        second.user("mira.solberg@tern.example")


def test_who_has_sqlite_needs_no_other_databases_driver(tmp_path: Path) -> None:
    """The drivers of PostgreSQL and MariaDB are extras of the package."""
    absent = tmp_path / "absent"
    absent.mkdir()
    for driver in ("psycopg", "pymysql"):
        (absent / f"{driver}.py").write_text(f"raise ModuleNotFoundError('No module named {driver}')\n")
    path = os.pathsep.join([str(absent), str(_ROOT)])
    landfall = Landfall(tmp_path / "home", {"PYTHONPATH": path})
    with serving(landfall):
        client = landfall.client("without")
        user = client.user("mira.solberg@tern.example")
        assert client.found("/Users", 'userName eq "mira.solberg@tern.example"') == {user["id"]}
    assert landfall.run("check").returncode == 0
