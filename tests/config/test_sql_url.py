"""SQL database addresses: what is accepted, what becomes of it, and that no password is told."""

from __future__ import annotations

import pytest
from sqlalchemy import make_url

from config.sql_url import normalise, sqlite_file, without_password


@pytest.mark.parametrize(
    ("written", "used"),
    [
        ("sqlite:///var/landfall.db", "sqlite:///var/landfall.db"),
        ("sqlite:////srv/land fall/x.db?timeout=3", "sqlite:////srv/land fall/x.db?timeout=3"),
        ("sqlite+pysqlite:///x.db", "sqlite:///x.db"),
        ("postgres://scim@db.example/idm", "postgresql+psycopg://scim@db.example/idm"),
        (
            "postgresql://scim:p%40ss@db.example:5433/idm",
            "postgresql+psycopg://scim:p%40ss@db.example:5433/idm",
        ),
        ("postgresql+psycopg://[::1]:5432/idm", "postgresql+psycopg://[::1]:5432/idm"),
        ("postgresql:///idm?host=/run/postgresql", "postgresql+psycopg:///idm?host=/run/postgresql"),
        ("mysql://scim:x@db.example/idm", "mysql+pymysql://scim:x@db.example/idm?charset=utf8mb4"),
        ("mariadb://db.example/idm?ssl_ca=/a", "mysql+pymysql://db.example/idm?ssl_ca=/a&charset=utf8mb4"),
        ("MariaDB+pymysql://db.example/idm?charset=utf8", "mysql+pymysql://db.example/idm?charset=utf8"),
    ],
)
def test_an_address_is_put_in_the_form_of_its_driver(written: str, used: str) -> None:
    assert normalise(written) == used
    assert normalise(used) == used


@pytest.mark.parametrize("password", ["plain", "with/slash", "with?mark", "a:b"])
def test_user_and_place_are_those_that_sqlalchemy_reads(password: str) -> None:
    url = make_url(normalise(f"postgresql://scim:{password}@db.example:5432/idm?sslmode=require"))
    assert (url.username, url.password, url.host, url.port, url.database) == (
        "scim",
        password,
        "db.example",
        5432,
        "idm",
    )


@pytest.mark.parametrize(
    "refused",
    [
        "",
        "landfall.db",
        "oracle://scim:hunter2@db.example/idm",
        "postgresql+asyncpg://scim:hunter2@db.example/idm",
        "postgresql://scim:hunter2@db.example",
        "postgresql://scim:hunter2@db.example/",
        "postgresql://scim:hunter2@db.example:port/idm",
        "postgresql://scim:a@hunter2@db.example/idm",
        "mariadb://scim:a@hunter2@db.example/idm",
        "postgresql://scim:hunter2@db.example/a/b",
        "postgresql://scim:hunter2 @db.example/idm",
        "postgresql://scim:hunter2\n@db.example/idm",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///file:hunter2?mode=memory",
        "sqlite:///a\x00b",
        "sqlite://hunter2/x.db",
    ],
)
def test_another_kind_of_address_is_refused_without_repeating_it(refused: str) -> None:
    with pytest.raises(ValueError, match=r"^must ") as caught:
        normalise(refused)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:////srv/x.db?timeout=3", "sqlite:////srv/x.db"),
        ("postgresql+psycopg://scim:hunter2@db.example/idm", "postgresql+psycopg://scim:***@db.example/idm"),
        ("postgresql+psycopg://scim@db.example/idm", "postgresql+psycopg://scim@db.example/idm"),
        ("postgresql+psycopg://db.example/idm?password=hunter2", "postgresql+psycopg://db.example/idm"),
    ],
)
def test_an_address_for_messages_has_no_password(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_only_sqlite_has_a_file() -> None:
    assert sqlite_file("sqlite:////srv/x.db?timeout=3") == "/srv/x.db"
    assert sqlite_file("sqlite:///x.db") == "x.db"
    assert sqlite_file("postgresql+psycopg://db.example/idm") is None
