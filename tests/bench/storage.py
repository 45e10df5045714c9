"""The stores that are measured: an empty one of each kind, how the service finds it, and how it gets a large group."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import ldap3
from sqlalchemy import insert

from app.control import Access, ControlStore, Dialect, upgrade
from app.scim.registry import load
from backends.sql import tables
from backends.sql.backend import SqlBackend
from tests.support.directory_openldap import OpenLDAP
from tests.support.servers import DatabaseServer, MariaDB, PostgreSQL

_SERVERS: Mapping[str, type[DatabaseServer]] = {"postgresql": PostgreSQL, "mariadb": MariaDB}
_DRIVERS: Mapping[str, str] = {"openldap": "ldap3", "openldap-libldap": "python-ldap"}
NAMES = ("sqlite", *_SERVERS, *_DRIVERS)


@dataclass(frozen=True, slots=True)
class Storage:
    """An empty store. `variables` are the settings of a service on it; `add_crowd` puts that many new members into the
    group of an id, past the service, for it would take minutes."""

    home: Path
    variables: Mapping[str, str]
    add_crowd: Callable[[str, int], None]


@contextmanager
def storage(name: str) -> Iterator[Storage]:
    """The store of that name, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="landfall-bench-") as directory, ExitStack() as stack:
        home = Path(directory)
        if name in _DRIVERS:
            yield _directory(home, stack.enter_context(OpenLDAP()), _DRIVERS[name])
        elif name == "sqlite":
            yield _database(home, f"sqlite:///{home / 'landfall.db'}")
        else:
            yield _database(home, stack.enter_context(_SERVERS[name]()).new_database())


def prepare(home: Path) -> tuple[str, str]:
    """The client id and the secret of an integration with full access, in a new control store."""
    control_url = f"sqlite:///{home / 'control.db'}"
    upgrade(control_url)
    control = ControlStore(control_url)
    integration = control.create_integration("bench", Access.FULL, Dialect.ENTRA)
    secret = control.add_secret(integration.id).value
    control.close()
    return integration.id, secret


def _database(home: Path, url: str) -> Storage:
    backend = SqlBackend(url, load())
    backend.create_schema()
    backend.close()
    return Storage(home, {"LANDFALL_SQL_URL": url}, lambda group, members: _add_rows(url, group, members))


def _add_rows(url: str, group: str, members: int) -> None:
    built = tables.build(load())
    users, groups = built.layouts["User"], built.links["Group", "members"]
    now = datetime.now(UTC)
    name = users.fields["userName"]
    ids = [f"{group[:8]}-crowd-{number}" for number in range(members)]
    people = [
        {"id": id, "version": 1, "created": now, "modified": now, name.column.name: id, name.key.name: id} for id in ids
    ]
    links = [{groups.near.name: group, groups.far.name: id} for id in ids]
    backend = SqlBackend(url, load())
    with backend.engine.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        for start in range(0, members, 1000):
            connection.execute(insert(users.table), people[start : start + 1000])
            connection.execute(insert(groups.table), links[start : start + 1000])
        connection.exec_driver_sql("COMMIT")
    backend.close()


def _directory(home: Path, server: OpenLDAP, driver: str) -> Storage:
    tree = server.new_tree()
    text = resources.files("config.bindings").joinpath("openldap.toml").read_text(encoding="utf-8")
    text = text.replace("ou=people,dc=example,dc=org", tree.people).replace("ou=groups,dc=example,dc=org", tree.groups)
    text = text.replace("ou=retired,dc=example,dc=org", tree.retired)
    bindings = home / "bindings.toml"
    bindings.write_text(text, encoding="utf-8")
    variables = {
        "LANDFALL_BACKEND": "ldap",
        "LANDFALL_LDAP_SERVERS": server.ldaps_url,
        "LANDFALL_LDAP_CA_FILE": str(server.ca_file),
        "LANDFALL_LDAP_BIND_DN": server.service_dn,
        "LANDFALL_LDAP_PASSWORD": server.service_password,
        "LANDFALL_LDAP_BINDINGS": str(bindings),
        "LANDFALL_LDAP_DRIVER": driver,
    }

    def add_crowd(group: str, members: int) -> None:
        # The members need not exist: the server keeps their names as it does those of people.
        with server.session() as connection:
            connection.search(tree.groups, f"(entryUUID={group})", attributes=["1.1"])
            dn = connection.entries[0].entry_dn
            for start in range(0, members, 5000):
                names = [f"uid=crowd{n},{tree.people}" for n in range(start, min(start + 5000, members))]
                connection.modify(dn, {"member": [(ldap3.MODIFY_ADD, names)]})

    return Storage(home, variables, add_crowd)
