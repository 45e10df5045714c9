"""The invented port of Tern: its people and teams, the same in every run except for the run's own suffix."""

from __future__ import annotations

import unicodedata
import uuid
from dataclasses import dataclass, field

DOMAIN = "tern.example"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
WORK_MAIL = 'emails[type eq "work"].value'
WORK_PHONE = 'phoneNumbers[type eq "work"].value'
MOBILE = 'phoneNumbers[type eq "mobile"].value'
OFFICE = 'addresses[type eq "work"].formatted'
LOCALITY = 'addresses[type eq "work"].locality'

_NAMES = (
    "Mira Solberg",
    "Tomás Ferreira",
    "Ingrid Haugen",
    "Yusuf Demir",
    "Elodie Marchand",
    "Piet van Dijk",
    "Sanna Lehtonen",
    "Rhys Morgan",
    "Niamh O'Rourke",
    "Jürgen Weiss",
    "Ayşe Kaya",
    "Dmitri Volkov",
    "Chiara Bellini",
    "Lars Østergaard",
    "Magda Nowak",
    "Henrik Åström",
    "Fatima Zahra",
    "Olu Adeyemi",
    "Zofia Wójcik",
    "Marek Dvořák",
    "Linnea Berg",
    "Kenji Mori",
    "Petra Horvat",
    "Iain MacLeod",
    "Beatriz Nuñez",
    "Stefan Ilić",
    "Maja Kovač",
    "Anton Lindqvist",
    "Ruth Ben-Ami",
    "Cormac Doyle",
    "Elif Aydın",
    "Hugo Castaño",
    "Tuuli Saarinen",
    "Bram de Vries",
    "Noor Haddad",
    "Sveinn Jónsson",
    "Agnes Papp",
    "Luca Moretti",
    "Freya Holm",
    "Emil Krüger",
    "Daria Popescu",
    "Owen Price",
    "Hanna Lund",
    "Miguel Brandão",
    "Katja Zupan",
    "Ravi Menon",
    "Astrid Falk",
    "Pavel Novotný",
    "Signe Dahl",
    "Tariq Mansour",
    "Elin Sjögren",
    "Jonas Brandt",
    "Wanda Zając",
    "Gwen Pritchard",
    "Oskar Nyman",
    "Lucía Ibáñez",
    "Theo Janssens",
    "Vilma Rask",
    "Matej Babić",
    "Nele Claes",
)

# Letters that have no decomposition into an ASCII one and a mark.
_SPELT = str.maketrans("ØøıŁł", "OoiLl")

_TITLES = (
    ("Harbour Pilot", "Pilotage"),
    ("Tug Master", "Towage"),
    ("Crane Operator", "Cargo"),
    ("Watch Officer", "Port Control"),
    ("Customs Agent", "Customs"),
    ("Cold Store Planner", "Cargo"),
    ("Rigger", "Maintenance"),
    ("Berth Planner", "Port Control"),
)

_TEAMS = (
    "Harbour Pilots",
    "Tug Crews",
    "Crane Operators",
    "Night Watch",
    "Customs Desk",
    "Cold Store",
    "Rope Locker",
    "Quay Planning",
)


@dataclass(eq=False, slots=True)
class Person:
    """Someone as the identity provider knows them.

    `attributes` maps a SCIM target path of the attribute mapping to its value: `name.givenName`,
    `emails[type eq "work"].value`, an extension's URN and a name. `id` is the service's, empty until it gave one.
    """

    external_id: str
    attributes: dict[str, str]
    active: bool = True
    manager: Person | None = None
    id: str = ""

    @property
    def name(self) -> str:
        """The userName, by which the person is matched."""
        return self.attributes["userName"]


@dataclass(eq=False, slots=True)
class Team:
    """A group as the identity provider knows it. `id` is the service's, empty until it gave one."""

    external_id: str
    name: str
    members: list[Person] = field(default_factory=list)
    id: str = ""


def invent_people(suffix: str) -> list[Person]:
    """Sixty people; the first eight lead the others, and the first of all leads those."""
    people = [_person(number, name, suffix) for number, name in enumerate(_NAMES)]
    # A guest of another tenant has such a name, which is hard on filters.
    people[-1].attributes["userName"] = f"nele_claes.kaai.example#EXT#.{suffix}@{DOMAIN}"
    for number, person in enumerate(people[1:], 1):
        person.manager = people[number % len(_TEAMS) if number >= len(_TEAMS) else 0]
    return people


def invent_teams(suffix: str, people: list[Person]) -> list[Team]:
    """Eight teams; everyone is in one, every third person in a second one."""
    teams = [Team(_object_id(f"{name} {suffix}"), f"{name} ({suffix})") for name in _TEAMS]
    for number, person in enumerate(people):
        teams[number % len(teams)].members.append(person)
        if number % 3 == 0:
            teams[(number + 3) % len(teams)].members.append(person)
    return teams


def _person(number: int, full_name: str, suffix: str) -> Person:
    given, _, family = full_name.partition(" ")
    title, department = _TITLES[number % len(_TITLES)]
    account = f"{_plain(given)}.{_plain(family)}.{suffix}"
    attributes = {
        "userName": f"{account}@{DOMAIN}",
        "displayName": full_name,
        "title": title,
        "preferredLanguage": ("nb-NO", "pt-PT", "en-GB", "de-DE")[number % 4],
        "userType": "Member",
        "name.givenName": given,
        "name.familyName": family,
        "name.formatted": full_name,
        WORK_MAIL: f"{account}@{DOMAIN}",
        WORK_PHONE: f"+47 5550 {1100 + number}",
        OFFICE: f"{'ABC'[number % 3]}-{101 + number}",
        LOCALITY: "Tern",
        f"{ENTERPRISE}:employeeNumber": str(70100 + number),
        f"{ENTERPRISE}:department": department,
        f"{ENTERPRISE}:division": "Marine" if number % 2 else "Landside",
        f"{ENTERPRISE}:costCenter": f"CC-{40 + number % 8}",
        f"{ENTERPRISE}:organization": "Port of Tern",
    }
    if number % 2:
        attributes[MOBILE] = f"4790{110000 + number}"
    return Person(_object_id(f"{full_name} {suffix}"), attributes)


def _plain(name: str) -> str:
    """The name as in an account: ASCII, lower case, without spaces; apostrophes and hyphens stay."""
    letters = unicodedata.normalize("NFKD", name.translate(_SPELT)).encode("ascii", "ignore").decode()
    return letters.replace(" ", "").lower()


def _object_id(text: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{text}.{DOMAIN}"))
