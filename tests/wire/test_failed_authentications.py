"""Whoever tries secrets and tokens is in the log, and what was tried is not."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from tests.wire.landfall import Landfall, access_token, serving

_TOKEN = "/oauth/token"
_FORM = {"grant_type": "client_credentials"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Landfall]:
    """A service of one worker behind a proxy on this machine, so that each test has addresses of its own."""
    home = tmp_path_factory.mktemp("failures") / "home"
    variables = {
        "LANDFALL_SERVER_WORKERS": "1",
        "LANDFALL_SERVER_TRUSTED_PROXIES": "127.0.0.1",
        "LANDFALL_LOG_FORMAT": "json",
        "LANDFALL_OAUTH_TOKEN_FAILURES_PER_MINUTE": "3",
    }
    with serving(Landfall(home, variables)) as landfall:
        yield landfall


@pytest.fixture(scope="module")
def integration(running: Landfall) -> dict[str, Any]:
    return running.integration("entra", "full", "--bearer")


def _failures(landfall: Landfall, address: str) -> list[dict[str, Any]]:
    """What the log tells of an address, without what is in each line."""
    found = []
    for line in landfall.output.splitlines():
        event: dict[str, Any] = json.loads(line) if line.startswith("{") else {}
        if event.get("event") == "authentication failed" and event["address"] == address:
            assert event["level"] == "warning"
            found.append({key: event[key] for key in event.keys() - {"event", "level", "timestamp", "address"}})
    return found


def _read(landfall: Landfall, address: str, authorization: str | None) -> int:
    headers = {"X-Forwarded-For": address}
    if authorization is not None:
        headers["Authorization"] = authorization
    return httpx.get(f"{landfall.scim_url}/Users?count=0", headers=headers).status_code


def _ask(landfall: Landfall, address: str, form: Mapping[str, str], auth: tuple[str, str] | None = None) -> int:
    headers = {"X-Forwarded-For": address}
    return httpx.post(f"{landfall.url}{_TOKEN}", data={**_FORM, **form}, headers=headers, auth=auth).status_code


def test_wrong_secrets_are_in_the_log_without_the_secret(running: Landfall, integration: dict[str, Any]) -> None:
    id, wrong = integration["client_id"], "lfs_not-the-right-one"
    assert [_ask(running, "192.0.2.1", {}, (id, wrong)) for _ in range(4)] == [401, 401, 401, 429]
    refused = {"by": "client secret", "reason": "unknown client, or no live secret of it", "client_id": id}
    throttled = {**refused, "reason": "too many failures"}
    assert _failures(running, "192.0.2.1") == [refused, refused, refused, throttled]
    assert wrong not in running.output


def test_what_is_given_as_client_id_is_cut_and_is_no_secret(running: Landfall, integration: dict[str, Any]) -> None:
    address, secret = "192.0.2.2", integration["client_secret"]
    assert _ask(running, address, {"client_id": "x\n" * 5000, "client_secret": "y"}) == 401
    assert _ask(running, address, {"client_id": secret, "client_secret": integration["client_id"]}) == 401
    assert _ask(running, address, {"client_id": "only this"}) == 401
    assert [one.get("client_id") for one in _failures(running, address)] == [
        "x\n" * 32 + "…",
        "(a secret)",
        "only this",
    ]
    assert secret not in running.output


def test_tokens_that_are_not_valid_are_in_the_log_without_the_token(
    running: Landfall, integration: dict[str, Any]
) -> None:
    token, bearer = access_token(integration), integration["bearer_token"]
    unknown = bearer[:-4] + "AAAA"
    revoked = httpx.post(
        f"{running.url}/oauth/revoke",
        data={"token": token},
        auth=(integration["client_id"], integration["client_secret"]),
    )
    assert revoked.status_code == 200
    address = "192.0.2.3"
    headers = [f"Bearer {text}" for text in (unknown, token, token + "x", "some-word")]
    assert [_read(running, address, header) for header in headers] == [401] * 4
    foreign = {"by": "token", "reason": "not an access token of this service"}
    assert _failures(running, address) == [
        {"by": "token", "reason": "unknown, expired or revoked bearer token"},
        {
            "by": "token",
            "reason": "revoked access token, secret or integration",
            "client_id": integration["client_id"],
        },
        foreign,
        foreign,
    ]
    for text in (unknown, token, "some-word"):
        assert text not in running.output


def test_a_request_without_credentials_is_no_failure(running: Landfall, integration: dict[str, Any]) -> None:
    """Clients begin so, and whoever looks whether the service is there."""
    basic = base64.b64encode(b"somebody:something").decode()
    assert [_read(running, "192.0.2.4", header) for header in (None, f"Basic {basic}")] == [401, 401]
    assert _read(running, "192.0.2.4", f"Bearer {integration['bearer_token']}") == 200
    assert _failures(running, "192.0.2.4") == []


def test_a_guesser_does_not_fill_the_log(running: Landfall) -> None:
    """The throttle counts for a client id, and tokens have none."""
    address = "192.0.2.5"
    with httpx.Client(headers={"X-Forwarded-For": address, "Authorization": "Bearer guess"}) as client:
        for _ in range(200):
            assert client.get(f"{running.scim_url}/Users").status_code == 401
    # It may be that a new minute begins meanwhile.
    assert 10 <= len(_failures(running, address)) <= 20
