"""`landfall integration` limits what an integration has to do with; `landfall check` looks at limits and protection."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Landfall

LIMITS = {
    "only": None,
    "users": 'userType eq "Staff"',
    "groups": None,
    "bases": [],
    "attributes": ["title", "name"],
    "outside": "keep",
}


def test_limits_are_set_shown_and_taken_away(landfall: Landfall) -> None:
    options = ("--filter-users", 'userType eq "Staff"', "--attributes", " title, name", "--outside", "keep")
    created = landfall.json("integration", "create", "hr", "--access", "full", *options)
    assert created["limits"] == LIMITS
    assert landfall.json("integration", "show", "hr")["limits"] == LIMITS
    shown = landfall.output("integration", "show", "hr")
    assert 'userType eq "Staff"' in shown
    assert "title, name; others stay as they are" in shown
    changed = landfall.json("integration", "set", "HR", "--only", "users", "--attributes", "")
    assert changed["limits"] == {**LIMITS, "only": "users", "attributes": []}
    text = landfall.output("integration", "set", "hr", "--outside", "refuse")
    assert text.startswith("hr has to do with this only:\n")
    text = landfall.output("integration", "set", "hr", "--only", "both", "--filter-users", "")
    assert text == "hr has to do with all users and groups.\n"
    assert landfall.json("integration", "list")[0]["limits"] is None


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--filter-users", "userType eq"), "filter of users: "),
        (("--filter-groups", 'titel eq "x"'), "'titel' is not an attribute of Group"),
        (("--filter-users", 'groups.display eq "x"'), "depends on other resources"),
        (("--attributes", "title,titel"), "'titel' is not an attribute that can be written"),
        (("--only", "devices"), "'devices' is not one of"),
        (("--base", "ou=berlin,dc=example,dc=org"), "--base can't be used: this store is no directory"),
        (("--base", "berlin"), "'berlin' is not a DN"),
    ],
)
def test_limits_that_no_store_could_keep_are_refused(landfall: Landfall, option: tuple[str, str], said: str) -> None:
    landfall.output("integration", "create", "hr", "--access", "full")
    for command in (("create", "other", "--access", "full"), ("set", "hr")):
        assert said in landfall.refusal("integration", *command, *option, status=2)
    (only,) = landfall.json("integration", "list")
    assert only["limits"] is None


def configured(landfall: Landfall, text: str) -> tuple[str, str]:
    path = landfall.directory / "landfall.toml"
    path.write_text(text, encoding="utf-8")
    return "--config", str(path)


def test_a_check_tells_what_protection_finds(landfall: Landfall) -> None:
    landfall.output("db", "upgrade")
    config = configured(landfall, "[protected]\nusers = 'userName sw \"svc-\"'\n")
    found = {f["subject"]: f for f in landfall.json(*config, "check")}
    assert (found["protected.users"]["state"], found["protected.users"]["message"]) == ("warning", "0 users at present")
    assert "protected.groups" not in found


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ("users = 'titel eq \"x\"'", "protected.users"),
        ("groups = 'members eq \"x\"'", "protected.groups"),
        ("bases = ['ou=admins,dc=example,dc=org']", "protected.bases"),
        ("bases = ['admins']", "protected.bases.0"),
        ("users = ''", "protected.users"),
        ("hidden = 'yes'", "protected.hidden"),
    ],
)
def test_a_check_names_the_key_at_fault(landfall: Landfall, table: str, key: str) -> None:
    landfall.output("db", "upgrade")
    config = configured(landfall, f"[protected]\n{table}\n")
    done = landfall.run(*config, "check", "--json")
    assert done.returncode == 1, done.stderr
    assert f'"{key}"' in done.stdout
