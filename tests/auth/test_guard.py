"""Bearer tokens at the resource (RFC 6750, RFC 9068, RFC 8725)."""

from __future__ import annotations

import base64
import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from app.auth.challenge import bearer_challenge
from app.auth.errors import InsufficientScope, InvalidToken
from app.auth.keys import parse_key
from app.control import Access, ControlStore, CredentialKind
from config.settings import Settings
from tests.auth.conftest import PUBLIC_URL, NewClient
from tests.auth.service import FORM, Client, Service
from tests.control.clock import Clock

METADATA = "https://scim.example/.well-known/oauth-protected-resource/t1/scim/v2"
PARAMETER = re.compile(r'(\w+)="([\x20\x21\x23-\x5b\x5d-\x7e]*)"')


def challenge(answer: httpx.Response) -> dict[str, str]:
    """The parameters of the Bearer challenge; fails where one is repeated or holds a forbidden character."""
    scheme, _, rest = answer.headers["WWW-Authenticate"].partition(" ")
    assert scheme == "Bearer"
    parameters = PARAMETER.findall(rest)
    assert ", ".join(f'{name}="{value}"' for name, value in parameters) == rest
    assert len(dict(parameters)) == len(parameters)
    return dict(parameters)


def assert_invalid_token(answer: httpx.Response) -> None:
    assert answer.status_code == 401
    assert challenge(answer)["error"] == "invalid_token"


class Forger:
    """Signs whatever it is told to, with the service's own key unless told otherwise."""

    def __init__(self, control: ControlStore, clock: Clock, client: Client) -> None:
        stored = control.signing_keys()[0]
        self.key = parse_key(stored)
        self.header: dict[str, Any] = {"alg": "RS256", "typ": "at+jwt", "kid": stored.kid}
        now = int(clock())
        self.claims: dict[str, Any] = {
            "iss": PUBLIC_URL,
            "aud": f"{PUBLIC_URL}/scim/v2",
            "sub": client.id,
            "client_id": client.id,
            "iat": now,
            "exp": now + 600,
            "jti": "forged",
            "scope": "scim.read scim.write",
        }

    def sign(self, header: Mapping[str, Any] | None = None, /, **claims: Any) -> str:
        """A token with these changes; a value of ... removes the member."""
        parts = (_changed(self.header, header or {}), _changed(self.claims, claims))
        text = ".".join(_segment(json.dumps(part).encode()) for part in parts)
        private = self.key.private_key
        assert private is not None
        return f"{text}.{_segment(private.sign(text.encode(), PKCS1v15(), SHA256()))}"


def _segment(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _changed(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**values, **changes}.items() if value is not ...}


@pytest.fixture
def forger(service: Service, control: ControlStore, clock: Clock, full: Client) -> Forger:
    service.fetch_token(full)
    return Forger(control, clock, full)


@pytest.mark.req("B-2.1-01")
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_the_scheme_is_read_without_case(service: Service, full: Client, scheme: str) -> None:
    token = service.fetch_token(full)
    answer = service.http.get("/resource", headers={"Authorization": f"{scheme} {token}"})
    assert answer.json() == {
        "id": full.id,
        "name": "entra-id",
        "access": "full",
        "dialect": "entra",
        "scopes": ["scim.read", "scim.write"],
        "may_write": True,
    }


@pytest.mark.req("B-2.1-01")
def test_a_long_lived_bearer_token(service: Service, control: ControlStore, full: Client) -> None:
    token = control.add_bearer(full.id, timedelta(days=365)).value
    assert service.get(token).json()["id"] == full.id
    assert service.post(token).status_code == 200


@pytest.mark.req("B-3-01", "B-3-03", "N-5-01", "P-2-01")
@pytest.mark.parametrize("header", [None, "", "Basic YTpi", "Negotiate x", "Token abc"])
def test_without_credentials_the_challenge_has_no_error(service: Service, header: str | None) -> None:
    answer = service.http.get("/resource", headers={} if header is None else {"Authorization": header})
    assert answer.status_code == 401
    assert challenge(answer) == {"realm": "landfall", "resource_metadata": METADATA}


