"""Security considerations (RFC 7644 section 7): transport, tokens, what is revealed, and limits."""

from __future__ import annotations

import base64
import math
import re
import runpy
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.control import Access
from app.scim.registry import Registry
from backends.base import Backend
from config.settings import LimitsSettings
from tests.api.expect import new_user, refused, unchanged
from tests.api.published import published
from tests.support.reference import ReferenceBackend
from tests.support.service import PATCH_OP, USER, Client, Service, running

_ROOT = Path(__file__).resolve().parent.parent.parent
ABSENT = "/Users/6b0c4a0e-0000-4000-8000-000000000000"


# --- transport ---


@pytest.mark.req("P-7.2-01", "P-7.4-01")
@pytest.mark.parametrize("peer", ["203.0.113.9", "10.0.0.7", "2001:db8::7", "not an address"])
def test_plain_http_from_another_machine_is_refused_where_https_is_published(
    backend: Backend, registry: Registry, tmp_path: Path, name: str, peer: str
) -> None:
    with published(backend, registry, tmp_path, "https://idm.tern.example") as service:
        document = {"schemas": [USER], "userName": name}
        refusals = [
            service.send("POST", "/scim/v2/Users", document, peer=peer),
            service.send("GET", "/scim/v2/Users", peer=peer),
            service.send("DELETE", f"/scim/v2{ABSENT}", peer=peer),
        ]
        for response in refusals:
            assert response.status_code == 403
            assert response.json
            assert response.json["status"] == "403"
            assert "HTTPS" in response.json["detail"]
        assert service.send("GET", "/scim/v2/Users", peer=peer, scheme="https").status_code == 200
        found = service.send("GET", f'/scim/v2/Users?filter=userName eq "{name}"').json
        assert found
        assert found["totalResults"] == 0


@pytest.mark.req("P-7.2-01")
@pytest.mark.parametrize("peer", ["127.0.0.1", "127.9.9.9", "::1", None])
def test_plain_http_from_this_machine_is_a_proxy_that_speaks_tls(
    backend: Backend, registry: Registry, tmp_path: Path, peer: str | None
) -> None:
    with published(backend, registry, tmp_path, "https://idm.tern.example") as service:
        assert service.send("GET", "/scim/v2/Users", peer=peer).status_code == 200


@pytest.mark.req("P-7.2-01")
def test_forwarded_headers_of_others_do_not_make_it_https(backend: Backend, registry: Registry, tmp_path: Path) -> None:
    with published(backend, registry, tmp_path, "https://idm.tern.example") as service:
        forged = {
            "X-Forwarded-Proto": "https",
            "X-Forwarded-For": "127.0.0.1",
            "Forwarded": "for=127.0.0.1;proto=https",
        }
        assert service.send("GET", "/scim/v2/Users", peer="203.0.113.9", headers=forged).status_code == 403


@pytest.mark.req("P-7.2-01")
def test_the_server_believes_forwarded_headers_of_trusted_proxies_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANDFALL_HOME", str(tmp_path))
    options = runpy.run_path(str(_ROOT / "gunicorn.conf.py"))
    assert options["forwarded_allow_ips"] == ""


# --- tokens ---


@pytest.mark.req("P-7.4-01")
def test_bearer_tokens_have_at_least_128_bits_of_chance(service: Service, name: str) -> None:
    integration = service.control.create_integration(name, Access.FULL)
    tokens = [service.control.add_bearer(integration.id, timedelta(days=1)).value for _ in range(50)]
    assert len(set(tokens)) == len(tokens)
    # What all tokens have in common is no chance; the rest is drawn from at most 64 characters a place.
    shared = next(n for n in range(len(tokens[0])) if len({token[n] for token in tokens}) > 1)
    varying = [{token[n] for token in tokens} for n in range(shared, min(map(len, tokens)))]
    assert sum(math.log2(min(len(seen), 16)) for seen in varying) >= 128


@pytest.mark.req("P-7.4-01", "P-7.5.2-02")
@pytest.mark.parametrize("parameter", ["access_token", "token", "bearer_token"])
def test_a_token_in_the_url_is_no_credential(service: Service, client: Client, parameter: str) -> None:
    token = client.headers["Authorization"].removeprefix("Bearer ")
    with service.anonymous as anonymous:
        refused(anonymous.get("/Users", params={parameter: token}), 401)
    if parameter == "access_token":
        refused(client.get("/Users", params={parameter: token}), 400)


