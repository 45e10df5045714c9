"""What commands print where standard output is not UTF-8 or something is logged, and words that are no text."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import closing

import click
import pytest

from app.cli import main
from app.control import ControlStore, Entry, upgrade
from tests.cli import talkative
from tests.cli.conftest import COMMAND, Landfall
from tests.support.commands import CommandLine

NAME = "M\u00fcller \uff1d\U0001f600@tern.example"
ENCODINGS = ("ascii", "latin-1", "utf-8")
WITH_JSON = (
    ("adoption", "list"),
    ("audit", "list"),
    ("audit", "prune", "--older-than", "52w"),
    ("audit", "recover"),
    ("audit", "show", "1"),
    ("audit", "verify"),
    ("brakes", "show"),
    ("check",),
    ("groups", "list"),
    ("integration", "create", "other", "--access", "full"),
    ("integration", "list"),
    ("integration", "revoke", "hr"),
    ("integration", "rotate", "hr"),
    ("integration", "set", "hr", "--only", "users"),
    ("integration", "set-access", "hr", "full"),
    ("integration", "show", "hr"),
    ("keys", "list"),
    ("keys", "rotate"),
    ("rehearsal", "apply", "--yes"),
    ("rehearsal", "show"),
    ("retired", "list"),
    ("undo", "1", "--dry-run"),
    ("users", "list"),
)
"""Every command that prints JSON when it is asked to."""


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


def commands(command: click.Command, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """All below the command, each with the words that it is called by."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        assert below is not None
        yield from commands(below, *path, name)


def test_each_command_with_json_is_here() -> None:
    found = {path for path, command in commands(main) if any("--json" in param.opts for param in command.params)}
    assert found == {next(path for path in found if words[: len(path)] == path) for words in WITH_JSON}


@pytest.fixture
def telling(landfall: Landfall) -> Landfall:
    """The command line, in which every command has something to log."""
    landfall.output("db", "upgrade")
    return Landfall(landfall.directory, CommandLine(COMMAND.options, talkative.__file__))


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("words", WITH_JSON, ids=" ".join)
def test_what_is_logged_is_not_among_what_is_printed(
    landfall: Landfall, telling: Landfall, words: tuple[str, ...]
) -> None:
    landfall.output("integration", "create", "hr", "--access", "read-only")
    done = telling.run(*words, "--json")
    assert json.loads(done.stdout) is not None
    assert [text in done.stderr for text in ("a fault", "LookupError: said beside")] == [True, True]


def test_what_is_logged_is_as_the_settings_want_it(telling: Landfall) -> None:
    logged = telling.run("keys", "list", LANDFALL_LOG_FORMAT="json").stderr
    assert [json.loads(line)["event"] for line in logged.splitlines()] == ["a fault"]
    assert telling.run("keys", "list", LANDFALL_LOG_LEVEL="critical").stderr == ""


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