@pytest.mark.req("B-2.2-01", "B-2.3-01")
def test_a_token_elsewhere_than_in_the_header_is_none(service: Service, full: Client) -> None:
    token = service.fetch_token(full)
    assert service.http.get("/resource", params={"access_token": token}).status_code == 401
    assert service.http.post("/resource", data={"access_token": token}).status_code == 401


@pytest.mark.req("B-2-01", "B-3.1-01")
def test_two_tokens_are_an_invalid_request(service: Service, full: Client) -> None:
    token = service.fetch_token(full)
    header = {"Authorization": f"Bearer {token}"}
    answers = [
        service.http.get("/resource", params={"access_token": token}, headers=header),
        service.http.post("/resource", data={"access_token": "x"}, headers=header),
        service.http.get("/resource", headers=[("Authorization", header["Authorization"])] * 2),
    ]
    for answer in answers:
        assert answer.status_code == 400
        assert challenge(answer)["error"] == "invalid_request"


@pytest.mark.req("J-9068-4-06", "B-3.1-01")
@pytest.mark.parametrize(
    "token",
    ["x", "", "a b", "ü", "lfb_", "lfb_" + "x" * 43, "lfs_" + "x" * 43, "a.b.c", "..", "====", '"', "x" * 7000],
)
def test_any_other_text_is_an_invalid_token(service: Service, token: str) -> None:
    header = (b"Authorization", f"Bearer {token}".rstrip().encode("latin-1"))
    answer = service.http.get("/resource", headers=[header])
    assert_invalid_token(answer)


@pytest.mark.req("J-9068-4-06")
def test_parts_that_no_parser_survives_are_invalid_tokens(service: Service) -> None:
    def part(text: str) -> str:
        return _segment(text.encode())

    hostile = ["[" * 4000, '{"a":' * 900, "{}", "[]", "1", "null", '{"alg":null}', '{"alg":["RS256"],"kid":"x"}']
    hostile += ['{"alg":"RS256","typ":"at+jwt","kid":{}}', '{"alg":"RS256","b64":false,"crit":["b64"]}', "\ud7ff"]
    for text in hostile:
        for token in (f"{part(text)}.{part('{}')}.AA", f"{part(text)}.{part(text)}.{part('x')}"):
            assert_invalid_token(service.get(token))


@pytest.mark.req("J-9068-4-06")
@hypothesis_settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text("ABCXYZabcxyz0189-_.~+/=", min_size=1, max_size=300))
def test_random_tokens_are_invalid_tokens(service: Service, token: str) -> None:
    assert_invalid_token(service.get(token))


def test_the_forger_can_make_a_good_token(service: Service, forger: Forger) -> None:
    assert service.get(forger.sign()).status_code == 200
    assert service.get(forger.sign({"typ": "application/at+jwt"})).status_code == 200
    assert service.get(forger.sign(aud=["https://else.example", f"{PUBLIC_URL}/scim/v2"])).status_code == 200


@pytest.mark.req("J-9068-4-01", "J-9068-4-06")
@pytest.mark.parametrize("typ", ["JWT", "", "at+jwt2", "application/jwt", 5, None, ...])
def test_another_type_of_token_is_refused(service: Service, forger: Forger, typ: Any) -> None:
    assert_invalid_token(service.get(forger.sign({"typ": typ})))


@pytest.mark.req("J-9068-4-02", "J-9068-4-06")
@pytest.mark.parametrize(
    "iss", [f"{PUBLIC_URL}/", PUBLIC_URL.upper(), "http://scim.example/t1", "", None, [PUBLIC_URL], ...]
)
def test_another_issuer_is_refused(service: Service, forger: Forger, iss: Any) -> None:
    assert_invalid_token(service.get(forger.sign(iss=iss)))


