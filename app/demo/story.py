"""The story, as steps of independent tasks: what happens at the port of Tern, and what its tenant sends for it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, cycle
from typing import Any, TypeVar

from app.demo import wording
from app.demo.ledger import Ledger
from app.demo.people import (
    DOMAIN,
    ENTERPRISE,
    MOBILE,
    OFFICE,
    WORK_MAIL,
    Person,
    Team,
    invent_people,
    invent_teams,
)
from app.demo.provider import Provider, group_path, user_path
from app.demo.wording import Style

_T = TypeVar("_T")

Task = Callable[[], None]
PATCHED = (200, 204)


@dataclass(frozen=True, slots=True)
class Step:
    """`tasks` gives what there is to do once the step's turn has come; they may run at the same time."""

    title: str
    tasks: Callable[[], Iterable[Task]]


class Story:
    """The tenant's own view of its people and teams, which every step changes and the service has to follow."""

    def __init__(self, provider: Provider, ledger: Ledger, suffix: str) -> None:
        self._provider = provider
        self._ledger = ledger
        self.suffix = suffix
        self.people = invent_people(suffix)
        self.teams = invent_teams(suffix, self.people)

    def steps(self) -> list[Step]:
        """Every step up to the last look, in order."""
        return [
            Step("test connection", lambda: [self._test_connection]),
            Step("initial cycle: users", lambda: [partial(self._provision, p) for p in self.people]),
            Step("initial cycle: groups", lambda: [partial(self._provision_team, t) for t in self.teams]),
            Step("initial cycle: members", self._all_members),
            Step("initial cycle: managers", self._all_managers),
            Step("incremental cycle, flag off", lambda: self._changes(Style.OFF, self.people[8:20])),
            Step("incremental cycle, flag on", lambda: self._changes(Style.ON, self.people[20:32])),
            Step("disable and restore", self._disabled_and_restored),
            Step("group renames", lambda: [partial(self._rename, t, s) for t, s in _in_turns(self.teams[:4])]),
            Step("one group in parallel", self._crowd),
            Step("leavers", lambda: [partial(self._leave, p, s) for p, s in _in_turns(self.people[40:48])]),
            Step("read back: users", lambda: [partial(self._read_membership, p) for p in self.people if p.id]),
            Step("read back: groups", lambda: [partial(self._read_group, t) for t in self.teams]),
        ]

    def clean_up(self) -> Step:
        """Removes what the story created and is still there."""
        resources = chain(map(group_path, filter(_known, self.teams)), map(user_path, filter(_known, self.people)))
        return Step("clean up", lambda: [partial(self._remove, path) for path in resources])

    @property
    def outcome(self) -> str:
        """What should be stored now."""
        users, members = len(list(filter(_known, self.people))), sum(len(team.members) for team in self.teams)
        return f"{users} users, {len(self.teams)} groups and {members} memberships"

    def _test_connection(self) -> None:
        absent = str(uuid.uuid4())
        self._ledger.check(not self._provider.match_user("userName", absent), "a random user was found")
        self._ledger.check(not self._provider.match_group(absent), "a random group was found")
        answer = self._provider.get("/Users", wanted=(401,), authorization="Bearer not-a-token")
        challenge = answer.headers.get("www-authenticate", "")
        self._ledger.check(challenge.startswith("Bearer"), "a bad token was answered without a Bearer challenge")

    def _provision(self, person: Person) -> None:
        found = self._provider.match_user("userName", person.name)
        self._ledger.check(not found, f"{person.name} was there before")
        person.id = self._created("/Users", wording.user_document(person))
        again = self._provider.match_user("userName", person.name.upper())
        self._ledger.check([u.get("id") for u in again] == [person.id], f"{person.name} is not found in capitals")

    def _provision_team(self, team: Team) -> None:
        self._ledger.check(not self._provider.match_group(team.name), f"{team.name} was there before")
        team.id = self._created("/Groups", wording.group_document(team))

    def _created(self, endpoint: str, document: dict[str, Any]) -> str:
        answer = self._provider.post(endpoint, document)
        id = answer.document.get("id")
        self._ledger.check(isinstance(id, str) and bool(id), f"POST {endpoint}: the answer has no id")
        location = answer.headers.get("location", "")
        self._ledger.check(location.endswith(f"{endpoint}/{id}"), f"POST {endpoint}: Location is {location!r}")
        return str(id or "")

    def _all_members(self) -> list[Task]:
        # In the order of the teams, so that several requests for one group are under way at the same time.
        pairs = [(team, person) for team in self.teams for person in team.members]
        return [
            partial(self._change_members, team, wording.new_member(style, person.id))
            for (team, person), style in _in_turns(pairs)
        ]

    def _all_managers(self) -> list[Task]:
        led = [(person, person.manager) for person in self.people if person.manager]
        return [
            partial(self._change_user, person, wording.manager_reference(style, manager.id))
            for (person, manager), style in _in_turns(led)
        ]

    def _changes(self, style: Style, people: list[Person]) -> list[Task]:
        return [partial(self._change_attributes, style, number, p) for number, p in enumerate(people)]

    def _change_attributes(self, style: Style, number: int, person: Person) -> None:
        family = f"{person.attributes['name.familyName']}-Tern"
        full_name = f"{person.attributes['name.givenName']} {family}"
        changes = {
            "displayName": full_name,
            "name.familyName": family,
            "name.formatted": full_name,
            WORK_MAIL: f"married.{number}.{style.name.lower()}.{self.suffix}@{DOMAIN}",
            MOBILE: f"4795{220000 + number}",
            OFFICE: f"D-{200 + number}",
            f"{ENTERPRISE}:department": "Port Control",
            "title": "Duty Officer",
        }
        self._read_user(person)
        self._change_user(person, *wording.attribute_changes(style, changes, person.attributes))
        person.attributes.update(changes)
        self._read_user(person)

    def _disabled_and_restored(self) -> list[Task]:
        return [partial(self._disable_and_restore, p, s) for p, s in _in_turns(self.people[32:40])]

    def _disable_and_restore(self, person: Person, style: Style) -> None:
        for active in (False, True):
            self._change_user(person, wording.activity(style, active))
            person.active = active
            # Someone who is disabled is found all the same, and stays a member.
            found = self._provider.match_user("userName", person.name)
            self._ledger.check([u.get("id") for u in found] == [person.id], f"{person.name} is not found")
            self._read_user(person)

    def _rename(self, team: Team, style: Style) -> None:
        before, team.name = team.name, f"New {team.name}"
        self._change_members(team, *wording.attribute_changes(style, {"displayName": team.name}, {"displayName": ""}))
        self._ledger.check(not self._provider.match_group(before), f"{before} is found after its renaming")
        found = self._provider.match_group(team.name)
        self._ledger.check([g.get("id") for g in found] == [team.id], f"{team.name} is not found after its renaming")

    def _crowd(self) -> list[Task]:
        """Everyone joins the last team, or leaves it, at the same time."""
        team = self.teams[-1]
        joining = [p for p in self.people if p not in team.members]
        leaving = team.members
        operations = [wording.new_member(s, p.id) for p, s in _in_turns(joining)]
        operations += [wording.former_member(s, p.id) for p, s in _in_turns(leaving)]
        team.members = joining
        return [partial(self._change_members, team, operation) for operation in operations]

    def _leave(self, person: Person, style: Style) -> None:
        self._change_user(person, wording.activity(style, False))
        self._provider.delete(user_path(person))
        self._provider.get(user_path(person), wanted=(404,))
        self._ledger.check(not self._provider.match_user("userName", person.name), f"{person.name} is still found")
        # The client takes out of the groups whom it has deleted just before.
        for team in self.teams:
            if person in team.members:
                self._change_members(team, wording.former_member(style, person.id))
                team.members.remove(person)
        person.id = ""

    def _change_user(self, person: Person, *operations: wording.Operation) -> None:
        self._provider.patch(user_path(person), *operations, wanted=PATCHED)

    def _change_members(self, team: Team, *operations: wording.Operation) -> None:
        self._provider.patch(group_path(team), *operations, wanted=(204,))

    def _read_user(self, person: Person) -> dict[str, Any]:
        document = self._provider.get(user_path(person)).document
        for path, value in person.attributes.items():
            stored = wording.read_value(document, path)
            self._ledger.check(stored == value, f"{person.name}: {path} is {stored!r} and was sent as {value!r}")
        manager = wording.read_value(document, f"{ENTERPRISE}:manager") or {}
        known = person.manager.id if person.manager else None
        self._ledger.check(manager.get("value") == known, f"{person.name}: the manager is {manager.get('value')}")
        self._ledger.check(document.get("active") is person.active, f"{person.name}: active is not {person.active}")
        return document

    def _read_membership(self, person: Person) -> None:
        document = self._read_user(person)
        stored = {group.get("value") for group in document.get("groups", ())}
        wanted = {team.id for team in self.teams if person in team.members}
        self._ledger.check(stored == wanted, f"{person.name}: is in {len(stored)} groups and not {len(wanted)}")

    def _read_group(self, team: Team) -> None:
        document = self._provider.get(group_path(team)).document
        stored = {member.get("value") for member in document.get("members", ())}
        wanted = {person.id for person in team.members}
        missing, foreign = len(wanted - stored), len(stored - wanted)
        self._ledger.check(stored == wanted, f"{team.name}: {missing} members are missing, {foreign} should not be")
        self._ledger.check(document.get("displayName") == team.name, f"{team.name}: has another name")
        self._ledger.check(document.get("externalId") == team.external_id, f"{team.name}: has another externalId")

    def _remove(self, path: str) -> None:
        self._provider.delete(path)


def _known(resource: Person | Team) -> bool:
    return bool(resource.id)


def _in_turns(items: Iterable[_T]) -> Iterator[tuple[_T, Style]]:
    """The items, each with the style of PATCH whose turn it is."""
    return zip(items, cycle(Style), strict=False)
