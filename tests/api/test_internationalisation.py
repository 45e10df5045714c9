"""Names and passwords in any script (RFC 7644 sections 5 and 7.8, RFC 8265)."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from sqlalchemy import create_engine, inspect, text

from app.scim.registry import Registry
from backends.sql.backend import SqlBackend
from tests.api.expect import new_user, refused, unchanged
from tests.support.service import USER, Client, running

# Pairs of spellings that the username profile takes for one name; the first is what is stored.
SAME = [
    ("Zoë", "Zoe\u0308"),
    ("e\u0301milie", "Émilie"),
    ("ａｎｎａ", "anna"),
    ("ANNA", "anna"),
    ("Straße", "STRASSE"),
    ("ΣΊΣΥΦΟΣ", "σίσυφος"),
    ("ｶﾞ", "ガ"),
    ("Ж", "ж"),
    ("Ångström", "A\u030angstro\u0308m"),
]
DIFFERENT = [("Zoë", "Zoe"), ("山田", "山本"), ("ı", "i"), ("a.b", "ab"), ("o'brien", "obrien")]


@pytest.mark.req("P-5-01", "P-5-04", "P-7.8-01")
@pytest.mark.parametrize(("stored", "other"), SAME)
def test_spellings_of_one_user_name(client: Client, name: str, stored: str, other: str) -> None:
    path = new_user(client, f"{stored}-{name}")
    id = path.removeprefix("/Users/")
    second = new_user(client, f"second-{name}")
    assert client.get(path).json()["userName"] == f"{stored}-{name}"
    for spelling in (stored, other):
        assert client.found("/Users", f'userName eq "{spelling}-{name}"') == {id}
        with unchanged(client, path, second):
            document = {"schemas": [USER], "userName": f"{spelling}-{name}"}
            refused(client.create("/Users", document), 409, "uniqueness")
            refused(client.put(second, json=document), 409, "uniqueness")
            operation = {"op": "replace", "path": "userName", "value": f"{spelling}-{name}"}
            refused(client.change(second, operation), 409, "uniqueness")


@pytest.mark.req("P-5-01", "P-7.8-01")
@pytest.mark.parametrize(("stored", "other"), DIFFERENT)
def test_different_user_names(client: Client, name: str, stored: str, other: str) -> None:
    first, second = new_user(client, f"{stored}-{name}"), new_user(client, f"{other}-{name}")
    assert client.found("/Users", f'userName eq "{stored}-{name}"') == {first.removeprefix("/Users/")}
    assert client.found("/Users", f'userName eq "{other}-{name}"') == {second.removeprefix("/Users/")}


@pytest.mark.req("P-5-04")
@pytest.mark.parametrize("spelling", sorted({s for pair in (*SAME, *DIFFERENT) for s in pair}))
def test_the_submitted_spelling_is_kept(client: Client, name: str, spelling: str) -> None:
    path = new_user(client, f"{spelling}-{name}", displayName=spelling)
    read = client.get(path).json()
    assert (read["userName"], read["displayName"]) == (f"{spelling}-{name}", spelling)


@pytest.mark.req("P-5-04", "P-5-01")
def test_a_user_may_change_the_spelling_of_its_name(client: Client, name: str) -> None:
    path = new_user(client, f"Straße-{name}")
    response = client.change(path, {"op": "replace", "path": "userName", "value": f"STRASSE-{name}"})
    assert response.json()["userName"] == f"STRASSE-{name}" == client.get(path).json()["userName"]


@pytest.mark.req("P-5-03")
@pytest.mark.parametrize(
    "bad",
    [
        "a\u0007b",
        "a\tb",
        "a\nb",
        "\u007f",
        "a\u0085b",
        "a\u200eb",
        "a\u202eb",
        "a\u00a0b",
        "a\u2003b",
        "\u265a",
        "\U0001f6a2",
        "a\u2028b",
        "\ufdd0",
        "\u05d0b",
        "1\u05d0",
        "a\u05d0",
        "\u2163",
        " leading",
        "trailing ",
    ],
)
def test_a_user_name_that_the_profile_forbids(client: Client, name: str, bad: str) -> None:
    path = new_user(client, name)
    document = {"schemas": [USER], "userName": bad}
    with unchanged(client, path, "/?count=0"):
        refused(client.create("/Users", document), 400, "invalidValue")
        refused(client.put(path, json=document), 400, "invalidValue")
        refused(client.change(path, {"op": "replace", "path": "userName", "value": bad}), 400, "invalidValue")


@pytest.mark.req("P-5-03")
@pytest.mark.parametrize(
    "good", ["山田太郎", "Жанна", "משה", "سلام", "josé.garcía", "o'brien+x", "a b", "#EXT#", "ｆｕｌｌ", "\U00020000"]
)
def test_a_user_name_that_the_profile_allows(client: Client, name: str, good: str) -> None:
    # A name must not mix writing directions, so that nothing is added to it; the reference to `name` makes it fresh.
    for old in client.found("/Users", f'userName eq "{good}"'):
        client.delete(f"/Users/{old}")
    path = new_user(client, good, externalId=name)
    assert client.found("/Users", f'userName eq "{good}"') == {path.removeprefix("/Users/")}
    client.delete(path)


@pytest.mark.req("P-7.8-01", "P-5-04")
@pytest.mark.parametrize(("stored", "other"), SAME)
@pytest.mark.parametrize("attribute", ["displayName", "name.familyName", "title"])
def test_strings_are_prepared_before_they_are_compared(
    client: Client, name: str, stored: str, other: str, attribute: str
) -> None:
    top, _, sub = attribute.partition(".")
    value = f"{stored} {name}"
    id = client.create("/Users", {"schemas": [USER], "userName": name, top: {sub: value} if sub else value}).json()[
        "id"
    ]
    for spelling in (stored, other):
        assert client.found("/Users", f'{attribute} eq "{spelling} {name}"') == {id}
        assert id in client.found("/Users", f'{attribute} sw "{spelling} "')
        assert id in client.found("/Users", f'{attribute} co "{spelling}"')
        assert id not in client.found("/Users", f'{attribute} ne "{spelling} {name}"')


@pytest.mark.req("P-7.8-01", "P-5-01")
@pytest.mark.parametrize(("stored", "other"), SAME)
def test_spellings_of_one_group_name(client: Client, name: str, stored: str, other: str) -> None:
    id = client.group(f"{stored} {name}")["id"]
    assert client.found("/Groups", f'displayName eq "{other} {name}"') == {id}
    response = client.create(
        "/Groups", {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": f"{other} {name}"}
    )
    refused(response, 409, "uniqueness")


def stored_hash(url: str, user_name: str) -> str:
    """The hash of a user's password as the database holds it."""
    engine = create_engine(url)
    try:
        table = next(
            t
            for t in inspect(engine).get_table_names()
            if "password_hash" in {column["name"] for column in inspect(engine).get_columns(t)}
        )
        with engine.connect() as connection:
            query = text(f"SELECT password_hash FROM {table} WHERE user_name = :name")
            return str(connection.execute(query, {"name": user_name}).scalar_one())
    finally:
        engine.dispose()