@pytest.mark.req("J-9068-4-03", "J-9068-4-06", "J-8725-3.9-01", "P-7.3-01", "P-2.1-01")
@pytest.mark.parametrize(
    "aud", [PUBLIC_URL, f"{PUBLIC_URL}/scim/v2/", "", [], ["x"], None, {f"{PUBLIC_URL}/scim/v2": 1}, ...]
)
def test_another_or_no_audience_is_refused(service: Service, forger: Forger, aud: Any) -> None:
    assert_invalid_token(service.get(forger.sign(aud=aud)))


@pytest.mark.req("J-9068-4-05", "J-9068-4-06")
@pytest.mark.parametrize("claim", ["exp", "iat", "sub", "client_id", "jti", "scope"])
@pytest.mark.parametrize("value", [..., None, "", "x", [], {}, True, 1.5, -1])
def test_required_claims(service: Service, forger: Forger, claim: str, value: Any) -> None:
    if (claim, value) in [("iat", -1), ("jti", "x")]:
        assert service.get(forger.sign(**{claim: value})).status_code == 200
    elif (claim, value) == ("scope", "x"):
        assert service.get(forger.sign(scope="x")).status_code == 403
    else:
        assert_invalid_token(service.get(forger.sign(**{claim: value})))


@pytest.mark.req("J-9068-4-05", "P-7.4-02")
def test_a_token_ends_with_its_time_and_the_clock_skew(service: Service, clock: Clock, full: Client) -> None:
    token = service.fetch_token(full)
    clock.forward(3629)
    assert service.get(token).status_code == 200
    clock.forward(1)
    assert_invalid_token(service.get(token))
    clock.forward(570)
    assert_invalid_token(service.get(token))


@pytest.mark.req("J-9068-4-05")
def test_a_token_of_the_future_is_refused(service: Service, forger: Forger, clock: Clock) -> None:
    for claim in ("iat", "nbf"):
        early = forger.sign(**{claim: int(clock()) + 31})
        assert_invalid_token(service.get(early))
        assert service.get(forger.sign(**{claim: int(clock()) + 30})).status_code == 200


@pytest.mark.req("J-9068-4-04", "J-9068-4-06", "P-7.3-01", "P-2.1-01")
def test_only_our_algorithm_and_our_key(service: Service, forger: Forger) -> None:
    public_pem = forger.key.as_pem(private=False)
    confused = OctKey.import_key(base64.b64encode(public_pem), {"kid": forger.header["kid"]})
    stranger = RSAKey.generate_key(2048, {"kid": forger.header["kid"]})
    parts = ({**forger.header, "alg": "none"}, forger.claims)
    unsigned = ".".join(_segment(json.dumps(part).encode()) for part in parts)
    same_key = RSAKey.import_key(forger.key.as_pem(private=True), {"kid": forger.header["kid"]})
    forged = [
        f"{unsigned}.",
        jwt.encode({**forger.header, "alg": "HS256"}, forger.claims, confused, algorithms=["HS256"]),
        jwt.encode(forger.header, forger.claims, stranger, algorithms=["RS256"]),
        jwt.encode({**forger.header, "alg": "PS256"}, forger.claims, same_key, algorithms=["PS256"]),
        forger.sign()[:-6] + "AAAAAA",
    ]
    for token in forged:
        assert_invalid_token(service.get(token))


@pytest.mark.req("J-8725-3.10-01", "J-9068-4-04")
@pytest.mark.parametrize("kid", ["../../x", "' OR 1=1 --", "", "\x00", "x" * 3000, 7, None, ["a"], ...])
def test_a_kid_is_only_looked_up_among_ours(service: Service, forger: Forger, kid: Any) -> None:
    assert_invalid_token(service.get(forger.sign({"kid": kid})))


