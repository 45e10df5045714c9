"""`landfall undo` beside a running service: what an integration did is taken back, and clients see it so."""

from __future__ import annotations

from tests.support.service import Client
from tests.wire.landfall import Landfall, until


def members(client: Client, group: str) -> set[str]:
    return {member["value"] for member in client.get(f"/Groups/{group}").json().get("members", ())}


def test_a_run_gone_wrong(service: Landfall, client: Client, name: str) -> None:
    """Everybody deactivated and renamed, one deleted, a stranger let in; another client goes on meanwhile."""
    people = [client.user(f"{name}-{n}", title="Pilot", active=True)["id"] for n in range(4)]
    group = client.group(name, *people)["id"]
    wrong = service.client(f"wrong-{name}")
    for id in people:
        change = {"op": "replace", "value": {"active": False, "title": "?"}}
        assert wrong.change(f"/Users/{id}", change).status_code == 200
    stranger = wrong.user(f"{name}-stranger")["id"]
    letting_in = {"op": "add", "path": "members", "value": [{"value": stranger}]}
    assert wrong.change(f"/Groups/{group}", letting_in).status_code == 204
    assert wrong.delete(f"/Users/{people[0]}").status_code == 204
    client.change(f"/Users/{people[1]}", {"op": "replace", "path": "title", "value": "Captain"})
    until(lambda: len(service.report("audit", "list", "--integration", f"wrong-{name}")) == 7)
    until(lambda: len(service.report("audit", "list", "--user", people[1])) == 3)

    done = service.run("undo", "--since", "1h", "--integration", f"wrong-{name}", "--yes")
    assert (done.returncode, done.stderr) == (1, "")
    assert "wrote it since" in done.stdout
    users = [client.get(f"/Users/{id}").json() for id in people]
    assert [(user["active"], user["title"]) for user in users] == [
        (True, "Pilot"),
        (True, "Captain"),
        (True, "Pilot"),
        (True, "Pilot"),
    ]
    assert client.get(f"/Users/{stranger}").status_code == 404
    assert members(client, group) == set(people)
    assert service.report("audit", "verify")["sound"]
