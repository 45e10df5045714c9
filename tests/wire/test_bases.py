"""How an operator limits an integration to subtrees of a directory, and what `landfall check` says of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.directories import Directory
from tests.wire.landfall import Landfall, directory_settings
from tests.wire.test_ldap import KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_bases_are_set_shown_checked_and_taken_away(
    kind: str, directory_servers: Callable[[str], Directory], tmp_path: Path
) -> None:
    server = directory_servers(kind)
    tree = server.new_tree()
    home = tmp_path / "home"
    landfall = Landfall(home, directory_settings(server, tree, home))
    gone, elsewhere = f"ou=gone,{tree.people}", "ou=berlin,dc=elsewhere,dc=example"
    bases = [tree.people, tree.groups]
    created = landfall.integration("Berlin", "full", "--base", tree.people, "--base", f" {tree.groups} ")
    assert created["limits"]["bases"] == bases
    shown = landfall.run("integration", "show", "berlin").stdout
    assert [shown.count(base) for base in bases] == [1, 1]
    landfall.integration("Moon", "full", "--base", gone, "--base", elsewhere, "--only", "users")
    done = landfall.run("check", "--json")
    assert done.returncode == 1
    landfall.report("integration", "set", "Moon", "--base", elsewhere)
    texts = [landfall.run("check").stdout]
    landfall.report("integration", "set", "Moon", "--base", gone)
    texts.append(landfall.run("check").stdout)
    assert "there is no entry" in done.stdout
    assert [("nothing in common" in text, "there is no entry" in text) for text in texts] == [
        (True, False),
        (False, True),
    ]
    assert all("integration Moon" in text and "integration Berlin" not in text for text in texts)
    assert landfall.report("integration", "set", "Moon", "--base", "")["limits"]["bases"] == []
    assert landfall.run("check").stdout.count("integration Moon") == 0
    refused = landfall.run("integration", "set", "Moon", "--base", "berlin")
    assert refused.returncode == 2
    assert "'berlin' is not a DN" in refused.stderr
    server.empty(tree)