@pytest.mark.req("J-8725-3.10-01")
def test_keys_named_in_the_header_are_not_fetched(service: Service, forger: Forger) -> None:
    stranger = RSAKey.generate_key(2048, {"kid": "stranger"})
    header = {
        **forger.header,
        "jku": f"{service.http.base_url}/resource",
        "jwk": stranger.as_dict(private=False),
    }
    forger.key = stranger
    assert_invalid_token(service.get(forger.sign(header)))


@pytest.mark.req("J-8725-3.8-01", "P-7.3-01", "P-2.1-01")
def test_the_key_of_another_issuer_is_no_key(
    service: Service, start: Callable[..., Service], settings: Settings, full: Client
) -> None:
    neighbour = start(replace(settings, public_url="https://scim.example/t2"))
    token = neighbour.fetch_token(full)
    assert neighbour.get(token).status_code == 200
    assert_invalid_token(service.get(token))


@pytest.mark.req("J-8725-3.8-01")
def test_a_token_for_a_client_that_does_not_exist(service: Service, forger: Forger) -> None:
    nobody = "00000000-0000-4000-8000-000000000000"
    assert_invalid_token(service.get(forger.sign(sub=nobody, client_id=nobody)))
    assert_invalid_token(service.get(forger.sign(sub=nobody)))


@pytest.mark.req("J-9068-2.2.3-01", "B-3.1-01", "P-2-02", "P-7.7-02")
def test_the_scope_of_the_token_decides(service: Service, full: Client) -> None:
    token = service.fetch_token(full, "scim.read")
    assert service.get(token).json()["scopes"] == ["scim.read"]
    refused = service.post(token)
    assert refused.status_code == 403
    assert challenge(refused)["error"] == "insufficient_scope"
    assert challenge(refused)["scope"] == "scim.write"


@pytest.mark.req("P-2-02", "P-7.7-02")
def test_a_read_only_integration_reads(service: Service, control: ControlStore, read_only: Client) -> None:
    for token in (service.fetch_token(read_only), control.add_bearer(read_only.id, None).value):
        assert service.get(token).json()["may_write"] is False
        assert service.post(token).status_code == 403


def test_a_token_with_foreign_scopes_allows_nothing(service: Service, forger: Forger) -> None:
    assert service.get(forger.sign(scope="openid profile")).status_code == 403


def test_a_downgrade_holds_for_the_next_request_on_every_worker(
    service: Service, other_worker: Service, control: ControlStore, full: Client
) -> None:
    tokens = [service.fetch_token(full), control.add_bearer(full.id, None).value]
    workers = [service, other_worker]
    assert all(worker.post(token).status_code == 200 for worker in workers for token in tokens)
    control.set_access(full.id, Access.READ_ONLY)
    for worker in workers:
        for token in tokens:
            assert worker.post(token).status_code == 403
            assert worker.get(token).json()["access"] == "read-only"
    control.set_access(full.id, Access.FULL)
    assert all(worker.post(token).status_code == 200 for worker in workers for token in tokens)


def test_revoking_holds_for_the_next_request_on_every_worker(
    service: Service, other_worker: Service, control: ControlStore, full: Client, read_only: Client
) -> None:
    tokens = [service.fetch_token(full), control.add_bearer(full.id, None).value]
    kept = service.fetch_token(read_only)
    workers = [service, other_worker]
    assert all(worker.get(token).status_code == 200 for worker in workers for token in [*tokens, kept])
    control.revoke_integration(full.id)
    for worker in workers:
        for token in tokens:
            assert_invalid_token(worker.get(token))
        assert worker.get(kept).status_code == 200


@pytest.mark.req("P-7.4-02")
def test_a_remembered_bearer_token_still_expires(
    service: Service, control: ControlStore, clock: Clock, full: Client
) -> None:
    token = control.add_bearer(full.id, timedelta(hours=1)).value
    assert service.get(token).status_code == 200
    clock.forward(3600)
    assert_invalid_token(service.get(token))


