"""POST /oauth/revoke (RFC 7009)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.control import ControlStore, CredentialKind
from tests.auth.service import FORM, Client, Service
from tests.control.clock import Clock


@pytest.mark.req("R-2-01", "R-2.1-01", "R-2.1-02", "R-2.2-01")
@pytest.mark.parametrize("hint", [None, "access_token", "refresh_token", "nonsense", ""])
def test_a_client_revokes_its_token_on_every_worker(
    service: Service, other_worker: Service, full: Client, hint: str | None
) -> None:
    token, kept = service.fetch_token(full), service.fetch_token(full)
    assert [worker.get(token).status_code for worker in (service, other_worker)] == [200, 200]
    form = {"token": token} if hint is None else {"token": token, "token_type_hint": hint}
    answer = other_worker.http.post("/oauth/revoke", data=form, auth=full.basic)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert [worker.get(token).status_code for worker in (service, other_worker)] == [401, 401]
    assert service.get(kept).status_code == 200
    again = service.http.post("/oauth/revoke", data=form, auth=full.basic)
    assert again.status_code == 200


@pytest.mark.req("R-2.1-01", "R-2.1-02")
def test_a_client_revokes_its_long_lived_token(
    service: Service, other_worker: Service, control: ControlStore, full: Client
) -> None:
    token, kept = (control.add_bearer(full.id, None).value for _ in range(2))
    assert other_worker.get(token).status_code == 200
    form = {"token": token, "client_id": full.id, "client_secret": full.secret}
    assert service.http.post("/oauth/revoke", data=form).status_code == 200
    assert [other_worker.get(value).status_code for value in (token, kept)] == [401, 200]


@pytest.mark.req("R-2.1-02", "G-5.2-01")
def test_only_the_owner_may_revoke(service: Service, control: ControlStore, full: Client, read_only: Client) -> None:
    for token in (service.fetch_token(full), control.add_bearer(full.id, None).value):
        answer = service.http.post("/oauth/revoke", data={"token": token}, auth=read_only.basic)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
        assert service.get(token).status_code == 200


@pytest.mark.req("R-2.1-01")
def test_the_client_must_authenticate(service: Service, full: Client) -> None:
    token = service.fetch_token(full)
    for auth in (("", ""), (full.id, "wrong")):
        answer = service.http.post("/oauth/revoke", data={"token": token}, auth=auth)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert service.get(token).status_code == 200


@pytest.mark.req("R-2.2-01")
@pytest.mark.parametrize("token", ["unknown", "a.b.c", "lfb_" + "x" * 43, "\x00", "ü", "x" * 9000])
def test_an_unknown_token_is_a_success(service: Service, full: Client, token: str) -> None:
    assert service.http.post("/oauth/revoke", data={"token": token}, auth=full.basic).status_code == 200


@pytest.mark.req("R-2.2-01")
def test_an_expired_token_is_a_success(service: Service, clock: Clock, full: Client) -> None:
    token = service.fetch_token(full)
    clock.forward(4000)
    assert service.http.post("/oauth/revoke", data={"token": token}, auth=full.basic).status_code == 200


@pytest.mark.req("R-2.1-01")
def test_requests_that_are_none(service: Service, full: Client) -> None:
    for form in ({}, {"token": ""}, {"token_type_hint": "access_token"}):
        answer = service.http.post("/oauth/revoke", data={"x": "y", **form}, auth=full.basic)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    answer = service.http.post("/oauth/revoke", json={"token": "x"}, auth=full.basic)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_a_secret_revoked_by_the_operator_takes_its_tokens_along(
    service: Service, other_worker: Service, control: ControlStore, full: Client
) -> None:
    """Whoever has stolen it has a token too."""
    stolen = Client(full.id, control.add_secret(full.id).value)
    (theirs,) = [one for one in control.list_credentials(full.id) if one.hint == stolen.secret[-4:]]
    token, kept = service.fetch_token(stolen), service.fetch_token(full)
    workers = (service, other_worker)
    assert [worker.get(value).status_code for worker in workers for value in (token, kept)] == [200] * 4
    control.revoke_credential(full.id, theirs.id)
    assert [worker.get(value).status_code for worker in workers for value in (token, kept)] == [401, 200] * 2
    control.rotate(full.id, CredentialKind.SECRET, overlap=timedelta(0), lifetime=None)
    assert [worker.get(kept).status_code for worker in workers] == [401, 401]


def test_a_token_outlives_a_secret_that_is_replaced_or_ends(
    service: Service, control: ControlStore, clock: Clock, full: Client
) -> None:
    """A client that has fetched its token just before goes on without a fault."""
    token = service.fetch_token(full)
    control.rotate(full.id, CredentialKind.SECRET, overlap=timedelta(minutes=1), lifetime=None)
    clock.forward(60)
    assert service.http.post("/oauth/token", data=FORM, auth=full.basic).status_code == 401
    assert service.get(token).status_code == 200
