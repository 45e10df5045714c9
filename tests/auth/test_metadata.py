"""What the service publishes: keys and metadata (RFC 7517, RFC 8414, RFC 9728)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url
from joserfc import jwt
from joserfc.jwk import KeySet

from app.auth import key_ring
from app.control import ControlStore, upgrade
from config.settings import Settings
from tests.auth.conftest import PUBLIC_URL
from tests.auth.service import Client, Service
from tests.control.clock import Clock


@pytest.mark.req("M-3-01", "M-2-01", "M-3.3-01")
def test_the_metadata_of_the_authorization_server(service: Service) -> None:
    url = get_well_known_url(PUBLIC_URL, external=True)
    assert url == "https://scim.example/.well-known/oauth-authorization-server/t1"
    answer = service.http.get(urlsplit(url).path)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    document = answer.json()
    assert document["issuer"] == PUBLIC_URL
    assert document["token_endpoint"] == f"{PUBLIC_URL}/oauth/token"
    assert document["revocation_endpoint"] == f"{PUBLIC_URL}/oauth/revoke"
    assert document["jwks_uri"] == f"{PUBLIC_URL}/oauth/jwks"
    assert document["response_types_supported"] == ["none"]
    assert document["grant_types_supported"] == ["client_credentials"]
    assert all(document.values())
    # Without authorization code or implicit grant there is no authorization endpoint to name.
    AuthorizationServerMetadata(document).validate()


@pytest.mark.req("M-3-01", "M-3.3-01")
def test_the_metadata_of_an_issuer_without_path(start: Callable[..., Service], settings: Settings) -> None:
    service = start(replace(settings, public_url="https://scim.example"))
    document = service.http.get("/.well-known/oauth-authorization-server").json()
    assert document["issuer"] == "https://scim.example"
    resource = service.http.get("/.well-known/oauth-protected-resource/scim/v2").json()
    assert resource["resource"] == "https://scim.example/scim/v2"


@pytest.mark.req("N-3-01", "N-2-01")
@pytest.mark.parametrize("path", ["/t1/scim/v2", "/scim/v2"])
def test_the_metadata_of_the_protected_resource(service: Service, path: str) -> None:
    answer = service.http.get(f"/.well-known/oauth-protected-resource{path}")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    document = answer.json()
    assert document["resource"] == f"{PUBLIC_URL}/scim/v2"
    assert document["authorization_servers"] == [PUBLIC_URL]
    assert document["bearer_methods_supported"] == ["header"]
    assert document["scopes_supported"] == ["scim.read", "scim.write"]


@pytest.mark.req("N-3-01", "N-5-01")
def test_the_challenge_leads_to_the_metadata(service: Service) -> None:
    header = service.http.get("/resource").headers["WWW-Authenticate"]
    url = header.partition('resource_metadata="')[2].partition('"')[0]
    assert url.startswith("https://scim.example/")
    assert service.http.get(urlsplit(url).path).json()["resource"] == f"{PUBLIC_URL}/scim/v2"


@pytest.mark.req("J-9068-4-04", "J-9068-4-05")
def test_tokens_verify_with_the_published_keys(
    service: Service, control: ControlStore, clock: Clock, full: Client
) -> None:
    token = service.fetch_token(full)
    published = service.http.get("/oauth/jwks").json()
    (key,) = published["keys"]
    assert {key["kty"], key["alg"], key["use"]} == {"RSA", "RS256", "sig"}
    assert not key.keys() & {"d", "p", "q", "dp", "dq", "qi"}
    decoded = jwt.decode(token, KeySet.import_key_set(published), algorithms=["RS256"])
    assert decoded.header == {"alg": "RS256", "typ": "at+jwt", "kid": key["kid"]}
    jti = decoded.claims.pop("jti")
    assert len(jti) >= 22
    (secret,) = control.list_credentials(full.id)
    assert decoded.claims == {
        "iss": PUBLIC_URL,
        "aud": f"{PUBLIC_URL}/scim/v2",
        "sub": full.id,
        "client_id": full.id,
        "iat": int(clock()),
        "exp": int(clock()) + 3600,
        "scope": "scim.read scim.write",
        "credential_id": secret.id,
    }


def test_a_rotated_key_stays_published_until_its_tokens_have_ended(
    service: Service, other_worker: Service, settings: Settings, control: ControlStore, clock: Clock, full: Client
) -> None:
    def kids() -> list[str]:
        return [key["kid"] for key in other_worker.http.get("/oauth/jwks").json()["keys"]]

    old_token = service.fetch_token(full)
    (old,) = kids()
    new = key_ring(settings, control, clock=clock).rotate()
    assert kids() == [new, old]
    new_token = other_worker.fetch_token(full)
    for worker in (service, other_worker):
        assert [worker.get(token).status_code for token in (old_token, new_token)] == [200, 200]
    clock.forward(7 * 3600 + 1)
    assert kids() == [new]


def test_a_key_is_replaced_at_its_age(service: Service, other_worker: Service, clock: Clock, full: Client) -> None:
    def signing_kid() -> str:
        return str(service.http.get("/oauth/jwks").json()["keys"][0]["kid"])

    first = signing_kid()
    clock.forward(90 * 86_400 - 1)
    service.fetch_token(full)
    assert signing_kid() == first
    clock.forward(1)
    token = other_worker.fetch_token(full)
    assert signing_kid() != first
    assert service.get(token).status_code == 200


def test_workers_agree_on_the_key_that_replaces_an_old_one(
    service: Service, other_worker: Service, control: ControlStore, clock: Clock, full: Client
) -> None:
    clock.forward(90 * 86_400)
    tokens: list[str] = []

    def fetch(worker: Service) -> None:
        tokens.append(worker.fetch_token(full))

    threads = [threading.Thread(target=fetch, args=(worker,)) for worker in (service, other_worker)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [key.retired_at is None for key in control.signing_keys()] == [True, False]
    assert [service.get(token).status_code for token in tokens] == [200, 200]


def test_a_key_is_made_where_there_is_none(tmp_path: Path, settings: Settings, clock: Clock) -> None:
    url = f"sqlite:///{tmp_path / 'empty.db'}"
    upgrade(url)
    control = ControlStore(url, clock=clock)
    ring = key_ring(settings, control, clock=clock)
    (published,) = ring.public()
    assert [key.kid for key in control.signing_keys()] == [published["kid"]]
    assert ring.signer().kid == published["kid"]
    control.close()
