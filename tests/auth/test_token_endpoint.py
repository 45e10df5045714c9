"""POST /oauth/token (RFC 6749 section 4.4)."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import quote_plus

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from app.auth.client import ClientCredentials, read_credentials
from app.control import ControlStore
from config.settings import OAuthSettings, Settings
from tests.auth.service import FORM, Client, Service

NOBODY = "00000000-0000-4000-8000-000000000000"


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def assert_refused(answer: httpx.Response, status: int, error: str) -> None:
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Pragma"] == "no-cache"
    assert "access_token" not in answer.text
    if status == 401:
        assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")


@pytest.mark.req("G-4.4.2-01", "G-5.1-01", "G-4.4.3-01", "G-2.3.1-01")
def test_a_client_gets_a_token(service: Service, full: Client) -> None:
    answer = service.http.post("/oauth/token", data=FORM, auth=full.basic)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Pragma"] == "no-cache"
    body = answer.json()
    assert set(body) == {"access_token", "token_type", "expires_in", "scope"}
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 3600)
    assert body["scope"] == "scim.read scim.write"
    assert service.get(body["access_token"]).json()["id"] == full.id


@pytest.mark.req("G-2.3.1-02")
def test_credentials_in_the_body(service: Service, full: Client) -> None:
    form = {**FORM, "client_id": full.id, "client_secret": full.secret}
    assert service.http.post("/oauth/token", data=form).status_code == 200
    form["client_secret"] = "wrong"
    assert_refused(service.http.post("/oauth/token", data=form), 401, "invalid_client")


@pytest.mark.req("G-2.3.1-02")
@pytest.mark.parametrize("parameter", ["client_secret", "client_assertion", "access_token", "token"])
def test_credentials_in_the_url_are_refused(service: Service, full: Client, parameter: str) -> None:
    query = {"client_id": full.id, parameter: full.secret}
    for headers in ({}, basic(*full.basic)):
        answer = service.http.post("/oauth/token", params=query, data=FORM, headers=headers)
        assert_refused(answer, 400, "invalid_request")


@pytest.mark.req("G-2.3.1-02", "G-3.2-01")
def test_the_url_is_no_second_form(service: Service, full: Client) -> None:
    answer = service.http.post("/oauth/token?grant_type=client_credentials", data={"x": "y"}, auth=full.basic)
    assert_refused(answer, 400, "invalid_request")
    stray = service.http.post("/oauth/token?aadOptscim062020&scope=nonsense", data=FORM, auth=full.basic)
    assert stray.status_code == 200


@pytest.mark.req("G-2.3.1-01")
def test_basic_credentials_are_form_decoded(service: Service, full: Client) -> None:
    encoded = basic("".join(f"%{byte:02x}" for byte in full.id.encode()), quote_plus(full.secret))
    assert service.http.post("/oauth/token", data=FORM, headers=encoded).status_code == 200


@pytest.mark.req("G-2.3.1-01")
@pytest.mark.parametrize("secret", ["a%b", "a+b", "a:b", "a b", "é&=", "%2B"])
def test_special_characters_in_basic_credentials(secret: str) -> None:
    header = basic(quote_plus("c:1"), quote_plus(secret))["Authorization"]
    assert read_credentials(header, {}) == ClientCredentials("c:1", secret)
    assert read_credentials(header.replace("Basic", "bAsIc"), {}) == ClientCredentials("c:1", secret)


@pytest.mark.req("G-4.4.2-01")
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/revoke"])
def test_only_post(service: Service, full: Client, method: str, path: str) -> None:
    answer = service.http.request(method, path, params=FORM, auth=full.basic)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"
    if method != "HEAD":
        assert answer.json()["error"] == "invalid_request"


@pytest.mark.req("G-4.4.2-01", "G-5.2-01")
def test_a_body_that_is_no_form_is_an_invalid_request(service: Service, full: Client) -> None:
    with_json = service.http.post("/oauth/token", json=FORM, auth=full.basic)
    assert_refused(with_json, 400, "invalid_request")
    untyped = service.http.post("/oauth/token", content=b"grant_type=client_credentials", auth=full.basic)
    assert_refused(untyped, 400, "invalid_request")
    multipart = service.http.post("/oauth/token", files={"grant_type": (None, "x")}, auth=full.basic)
    assert_refused(multipart, 400, "invalid_request")


@pytest.mark.req("G-3.2-01", "G-5.2-01")
@pytest.mark.parametrize("repeated", ["grant_type=client_credentials", "scope=scim.read", "unknown=1", "unknown="])
def test_a_repeated_parameter_is_refused(service: Service, full: Client, repeated: str) -> None:
    content = f"grant_type=client_credentials&scope=scim.read&unknown=1&{repeated}"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = service.http.post("/oauth/token", content=content, headers=headers, auth=full.basic)
    assert_refused(answer, 400, "invalid_request")


@pytest.mark.req("G-3.2-01")
def test_unknown_parameters_are_ignored_and_empty_ones_absent(service: Service, full: Client) -> None:
    form = {**FORM, "scope": "", "client_id": "", "client_secret": "", "resource": "x", "nul": "\x00"}
    answer = service.http.post("/oauth/token", data=form, auth=full.basic)
    assert answer.status_code == 200
    assert answer.json()["scope"] == "scim.read scim.write"
    empty = service.http.post("/oauth/token", data={"grant_type": ""}, auth=full.basic)
    assert_refused(empty, 400, "invalid_request")


@pytest.mark.req("G-5.2-01")
@pytest.mark.parametrize(
    "grant_type", ["password", "refresh_token", "authorization_code", 'x"\\\n', "Client_Credentials"]
)
def test_another_grant_type_is_unsupported(service: Service, full: Client, grant_type: str) -> None:
    answer = service.http.post("/oauth/token", data={"grant_type": grant_type}, auth=full.basic)
    assert_refused(answer, 400, "unsupported_grant_type")
    assert grant_type not in answer.json()["error_description"]


@pytest.mark.req("G-5.2-01")
def test_client_authentication_fails_with_401(service: Service, full: Client) -> None:
    token = "/oauth/token"
    attempts = [
        service.http.post(token, data=FORM),
        service.http.post(token, data={**FORM, "client_id": full.id}),
        service.http.post(token, data=FORM, auth=(full.id, "wrong")),
        service.http.post(token, data=FORM, auth=(full.id, "")),
        service.http.post(token, data=FORM, auth=(NOBODY, full.secret)),
        service.http.post(token, data=FORM, auth=("\x00", "\x00")),
        service.http.post(token, data=FORM, headers={"Authorization": "Basic !!!"}),
        service.http.post(token, data=FORM, headers={"Authorization": "Basic /w=="}),
        service.http.post(token, data=FORM, headers={"Authorization": "Basic"}),
        service.http.post(token, data=FORM, headers={"Authorization": f"Bearer {full.secret}"}),
    ]
    for answer in attempts:
        assert_refused(answer, 401, "invalid_client")
    # Nothing tells an unknown client from a wrong secret.
    assert len({answer.text for answer in attempts}) == 1


@pytest.mark.req("G-5.2-01")
def test_credentials_of_a_revoked_integration_fail(service: Service, control: ControlStore, full: Client) -> None:
    control.revoke_integration(full.id)
    assert_refused(service.http.post("/oauth/token", data=FORM, auth=full.basic), 401, "invalid_client")


@pytest.mark.req("G-5.2-01")
def test_header_and_body_must_not_contradict_each_other(service: Service, full: Client, read_only: Client) -> None:
    for contradiction in ({"client_id": read_only.id}, {"client_secret": read_only.secret}):
        answer = service.http.post("/oauth/token", data={**FORM, **contradiction}, auth=full.basic)
        assert_refused(answer, 400, "invalid_request")
    same = {**FORM, "client_id": full.id, "client_secret": full.secret}
    assert service.http.post("/oauth/token", data=same, auth=full.basic).status_code == 200


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        (None, "scim.read scim.write"),
        ("", "scim.read scim.write"),
        ("scim.read", "scim.read"),
        ("scim.write", "scim.read scim.write"),
        ("scim.write scim.read", "scim.read scim.write"),
    ],
)
def test_scopes_of_full_access(service: Service, full: Client, asked: str | None, granted: str) -> None:
    form = FORM if asked is None else {**FORM, "scope": asked}
    answer = service.http.post("/oauth/token", data=form, auth=full.basic)
    assert (answer.status_code, answer.json()["scope"]) == (200, granted)


@pytest.mark.req("G-5.2-01")
@pytest.mark.parametrize("scope", ["scim.write", "scim.read scim.write", "admin", "scim.read openid", "SCIM.READ"])
def test_a_scope_beyond_the_access_level_is_invalid(service: Service, read_only: Client, scope: str) -> None:
    answer = service.http.post("/oauth/token", data={**FORM, "scope": scope}, auth=read_only.basic)
    assert_refused(answer, 400, "invalid_scope")
    default = service.http.post("/oauth/token", data=FORM, auth=read_only.basic)
    assert default.json()["scope"] == "scim.read"


@pytest.mark.req("G-2.3.1-03", "P-7.7-01")
def test_guessing_is_throttled_by_client_and_address(service: Service, full: Client, read_only: Client) -> None:
    for _ in range(20):
        wrong = service.http.post("/oauth/token", data=FORM, auth=(full.id, "wrong"))
        assert_refused(wrong, 401, "invalid_client")
    for secret in ("wrong", full.secret):
        throttled = service.http.post("/oauth/token", data=FORM, auth=(full.id, secret))
        assert throttled.status_code == 429
        assert 1 <= int(throttled.headers["Retry-After"]) <= 61
        assert "access_token" not in throttled.text
    assert service.http.post("/oauth/token", data=FORM, auth=read_only.basic).status_code == 200


@pytest.mark.req("G-2.3.1-03")
def test_a_guesser_elsewhere_does_not_lock_out_the_client(service: Service, full: Client) -> None:
    guesser = {"X-Test-Peer": "192.0.2.7", "X-Test-Scheme": "https"}
    for _ in range(21):
        service.http.post("/oauth/token", data=FORM, auth=(full.id, "wrong"), headers=guesser)
    blocked = service.http.post("/oauth/token", data=FORM, auth=full.basic, headers=guesser)
    assert blocked.status_code == 429
    assert service.http.post("/oauth/token", data=FORM, auth=full.basic).status_code == 200


@pytest.mark.req("G-2.3.1-03")
def test_the_limit_is_configurable_and_success_does_not_count(
    start: Callable[..., Service], settings: Settings, full: Client
) -> None:
    service = start(replace(settings, oauth=OAuthSettings(token_failures_per_minute=2)))
    for _ in range(5):
        assert service.http.post("/oauth/token", data=FORM, auth=full.basic).status_code == 200
    codes = [service.http.post("/oauth/token", data=FORM, auth=("x", str(n))).status_code for n in range(3)]
    assert codes == [401, 401, 429]


def test_the_lifetime_is_configurable(start: Callable[..., Service], settings: Settings, full: Client) -> None:
    service = start(replace(settings, oauth=OAuthSettings(access_token_minutes=360)))
    body = service.http.post("/oauth/token", data=FORM, auth=full.basic).json()
    assert body["expires_in"] == 21_600
    keys = KeySet.import_key_set(service.http.get("/oauth/jwks").json())
    claims = jwt.decode(body["access_token"], keys, algorithms=["RS256"]).claims
    assert claims["exp"] - claims["iat"] == 21_600


def test_a_form_without_end_is_refused(service: Service, full: Client) -> None:
    answer = service.http.post("/oauth/token", data={**FORM, "x": "y" * 70_000}, auth=full.basic)
    assert_refused(answer, 413, "invalid_request")


def test_odd_octets_in_a_form_are_no_fault_of_the_service(service: Service, full: Client) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    for content in (b"grant_type=%FF%FE", b"\xff\xfe=\x00", b"&&&===", b"grant_type", b"%"):
        answer = service.http.post("/oauth/token", content=content, headers=headers, auth=full.basic)
        assert answer.status_code == 400
        assert answer.json()["error"] in {"invalid_request", "unsupported_grant_type"}