@pytest.mark.req("P-7.4-01")
def test_no_cookie_is_set_or_read(service: Service, client: Client) -> None:
    token = client.headers["Authorization"].removeprefix("Bearer ")
    responses = [client.get("/Users"), client.get("/Nope"), client.post("/Users", content=b"x")]
    with service.anonymous as anonymous:
        cookies = {"Cookie": f"access_token={token}; Authorization=Bearer {token}"}
        responses.append(anonymous.get("/Users", headers=cookies))
    assert responses[-1].status_code == 401
    assert [r for r in responses if "Set-Cookie" in r.headers] == []


def grant(service: Service, name: str) -> tuple[str, dict[str, Any]]:
    """The client id of a new integration, and the answer of the token endpoint to it."""
    integration = service.control.create_integration(name, Access.FULL)
    secret = service.control.add_secret(integration.id).value
    response = httpx.post(
        f"{service.settings.issuer}/oauth/token",
        data={"grant_type": "client_credentials"},
        auth=(integration.id, secret),
    )
    assert response.status_code == 200, response.text
    granted: dict[str, Any] = response.json()
    return integration.id, granted


@pytest.mark.req("P-7.4-02")
def test_access_tokens_end_and_say_when(service: Service, name: str) -> None:
    _, granted = grant(service, name)
    assert 3600 <= granted["expires_in"] <= 21600
    with Client(service.settings.scim_url, granted["access_token"]) as client:
        assert client.get("/Users", params={"count": "0"}).status_code == 200


@pytest.mark.req("P-7.4-02")
def test_a_bearer_token_past_its_end_is_refused(service: Service, name: str) -> None:
    integration = service.control.create_integration(name, Access.FULL)
    issued = service.control.add_bearer(integration.id, timedelta(seconds=1))
    with Client(service.settings.scim_url, issued.value) as client:
        _until(lambda: client.get("/Users").status_code == 401)
        response = client.get("/Users")
        refused(response, 401)
        assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]


def _until(holds: Any) -> None:
    waiting = threading.Event()
    for _ in range(600):
        if holds():
            return
        waiting.wait(0.05)
    raise AssertionError("did not come to hold")


@pytest.mark.req("P-7.3-01")
def test_an_access_token_of_a_revoked_integration_is_refused(service: Service, name: str) -> None:
    """RFC 7521 section 8: what is issued is bound to one client, can be taken back, and can't be made by others."""
    id, granted = grant(service, name)
    with Client(service.settings.scim_url, granted["access_token"]) as client:
        assert client.get("/Users").status_code == 200
        service.control.revoke_integration(id)
        refused(client.get("/Users"), 401)


@pytest.mark.req("P-7.3-01")
def test_an_assertion_can_not_be_altered_or_forged(service: Service, name: str) -> None:
    _, granted = grant(service, name)
    header, payload, signature = str(granted["access_token"]).split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"at+jwt"}').decode().rstrip("=")
    flipped = ("A" if payload[10] != "A" else "B").join((payload[:10], payload[11:]))
    for token in (
        f"{header}.{flipped}.{signature}",
        f"{header}.{payload}.{signature[::-1]}",
        f"{header}.{payload}.",
        f"{none}.{payload}.",
        f"{none}.{payload}.{signature}",
        f"{header}.{payload}",
    ):
        response = service.anonymous.get("/Users", headers={"Authorization": f"Bearer {token}"})
        refused(response, 401)


@pytest.mark.req("P-7.3-01")
@pytest.mark.parametrize(
    "grant_type", ["urn:ietf:params:oauth:grant-type:jwt-bearer", "urn:ietf:params:oauth:grant-type:saml2-bearer"]
)
def test_assertions_of_others_are_not_accepted(service: Service, name: str, grant_type: str) -> None:
    integration = service.control.create_integration(name, Access.FULL)
    secret = service.control.add_secret(integration.id).value
    form = {"grant_type": grant_type, "assertion": "a.b.c"}
    response = httpx.post(f"{service.settings.issuer}/oauth/token", data=form, auth=(integration.id, secret))
    assert response.status_code == 400
    assert response.json()["error"] == "unsupported_grant_type"


# --- what is revealed before authentication ---