def test_rotation_ends_the_old_bearer_token_after_the_overlap(
    service: Service, control: ControlStore, clock: Clock, full: Client
) -> None:
    old = control.add_bearer(full.id, None).value
    assert service.get(old).status_code == 200
    new = control.rotate(full.id, CredentialKind.BEARER, overlap=timedelta(hours=1), lifetime=None).value
    assert [service.get(token).status_code for token in (old, new)] == [200, 200]
    clock.forward(3600)
    assert [service.get(token).status_code for token in (old, new)] == [401, 200]


def test_more_tokens_than_are_remembered(service: Service, control: ControlStore, full: Client) -> None:
    tokens = [control.add_bearer(full.id, None).value for _ in range(30)]
    assert [service.get(token).status_code for token in tokens * 2] == [200] * 60


@pytest.mark.req("B-3-02")
def test_a_challenge_holds_only_allowed_characters() -> None:
    error = InvalidToken("unknown")
    error.description = 'quote " backslash \\ break \r\nX: y umlaut ü end'
    text = bearer_challenge(METADATA, error)
    assert PARAMETER.sub("", text) == "Bearer , , , "
    assert 'error_description="quote  backslash  break X: y umlaut  end"' in text
    assert bearer_challenge(METADATA, InsufficientScope("scim.write")).count('scope="') == 1


@pytest.mark.req("P-7.2-01", "B-5.3-01", "G-3.2-01", "P-7.4-01")
@pytest.mark.parametrize("peer", ["192.0.2.7", "2001:db8::7", "::ffff:192.0.2.7", "nonsense"])
def test_plain_http_from_elsewhere_is_refused(service: Service, full: Client, peer: str) -> None:
    token = service.fetch_token(full)
    plain = {"X-Test-Peer": peer}
    assert service.get(token, **plain).status_code == 403
    assert service.get(token, **plain, **{"X-Test-Scheme": "https"}).status_code == 200
    for path, form in (("/oauth/token", FORM), ("/oauth/revoke", {"token": token})):
        answer = service.http.post(path, data=form, auth=full.basic, headers=plain)
        assert (answer.status_code, answer.json()["error"]) == (403, "invalid_request")
    assert service.get(token).status_code == 200


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1", ""])
def test_plain_http_from_this_machine_is_accepted(service: Service, full: Client, peer: str) -> None:
    assert service.get(service.fetch_token(full), **{"X-Test-Peer": peer}).status_code == 200


def test_plain_http_where_the_operator_publishes_it(
    start: Callable[..., Service], settings: Settings, full: Client
) -> None:
    service = start(replace(settings, public_url="http://scim.example"))
    assert service.get(service.fetch_token(full), **{"X-Test-Peer": "192.0.2.7"}).status_code == 200


@pytest.mark.req("B-5.3-01", "P-7.5.2-02", "B-2.3-01")
def test_neither_tokens_nor_secrets_are_logged(
    service: Service, control: ControlStore, full: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    bearer = control.add_bearer(full.id, None).value
    token = service.fetch_token(full)
    for value in (token, bearer, token + "x"):
        service.get(value)
        service.http.post("/oauth/revoke", data={"token": value}, auth=full.basic)
    service.http.post("/oauth/token", data={"grant_type": "x"}, auth=(full.id, "wrong-secret"))
    written = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("http"))
    for value in (token, bearer, full.secret, "wrong-secret"):
        assert value not in written


def test_a_store_that_is_down_is_503_until_it_is_back(service: Service, settings: Settings, full: Client) -> None:
    token = service.fetch_token(full)
    assert service.get(token).status_code == 200
    path, away = settings.home / "control.db", settings.home / "away.db"
    path.rename(away)
    answers = [
        service.get(token),
        service.http.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=full.basic),
    ]
    for answer in answers:
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
    assert answers[1].json()["error"] == "temporarily_unavailable"
    away.rename(path)
    assert service.get(token).status_code == 200


def test_names_are_those_of_now(service: Service, new_client: NewClient) -> None:
    client = new_client("Größe & Maß")
    assert service.get(service.fetch_token(client)).json()["name"] == "Größe & Maß"
