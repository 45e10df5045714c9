"""`landfall undo` as an operator runs it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from app.control import Access, ControlStore
from app.scim.query import Draft
from app.services.journal import Actor
from tests.cli.conftest import Landfall
from tests.cli.test_lifecycle import control, store
from tests.services.undoing import HR, World


@pytest.fixture
def opened(landfall: Landfall) -> Iterator[ControlStore]:
    """The control store of the commands; there is an integration `entra`."""
    landfall.output("db", "upgrade")
    with control(landfall) as opened:
        opened.create_integration("entra", Access.FULL)
        yield opened


@pytest.fixture
def world(landfall: Landfall, opened: ControlStore) -> Iterator[World]:
    """What clients write to the store of the commands."""
    with store(landfall) as backend:
        yield World(backend, opened)


@pytest.fixture
def entra(opened: ControlStore) -> Actor:
    return Actor(opened.find_integration("entra").id, "entra")


def test_one_record(landfall: Landfall, world: World) -> None:
    """It is shown, then made, then there is nothing left of it; and it can be undone itself."""
    user = world.user("mira", title="Pilot")
    number = world.blind(user, title="[red]Captain[/red]", nickName="m")
    text = landfall.output("undo", str(number), "--dry-run")
    rows = [line.split() for line in text.splitlines()]
    assert [str(number), "User", "mira", "title", "[red]Captain[/red]", "Pilot"] in rows
    assert "Nothing is changed: 1 change would be made." in text
    assert world.value(user, "title") == "[red]Captain[/red]"
    assert "Made: 1 change." in landfall.output("undo", str(number), "--yes")
    assert (world.value(user, "title"), world.value(user, "nickName")) == ("Pilot", None)
    again = landfall.output("undo", str(number), "--yes")
    assert [part in again for part in ("nothing of it is left to undo", "There is nothing to undo.")] == [True, True]
    (record,) = landfall.json("audit", "list", "--integration", "operator")
    assert (record["operation"], record["changes"]["notes"]) == ("patch", [f"undo of {number}"])
    landfall.output("undo", str(record["seq"]), "--yes")
    assert world.value(user, "title") == "[red]Captain[/red]"
    landfall.output("audit", "verify")


def test_it_asks(landfall: Landfall, world: World) -> None:
    user = world.user("mira", title="Pilot")
    number = world.blind(user, title="Captain")
    refused = landfall.answering("n\n", "undo", str(number))
    assert (refused.returncode, "Make 1 change?" in refused.stdout) == (1, True)
    assert world.value(user, "title") == "Captain"
    assert landfall.answering("y\n", "undo", str(number)).returncode == 0
    assert world.value(user, "title") == "Pilot"


def test_conflicts_are_listed(landfall: Landfall, world: World) -> None:
    user = world.user("mira", title="Pilot", nickName="m")
    number = world.blind(user, title="Captain", nickName="c")
    later = world.blind(user, HR, title="Officer")
    done = landfall.run("undo", str(number), "--yes")
    assert (done.returncode, done.stderr) == (1, "")
    said = ("What stays as it is:", f"record {later} (hr) wrote it since", "Officer", "landfall audit show NUMBER")
    assert [part for part in said if part not in done.stdout] == []
    assert (world.value(user, "title"), world.value(user, "nickName")) == ("Officer", "m")
    done = landfall.run("undo", str(number), "--dry-run", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout) == {
        "steps": [],
        "made": 0,
        "conflicts": [
            {
                "records": [number],
                "kind": "User",
                "id": user,
                "name": "mira",
                "attribute": "title",
                "member": None,
                "recorded": "Captain",
                "present": "Officer",
                "reason": f"record {later} (hr) wrote it since",
            }
        ],
        "nothing_to_do": [],
    }


def test_what_an_integration_did(landfall: Landfall, world: World, entra: Actor) -> None:
    """All of it, and nothing of others."""
    mira, ann = world.user("mira", HR, title="Pilot"), world.user("ann", HR)
    team = world.group("Team", mira, who=HR)
    world.blind(mira, entra, title="Captain")
    new = world.user("new", entra)
    world.members(team, add=(ann, new), remove=(mira,), who=entra)
    world.delete(ann, who=entra)
    world.blind(mira, HR, nickName="m")
    shown = landfall.run("undo", "--since", "1h", "--integration", "entra", "--yes", "--json")
    assert (shown.returncode, shown.stderr) == (0, "")
    done = json.loads(shown.stdout)
    assert [(step["operation"], step["name"]) for step in done["steps"]] == [
        ("restore", "ann"),
        ("patch", "mira"),
        ("patch", "Team"),
        ("retire", "new"),
    ]
    assert (done["made"], done["conflicts"]) == (4, [])
    assert [(c["now"], c["then"]) for c in done["steps"][2]["changes"]] == [(False, True), (True, False)]
    assert (world.value(mira, "title"), world.value(mira, "nickName")) == ("Pilot", "m")
    assert (world.in_group(team), world.is_retired(new)) == ({mira}, True)


def test_what_an_integration_did_in_a_time(landfall: Landfall, world: World, entra: Actor) -> None:
    user = world.user("mira", HR, title="Pilot")
    world.blind(user, entra, title="Captain")
    between = datetime.fromtimestamp(world.journal.now() / 1_000_000, UTC).isoformat()
    time.sleep(0.001)
    world.blind(user, entra, title="Officer")
    options = ("--integration", "entra", "--yes")
    assert "nothing" in landfall.output("undo", "--since", "2h", "--until", "1h", *options)
    assert "Made: 1" in landfall.output("undo", "--since", between, *options)
    assert world.value(user, "title") == "Captain"
    landfall.output("undo", "--since", "1h", "--until", between, *options)
    assert world.value(user, "title") == "Pilot"


def test_members_of_whom_nothing_is_known(landfall: Landfall, world: World) -> None:
    user, other = world.user("mira"), world.user("other")
    team = world.backend.create("Group", Draft({"displayName": "Old"}, {"members": (other,)})).id
    number = world.members(team, add=(user,))
    assert landfall.run("undo", str(number), "--yes").returncode == 1
    assert world.in_group(team) == {user, other}
    landfall.output("undo", str(number), "--yes", "--trust-client")
    assert world.in_group(team) == {other}


def test_what_is_protected_stays(landfall: Landfall, world: World) -> None:
    configuration = landfall.directory / "landfall.toml"
    configuration.write_text("[protected]\nusers = 'userType eq \"Admin\"'\n")
    user = world.user("root", userType="Admin", title="Root")
    number = world.blind(user, title="Captain")
    done = landfall.run("--config", str(configuration), "undo", str(number), "--yes")
    assert (done.returncode, "is protected" in done.stdout) == (1, True)
    assert world.value(user, "title") == "Captain"


def test_what_is_removed_where_users_are(landfall: Landfall, world: World) -> None:
    configuration = landfall.directory / "landfall.toml"
    configuration.write_text('[lifecycle]\ndelete = "remove"\n')
    user = world.user("mira")
    text = landfall.output("--config", str(configuration), "undo", str(world.last), "--yes")
    assert "removed for good" in text
    assert (world.is_there(user), world.is_retired(user)) == (False, False)


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize(
    ("arguments", "said", "status"),
    [
        ((), "give numbers", 2),
        (("--since", "2h"), "give numbers", 2),
        (("--integration", "entra"), "give numbers", 2),
        (("1", "--since", "2h"), "together", 2),
        (("1", "--since", "2h", "--integration", "entra"), "give numbers", 2),
        (("1", "--json"), "does not ask", 2),
        (("0",), "0", 2),
        (("4711",), "there is no record 4711", 1),
        (("--since", "2h", "--integration", "nobody"), "no integration 'nobody'", 1),
        (("--since", "soon", "--integration", "entra"), "no time", 2),
    ],
)
def test_refuses_what_makes_no_sense(landfall: Landfall, arguments: tuple[str, ...], said: str, status: int) -> None:
    assert said in landfall.refusal("undo", *arguments, status=status)