_BAD: dict[str, dict[str, str]] = {
    "none": {},
    "empty": {"Authorization": ""},
    "basic": {"Authorization": "Basic dTpw"},
    "wrong": {"Authorization": "Bearer wrong"},
    "no token": {"Authorization": "Bearer"},
    "two": {"Authorization": "Bearer a, Bearer b"},
    "odd": {"Authorization": "Bearer \u00e9"},
    "jwt": {"Authorization": "Bearer e30.e30.e30"},
    "long": {"Authorization": "Bearer " + "x" * 20000},
}


_METHODS = ("GET", "HEAD", "PUT", "PATCH", "DELETE", "POST", "OPTIONS", "PROPFIND")


@pytest.mark.req("P-7.7-01", "P-3.12-07")
@pytest.mark.parametrize(
    ("kind", "method"),
    [(k, m) for k in _BAD for m in (_METHODS if k in ("none", "wrong") else ("GET", "DELETE"))],
)
def test_nothing_about_a_resource_is_revealed_before_authentication(
    service: Service, client: Client, name: str, kind: str, method: str
) -> None:
    """One answer for what exists, what does not, what never could and what would be malformed."""
    user = new_user(client, name)
    tag = client.get(user).headers["ETag"]
    group = f"/Groups/{client.group(name)['id']}"
    variants: list[tuple[dict[str, str], bytes]] = [({}, b""), ({"If-None-Match": tag}, b""), ({"If-Match": tag}, b"")]
    if method in ("PUT", "PATCH", "POST"):
        variants = [({"Content-Type": "application/scim+json"}, b"{"), ({"Content-Type": "text/plain"}, b"{}")]
    answers = set()
    with service.anonymous as anonymous, unchanged(client, user, group):
        for path in (user, group, ABSENT, "/Users/x", "/Users", "/Nope", "/", "/Bulk", "/Me", "/Users/.search"):
            for extra, content in variants:
                raw = [(k.encode(), v.encode()) for k, v in {**_BAD[kind], **extra}.items()]
                query = {"filter": f'userName eq "{name}"'}
                response = anonymous.request(method, path, params=query, content=content, headers=raw)
                relevant = {k: v for k, v in response.headers.items() if k not in ("date", "connection")}
                answers.add((response.status_code, response.content, tuple(sorted(relevant.items()))))
    assert len(answers) == 1, answers
    [(status, _, _)] = answers
    assert status == (400 if kind == "two" else 401)


def test_an_oversized_body_is_not_read_before_authentication(service: Service) -> None:
    with service.anonymous as anonymous:
        refused(anonymous.post("/Users", content=b"x" * 100_000), 401)


# --- personal data in addresses and logs ---


@pytest.mark.req("P-7.5.2-02", "P-7.5.1-01")
def test_the_server_keeps_no_log_of_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A filter in a URL holds names and e-mail addresses."""
    monkeypatch.setenv("LANDFALL_HOME", str(tmp_path))
    assert runpy.run_path(str(_ROOT / "gunicorn.conf.py"))["accesslog"] is None


_LOGGED = """
import sys
from pathlib import Path
from app.control import Access, ControlStore, upgrade
from app.factory import create_app
from app.scim.registry import load
from config.settings import LogSettings, Settings
from tests.support.reference import ReferenceBackend

class Failing(ReferenceBackend):
    def search(self, kind, query):
        raise RuntimeError("unforeseen")

settings = Settings(home=Path(sys.argv[1]), log=LogSettings(level="debug", format="json"))
upgrade(settings.control_url.reveal())
control = ControlStore(settings.control_url.reveal())
token = control.add_bearer(control.create_integration("entra", Access.FULL).id, None).value
client = create_app(settings, Failing(load()), load()).test_client()
print(token)
for header in (token, "some-wrong-token"):
    def send(method, path, body=None):
        named = {"Authorization": "Bearer " + header}
        return client.open("/scim/v2" + path, method=method, json=body, headers=named).get_json(silent=True)
    user = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "mira.solberg",
            "password": "correct-horse", "title": "Harbour-Pilot"}
    made = send("POST", "/Users", user)
    send("POST", "/Users", user)
    send("GET", '/Users?filter=userName eq "kari.nordmann"')
    path = "/Users/" + made.get("id", "x")
    send("PUT", path, user)
    send("PATCH", path, {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "replace", "path": 'emails[value eq "olga@tern.example"].display', "value": "olga-desk"},
                       {"op": "replace", "path": "password", "value": "battery-staple"}]})
    send("DELETE", path)
