"""What commands print where standard output is not UTF-8, and words that are no text."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import closing

import pytest

from app.control import ControlStore, Entry, upgrade
from tests.cli.conftest import Landfall

NAME = "M\u00fcller \uff1d\U0001f600@tern.example"
ENCODINGS = ("ascii", "latin-1", "utf-8")


@pytest.fixture
def store(landfall: Landfall) -> Iterator[ControlStore]:
    """The control store of the commands, with one record of a name that most encodings have no place for."""
    landfall.home.mkdir()
    url = f"sqlite:///{landfall.home / 'control.db'}"
    upgrade(url)
    entry = Entry(
        record=f"{1:032x}",
        at=1_790_000_000_000_000,
        integration_id="22222222-2222-2222-2222-222222222222",
        actor="entra",
        operation="create",
        kind="User",
        resource_id="id-mira",
        name=NAME,
        outcome="done",
        version="1",
        changes=json.dumps({"after": {"userName": NAME}}),
    )
    with closing(ControlStore(url)) as store:
        store.audit.append([entry])
        yield store


def octets(landfall: Landfall, *arguments: str, encoding: str) -> bytes:
    """What a command that succeeds prints, as it is."""
    done = subprocess.run(
        [*landfall.command.words, *arguments],
        env={**landfall.environ, "PYTHONIOENCODING": encoding},
        cwd=landfall.directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_export_is_in_utf8_always(landfall: Landfall, encoding: str) -> None:
    (line,) = octets(landfall, "audit", "export", encoding=encoding).decode().splitlines()
    assert json.loads(line)["name"] == NAME
    table = octets(landfall, "audit", "export", "--format", "csv", encoding=encoding)
    assert table.endswith(b"\r\n")
    assert b"\r\r" not in table
    (row,) = csv.DictReader(io.StringIO(table.decode(), newline=""))
    assert row["name"] == NAME


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_tables_spell_out_what_an_encoding_has_not(landfall: Landfall, encoding: str) -> None:
    expected = NAME.encode(encoding, "backslashreplace")
    assert expected in octets(landfall, "audit", "list", encoding=encoding)
    assert octets(landfall, "audit", "show", "1", encoding=encoding).count(expected) == 2


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_json_stays_json(landfall: Landfall, encoding: str) -> None:
    text = octets(landfall, "audit", "list", "--json", encoding=encoding).decode(encoding)
    assert [record["name"] for record in json.loads(text)] == [NAME]


@pytest.mark.parametrize("arguments", [("--help",), ("integration", "set", "--help")])
def test_help_is_printed_in_any_encoding(landfall: Landfall, arguments: tuple[str, ...]) -> None:
    assert b"Usage: " in octets(landfall, *arguments, encoding="ascii")


@pytest.mark.parametrize(
    "arguments",
    [
        ("audit", "list", "--user", os.fsdecode(b"\xff")),
        ("audit", "list", "--group", os.fsdecode(b"a\xff")),
        ("audit", "list", "--integration", os.fsdecode(b"\xff")),
        ("undo", "--since", "1h", "--integration", os.fsdecode(b"\xff")),
        ("adoption", "approve", os.fsdecode(b"\xff")),
        ("brakes", "release", os.fsdecode(b"\xff")),
        ("integration", "create", os.fsdecode(b"\xff"), "--access", "full"),
        ("integration", "revoke", "hr", "--credential", os.fsdecode(b"\xff")),
        ("retired", "restore", os.fsdecode(b"\xff")),
    ],
    ids=lambda arguments: " ".join(word for word in arguments if word.isascii()),
)
def test_words_that_are_no_text_are_refused(landfall: Landfall, arguments: tuple[str, ...]) -> None:
    assert r"\udcff' is not text in" in landfall.refusal(*arguments, status=2)


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("audit", "list", "--user", ""), "empty"),
        (("audit", "list", "--group", ""), "empty"),
        (("audit", "list", "--integration", ""), "empty"),
        (("audit", "list", "--user", "", "--group", "g"), "empty"),
        (("undo", "--since", "1h", "--integration", "", "--dry-run"), "empty"),
        (("audit", "show", "99999999999999999999"), "not in the range"),
        (("undo", "99999999999999999999", "--dry-run"), "not in the range"),
        (("audit", "prune", "--older-than", "5219w"), "more than a hundred years"),
        (("retired", "purge", "--older-than", "999999w"), "more than a hundred years"),
        (("audit", "list", "--since", "36526d"), "more than a hundred years"),
    ],
)
def test_what_makes_no_sense_is_a_fault_of_usage(landfall: Landfall, arguments: tuple[str, ...], said: str) -> None:
    assert said in landfall.refusal(*arguments, status=2)


@pytest.mark.usefixtures("store")
def test_the_largest_number_and_the_longest_age(landfall: Landfall) -> None:
    landfall.output("db", "upgrade")
    number = str(2**63 - 1)
    assert f"no record {number}" in landfall.refusal("audit", "show", number)
    assert f"no record {number}" in landfall.refusal("undo", number, "--dry-run")
    assert landfall.json("audit", "prune", "--older-than", "36525d") == {"removed": 0}
    assert "Nobody left so long ago." in landfall.output("retired", "purge", "--older-than", "36525d")
