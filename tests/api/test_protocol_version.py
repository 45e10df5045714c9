"""The version of the protocol in the path (RFC 7644 section 3.13)."""

from __future__ import annotations

import pytest

from tests.api.expect import new_user, refused, unchanged
from tests.support.service import USER, Client


@pytest.fixture
def user(client: Client, name: str) -> str:
    """The path of a fresh user."""
    return new_user(client, name)


@pytest.mark.req("P-3.13-01", "P-3.12-21")
@pytest.mark.parametrize("version", ["v1", "v3", "v0", "v10", "v02", "v999999999"])
@pytest.mark.parametrize("path", ["/Users", "/Groups/x", "", "/ServiceProviderConfig"])
def test_another_version_is_refused(client: Client, version: str, path: str) -> None:
    base = client.base.removesuffix("v2")
    assert client.get(f"{base}v2/Users").status_code == 200
    refused(client.get(f"{base}{version}{path}"), 400, "invalidVers")


@pytest.mark.req("P-3.13-01")
def test_a_write_in_another_version_changes_nothing(client: Client, user: str, name: str) -> None:
    other = client.base.removesuffix("v2") + "v1"
    with unchanged(client, user):
        refused(client.delete(f"{other}{user}"), 400, "invalidVers")
        refused(client.create(f"{other}/Users", {"schemas": [USER], "userName": f"z{name}"}), 400, "invalidVers")
    assert client.found("/Users", f'userName eq "z{name}"') == set()


@pytest.mark.req("P-3.13-01")
@pytest.mark.parametrize("segment", ["vv2", "v2.0", "V2", "v-2", "version2", "v"])
def test_what_is_no_version_is_an_unknown_endpoint(client: Client, segment: str) -> None:
    refused(client.get(f"{client.base.removesuffix('v2')}{segment}/Users"), 404)
