"""What the control store promises, on every database."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import create_engine, text

from app.control import (
    Access,
    ControlStore,
    CredentialKind,
    Dialect,
    Integration,
    InvalidName,
    NameTaken,
    NewKey,
    Only,
    Outside,
    Remit,
    ReservedName,
    UnknownCredential,
    UnknownIntegration,
)
from tests.control.clock import Clock

Opener = Callable[[], ControlStore]
NOBODY = "00000000-0000-4000-8000-000000000000"


def authenticated(store: ControlStore, client_id: str, secret: str) -> Integration | None:
    grant = store.verify_secret(client_id, secret)
    return None if grant is None else grant.integration


def test_an_integration_is_found_by_name_in_any_case_and_by_id(store: ControlStore) -> None:
    created = store.create_integration("Straße Süd", Access.FULL, Dialect.ENTRA)
    assert store.find_integration("STRASSE SÜD") == created
    assert store.find_integration(created.id) == created
    assert store.list_integrations() == [created]
    assert (created.access, created.dialect, created.revoked_at) == (Access.FULL, Dialect.ENTRA, None)


def test_a_remit_comes_back_as_it_was(store: ControlStore) -> None:
    remit = Remit(Only.USERS, 'title eq "Größe 😀"', 'displayName sw "\\"', ("title", "name.givenName"), Outside.KEEP)
    created = store.create_integration("hr", Access.FULL, remit=remit)
    secret = store.add_secret(created.id)
    bearer = store.add_bearer(created.id, None)
    assert created.remit == remit
    assert store.find_integration("hr") == created
    assert authenticated(store, created.id, secret.value) == created
    assert store.token_subject(created.id, "jti") == created
    for other in (Remit(), Remit(groups='displayName eq "x"')):
        assert store.set_remit(created.id, other).remit == other
        grant = store.verify_bearer(bearer.value)
        assert grant is not None
        assert grant.integration.remit == other


def test_names_that_differ_in_accents_are_different(store: ControlStore) -> None:
    first = store.create_integration("cafe", Access.FULL)
    second = store.create_integration("café", Access.FULL)
    assert store.find_integration("Cafe") == first
    assert store.find_integration("CAFÉ") == second


@pytest.mark.parametrize("name", ["", "  ", "a" * 101, "line\nbreak", "nul\x00", "\ud800"])
def test_a_name_that_cannot_be_shown_is_refused(store: ControlStore, name: str) -> None:
    with pytest.raises(InvalidName):
        store.create_integration(name, Access.FULL)
    assert store.list_integrations() == []


@pytest.mark.parametrize("name", ["operator", " Operator "])
def test_no_integration_is_called_as_the_operator_is_in_the_audit(store: ControlStore, name: str) -> None:
    with pytest.raises(ReservedName):
        store.create_integration(name, Access.FULL)
    assert store.list_integrations() == []


def test_a_name_is_taken_until_the_integration_is_revoked(store: ControlStore) -> None:
    first = store.create_integration("entra", Access.FULL)
    with pytest.raises(NameTaken):
        store.create_integration("ENTRA", Access.READ_ONLY)
    store.revoke_integration(first.id)
    second = store.create_integration("Entra", Access.READ_ONLY)
    assert store.find_integration("entra") == second
    assert store.find_integration(first.id).revoked_at is not None


@pytest.mark.parametrize("reference", ["nobody", NOBODY, "", "\x00", "\ud800", "x" * 1000, "' OR 1=1 --"])
def test_an_unknown_reference_is_reported_as_such(store: ControlStore, reference: str) -> None:
    with pytest.raises(UnknownIntegration):
        store.find_integration(reference)


def test_changes_of_an_unknown_or_revoked_integration_are_refused(store: ControlStore) -> None:
    revoked = store.create_integration("gone", Access.FULL).id
    store.revoke_integration(revoked)
    for reference in (NOBODY, revoked):
        for change in (
            lambda known: store.set_access(known, Access.READ_ONLY),
            lambda known: store.set_remit(known, Remit()),
            store.revoke_integration,
            store.add_secret,
            lambda known: store.add_bearer(known, None),
        ):
            with pytest.raises(UnknownIntegration):
                change(reference)
    assert store.list_credentials(revoked) == []


def test_several_secrets_are_good_at_once_and_only_for_their_integration(store: ControlStore) -> None:
    mine, other = (store.create_integration(name, Access.FULL) for name in ("mine", "other"))
    values = [store.add_secret(mine.id).value for _ in range(2)]
    assert [authenticated(store, mine.id, value) for value in values] == [mine, mine]
    assert [authenticated(store, other.id, value) for value in values] == [None, None]
    assert store.verify_secret(mine.id, values[0][:-1]) is None


@pytest.mark.parametrize("client_id", ["", NOBODY, "\x00", "\ud800", "é", "' OR 1=1 --", "x" * 100_000])
def test_hostile_client_ids_authenticate_nobody(store: ControlStore, client_id: str) -> None:
    for secret in ("", "\x00", "\ud800", "y" * 100_000):
        assert store.verify_secret(client_id, secret) is None


@pytest.mark.req("P-7.4-01")
def test_values_have_256_random_bits_behind_a_recognisable_prefix(store: ControlStore) -> None:
    integration = store.create_integration("entra", Access.FULL)
    secrets = {store.add_secret(integration.id).value for _ in range(8)}
    bearers = {store.add_bearer(integration.id, None).value for _ in range(8)}
    assert len(secrets | bearers) == 16
    assert all(value.startswith("lfs_") for value in secrets)
    assert all(value.startswith("lfb_") for value in bearers)
    # 43 characters of 6 bits hold 256 bits.
    assert {len(value) for value in secrets | bearers} == {4 + 43}


@pytest.mark.req("P-7.7-01")
def test_the_database_holds_no_value_in_the_clear(store: ControlStore, control_url: str) -> None:
    integration = store.create_integration("entra", Access.FULL)
    issued = [store.add_secret(integration.id), store.add_bearer(integration.id, None)]
    engine = create_engine(control_url)
    with engine.connect() as connection:
        stored = str(connection.execute(text("SELECT * FROM credentials")).all())
    engine.dispose()
    for credential in issued:
        assert credential.credential.hint in stored
        assert credential.value[4:-4] not in stored
        assert credential.value not in repr(credential)


@pytest.mark.req("P-7.4-02")
def test_credentials_end_when_they_expire(store: ControlStore, clock: Clock) -> None:
    integration = store.create_integration("entra", Access.FULL)
    secret = store.add_secret(integration.id, timedelta(days=1)).value
    bearer = store.add_bearer(integration.id, timedelta(days=1)).value
    clock.forward(86_399)
    assert authenticated(store, integration.id, secret) == integration
    grant = store.verify_bearer(bearer)
    assert grant is not None
    assert grant.integration == integration
    assert grant.expires_at is not None
    assert grant.expires_at.timestamp() == clock() + 1
    clock.forward(1)
    assert store.verify_secret(integration.id, secret) is None
    assert store.verify_bearer(bearer) is None


def test_revoking_a_credential_leaves_the_others(store: ControlStore) -> None:
    integration = store.create_integration("entra", Access.FULL)
    first, second = store.add_secret(integration.id), store.add_secret(integration.id)
    other = store.create_integration("other", Access.FULL)
    with pytest.raises(UnknownCredential):
        store.revoke_credential(other.id, first.credential.id)
    assert authenticated(store, integration.id, first.value) == integration
    store.revoke_credential(integration.id, first.credential.id)
    assert store.verify_secret(integration.id, first.value) is None
    assert authenticated(store, integration.id, second.value) == integration
    with pytest.raises(UnknownCredential):
        store.revoke_credential(integration.id, first.credential.id)


def test_revoking_an_integration_ends_all_its_credentials(store: ControlStore) -> None:
    integration = store.create_integration("entra", Access.FULL)
    secret = store.add_secret(integration.id).value
    bearer = store.add_bearer(integration.id, None).value
    store.revoke_integration(integration.id)
    assert store.verify_secret(integration.id, secret) is None
    assert store.verify_bearer(bearer) is None
    assert store.token_subject(integration.id, "some-jti") is None


def test_a_secret_is_no_bearer_token_and_a_bearer_token_no_secret(store: ControlStore) -> None:
    integration = store.create_integration("entra", Access.FULL)
    secret = store.add_secret(integration.id).value
    bearer = store.add_bearer(integration.id, None).value
    assert store.verify_bearer(secret) is None
    assert store.verify_secret(integration.id, bearer) is None


def test_rotation_keeps_the_old_secret_for_the_overlap(store: ControlStore, clock: Clock) -> None:
    integration = store.create_integration("entra", Access.FULL)
    old = store.add_secret(integration.id).value
    short = store.add_secret(integration.id, timedelta(minutes=1)).value
    bearer = store.add_bearer(integration.id, None).value
    new = store.rotate(integration.id, CredentialKind.SECRET, overlap=timedelta(hours=1), lifetime=timedelta(days=9))
    clock.forward(120)
    assert store.verify_secret(integration.id, short) is None
    assert authenticated(store, integration.id, old) == integration
    clock.forward(3480)
    assert store.verify_secret(integration.id, old) is None
    assert authenticated(store, integration.id, new.value) == integration
    assert store.verify_bearer(bearer) is not None


def test_the_first_integration_is_created_once_by_racing_processes(open_store: Opener) -> None:
    stores = [open_store() for _ in range(4)]
    barrier = threading.Barrier(len(stores))
    created: list[object] = []

    def start(store: ControlStore) -> None:
        barrier.wait()
        created.append(store.create_first_integration("entra-id", Access.FULL, Dialect.ENTRA))

    threads = [threading.Thread(target=start, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(item is not None for item in created) == 1
    assert [item.name for item in stores[0].list_integrations()] == ["entra-id"]


def test_no_first_integration_where_there_has_been_one(store: ControlStore) -> None:
    store.revoke_integration(store.create_integration("mine", Access.FULL).id)
    assert store.create_first_integration("entra-id", Access.FULL, Dialect.ENTRA) is None


def test_the_generation_grows_with_every_decisive_change_of_any_process(open_store: Opener) -> None:
    writer, reader = open_store(), open_store()
    seen = [reader.generation(), writer.generation()]
    assert seen[0] == seen[1]

    def grown() -> bool:
        seen.append(reader.generation())
        return seen[-1] > seen[-2] and writer.generation() == seen[-1]

    integration = writer.create_integration("entra", Access.FULL)
    assert grown()
    secret = writer.add_secret(integration.id)
    assert grown()
    writer.set_access(integration.id, Access.READ_ONLY)
    assert grown()
    writer.set_remit(integration.id, Remit(only=Only.USERS))
    assert grown()
    writer.revoke_credential(integration.id, secret.credential.id)
    assert grown()
    writer.revoke_token("jti", 2_000_000_000)
    assert grown()
    writer.replace_signing_key(NewKey("a", "pem"), previous=None)
    assert grown()
    writer.rotate(integration.id, CredentialKind.BEARER, overlap=timedelta(0), lifetime=None)
    assert grown()
    writer.revoke_integration(integration.id)
    assert grown()
    assert reader.generation() == seen[-1]


def test_a_refused_change_keeps_the_generation(store: ControlStore) -> None:
    store.create_integration("entra", Access.FULL)
    before = store.generation()
    with pytest.raises(NameTaken):
        store.create_integration("entra", Access.FULL)
    assert store.generation() == before


def test_generation_is_the_same_for_many_threads(store: ControlStore) -> None:
    answers: list[int] = []
    barrier = threading.Barrier(8)

    def ask() -> None:
        barrier.wait()
        answers.extend(store.generation() for _ in range(20))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [store.generation()] * 160


def test_a_revoked_secret_takes_its_tokens_along(store: ControlStore, clock: Clock) -> None:
    """An ended one does not: its tokens end by themselves."""
    integration = store.create_integration("entra", Access.FULL)
    stolen, short = store.add_secret(integration.id), store.add_secret(integration.id, timedelta(minutes=1))
    kept = store.add_secret(integration.id).credential.id
    grant = store.verify_secret(integration.id, stolen.value)
    assert grant is not None
    assert grant.credential_id == stolen.credential.id
    store.revoke_credential(integration.id, stolen.credential.id)
    clock.forward(60)
    assert store.token_subject(integration.id, "one", stolen.credential.id) is None
    for credential_id in (short.credential.id, kept, None):
        assert store.token_subject(integration.id, "one", credential_id) == integration
    store.revoke_credential(integration.id, short.credential.id)
    assert store.token_subject(integration.id, "one", short.credential.id) is None


def test_rotation_without_overlap_revokes(store: ControlStore) -> None:
    integration = store.create_integration("entra", Access.FULL)
    old, bearer = store.add_secret(integration.id), store.add_bearer(integration.id, None)
    new = store.rotate(integration.id, CredentialKind.SECRET, overlap=timedelta(0), lifetime=None)
    assert store.verify_secret(integration.id, old.value) is None
    assert store.token_subject(integration.id, "one", old.credential.id) is None
    assert store.token_subject(integration.id, "one", new.credential.id) == integration
    assert store.verify_bearer(bearer.value) is not None


def test_a_revoked_token_has_no_subject(store: ControlStore) -> None:
    integration = store.create_integration("entra", Access.FULL)
    assert store.token_subject(integration.id, "one") == integration
    store.revoke_token("one", 1_800_003_600)
    store.revoke_token("one", 1_800_003_600)
    assert store.token_subject(integration.id, "one") is None
    assert store.token_subject(integration.id, "two") == integration


def test_revoked_tokens_are_forgotten_only_after_their_end(store: ControlStore, clock: Clock) -> None:
    integration = store.create_integration("entra", Access.FULL)
    store.revoke_token("one", int(clock()) + 3600)
    clock.forward(3601)
    store.revoke_token("two", int(clock()) + 3600)
    assert store.token_subject(integration.id, "one") is None
    clock.forward(90_000)
    store.revoke_token("three", int(clock()) + 3600)
    assert store.token_subject(integration.id, "one") == integration


def test_one_key_signs_and_the_old_one_stays_until_its_tokens_have_ended(store: ControlStore, clock: Clock) -> None:
    assert store.replace_signing_key(NewKey("a", "pem-a"), previous=None)
    assert not store.replace_signing_key(NewKey("b", "pem-b"), previous=None)
    clock.forward(10)
    assert store.replace_signing_key(NewKey("b", "pem-b"), previous="a")
    assert [(key.kid, key.retired_at is None) for key in store.signing_keys()] == [("b", True), ("a", False)]
    clock.forward(6 * 3600)
    assert [key.kid for key in store.signing_keys()] == ["b", "a"]
    clock.forward(3601)
    assert [key.kid for key in store.signing_keys()] == ["b"]
    assert store.replace_signing_key(NewKey("c", "pem-c"), previous="b")
    assert "pem" not in repr(store.signing_keys())