@pytest.mark.req("P-5-02")
@pytest.mark.parametrize(
    ("sent", "typed"),
    [
        ("Cafe\u0301 Noir", "Café Noir"),
        ("Café Noir", "Cafe\u0301 Noir"),
        ("wide\u3000space", "wide space"),
        ("no\u00a0break", "no break"),
        ("plain", "plain"),
    ],
)
def test_a_password_verifies_in_its_prepared_form(
    registry: Registry, new_database: Callable[[str], str], tmp_path: Path, sent: str, typed: str
) -> None:
    """What a store keeps is the hash of the prepared form, so whoever checks a typed password prepares it too."""
    url = new_database("sqlite")
    backend = SqlBackend(url, registry)
    backend.create_schema()
    prepared = unicodedata.normalize("NFC", "".join(" " if unicodedata.category(c) == "Zs" else c for c in typed))
    with running(backend, registry, tmp_path) as service:
        client = service.client()
        path = new_user(client, "mira", password=sent)
        hasher = PasswordHasher()
        assert hasher.verify(stored_hash(url, "mira"), prepared)
        client.change(path, {"op": "replace", "path": "password", "value": f"{sent}2"})
        assert hasher.verify(stored_hash(url, "mira"), f"{prepared}2")
        with pytest.raises(VerifyMismatchError):
            hasher.verify(stored_hash(url, "mira"), f"{prepared.upper()}2")
    backend.close()


@pytest.mark.req("P-5-02")
@pytest.mark.parametrize("bad", ["a\u0007b", "a\nb", "\u007f", "a\u0085", "\ufdd0"])
def test_a_password_that_the_profile_forbids(client: Client, name: str, bad: str) -> None:
    path = new_user(client, name)
    document = {"schemas": [USER], "userName": f"x{name}", "password": bad}
    with unchanged(client, path, "/?count=0"):
        assert bad not in refused(client.create("/Users", document), 400, "invalidValue")
        refused(client.change(path, {"op": "add", "path": "password", "value": bad}), 400, "invalidValue")


@pytest.mark.req("P-5-02")
@pytest.mark.parametrize("good", ["pässwörd", "密码", "correct horse battery staple", "\U0001f511", " spaces "])
def test_a_password_that_the_profile_allows_is_never_returned(client: Client, name: str, good: str) -> None:
    response = client.create("/Users", {"schemas": [USER], "userName": name, "password": good})
    assert response.status_code == 201
    assert "password" not in response.json()
    assert good not in response.text.replace(name, "")