"""


@pytest.mark.req("P-7.5.2-02", "P-7.5.1-01")
def test_the_log_holds_neither_personal_values_nor_secrets(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LOGGED, str(tmp_path)],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    token = done.stdout.strip()
    for word in ("unforeseen", "incident", '"create"', '"replace"', '"patch"', '"retire"', "Duplicate", "entra"):
        assert word in done.stderr
    for secret in ("mira", "solberg", "kari", "nordmann", "olga", "Harbour", "horse", "staple", "wrong-token", token):
        assert secret not in done.stderr


@pytest.mark.req("P-7.5.1-01")
def test_a_password_is_in_no_answer_and_no_search(client: Client, name: str) -> None:
    path = new_user(client, name, password="correct-horse-battery")
    id = path.removeprefix("/Users/")
    changed = client.change(path, {"op": "replace", "path": "password", "value": "other-horse-battery"})
    answers = [
        changed,
        client.get(path),
        client.get(path, params={"attributes": "password,userName"}),
        client.search("/Users", f'id eq "{id}"', attributes="password"),
        client.put(path, json={"schemas": [USER], "userName": name, "password": "third-horse-battery"}),
    ]
    for answer in answers:
        assert answer.status_code == 200
        assert "password" not in answer.text
        assert "battery" not in answer.text
    for filter in ('password eq "x"', "password pr", 'not (password sw "c")', f'id eq "{id}" and password co "horse"'):
        refused(client.search("/Users", filter), 403, "sensitive")
    refused(client.get("/Users", params={"sortBy": "password"}), 403, "sensitive")


# --- limits ---


@pytest.fixture
def small(registry: Registry, tmp_path: Path) -> Iterator[Client]:
    """A service with small limits."""
    limits = LimitsSettings(
        max_body_bytes=2000,
        max_json_depth=10,
        max_filter_length=100,
        max_filter_depth=4,
        max_filter_terms=5,
        max_operations=3,
        page_size=2,
        max_results=3,
    )
    with running(ReferenceBackend(registry), registry, tmp_path, limits) as service:
        yield service.client()


@pytest.mark.req("P-7.7-03")
def test_each_limit_is_a_clean_refusal(small: Client) -> None:
    path = new_user(small, "mira")
    for number in range(4):
        new_user(small, f"user{number}")
    with unchanged(small, path):
        refused(small.create("/Users", {"schemas": [USER], "userName": "x" * 2000}), 413)
        deep: Any = "x"
        for _ in range(20):
            deep = [deep]
        refused(small.create("/Users", {"schemas": [USER], "userName": "x", "deep": deep}), 400, "invalidSyntax")
        refused(small.search("/Users", f'userName eq "{"x" * 100}"'), 400, "invalidFilter")
        refused(small.search("/Users", "(((((title pr)))))"), 400, "invalidFilter")
        refused(small.search("/Users", " or ".join(["title pr"] * 6)), 400, "invalidFilter")
        operations = [{"op": "replace", "path": "title", "value": str(n)} for n in range(4)]
        refused(small.patch(path, json={"schemas": [PATCH_OP], "Operations": operations}), 400, "invalidValue")
    assert small.change(path, *operations[:3]).json()["title"] == "2"
    assert small.get("/Users").json()["itemsPerPage"] == 2
    assert small.get("/Users", params={"count": "100"}).json()["itemsPerPage"] == 3
    assert small.get("/Users").json()["totalResults"] == 5
    assert small.search("/Users", " or ".join(["title pr"] * 5)).status_code == 200


@pytest.mark.req("P-7.7-03")
def test_a_body_at_the_limit_is_read_and_one_past_it_is_not(small: Client) -> None:
    start, end = f'{{"schemas":["{USER}"],"userName":"', '"}'
    headers = {"Content-Type": "application/scim+json"}
    fits = start + "x" * (2000 - len(start) - len(end)) + end
    assert len(fits) == 2000
    assert small.post("/Users", content=fits, headers=headers).status_code == 201
    refused(small.post("/Users", content=fits + " ", headers=headers), 413)
    refused(small.post("/Users", content=iter([fits.encode(), b" "]), headers=headers), 413)


def test_responses_can_not_be_taken_for_pages(client: Client) -> None:
    """No answer is of a type that a browser would run; all carry what they are."""
    for response in (client.get("/Users"), client.get("/Nope"), client.get("/Users/%3Cscript%3E")):
        assert response.headers["Content-Type"] == "application/scim+json"
        assert re.search("<script", response.text) is None
