"""Directory servers for the tests. `BACKENDS` names the kinds to test: by default openldap,389ds,samba.

A kind that is selected and not installed fails. Under pytest-xdist one worker has all tests of a kind, with a server
that is started when a test first asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from backends.ldap.backend import LdapBackend
from tests.ldap.store import Beside, opened
from tests.support.directories import (
    Directory,
    DirectoryServer389,
    OpenLDAP,
    SambaAD,
    Tree,
    selected_directories,
)

KIND_OF_FIXTURE = {"openldap": "openldap", "ds389": "389ds", "samba": "samba"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`directory` is each selected kind in turn, of those that the marker `directories` names where there is one."""
    if "directory" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("directories")
        chosen = [kind for kind in selected_directories() if marker is None or kind in marker.args]
        kinds = [pytest.param(kind, id=kind, marks=_group(kind)) for kind in chosen]
        metafunc.parametrize("directory", kinds, indirect=True, scope="session")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What uses one kind by its name is with the other tests of that kind."""
    for item in items:
        for fixture in KIND_OF_FIXTURE.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(_group(KIND_OF_FIXTURE[fixture]))


def _group(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.xdist_group(f"directory-{kind}")


def _selected(kind: str, servers: Callable[[str], Directory]) -> Directory:
    if kind not in selected_directories():
        pytest.skip(f"BACKENDS does not name {kind}")
    return servers(kind)


@pytest.fixture(scope="session")
def directory(request: pytest.FixtureRequest, directory_servers: Callable[[str], Directory]) -> Directory:
    """The directory server under test. A test that stops it starts it again."""
    return directory_servers(request.param)


@pytest.fixture
def tree(directory: Directory) -> Iterator[Tree]:
    """A fresh and empty tree on the directory server under test; what is left in it is removed."""
    tree = directory.new_tree()
    yield tree
    directory.start()
    directory.empty(tree)


@pytest.fixture(scope="session")
def openldap(directory_servers: Callable[[str], Directory]) -> OpenLDAP:
    """The OpenLDAP of this run."""
    server = _selected("openldap", directory_servers)
    assert isinstance(server, OpenLDAP)
    return server


@pytest.fixture(scope="session")
def ds389(directory_servers: Callable[[str], Directory]) -> DirectoryServer389:
    """The 389 Directory Server of this run."""
    server = _selected("389ds", directory_servers)
    assert isinstance(server, DirectoryServer389)
    return server


@pytest.fixture(scope="session")
def samba(directory_servers: Callable[[str], Directory]) -> SambaAD:
    """The Active Directory of this run."""
    server = _selected("samba", directory_servers)
    assert isinstance(server, SambaAD)
    return server


@pytest.fixture
def beside(directory: Directory, tree: Tree) -> Iterator[Beside]:
    """The tree as other programs see it."""
    connection = directory.connect()
    yield Beside(directory, tree, connection)
    connection.unbind()


@pytest.fixture
def backend(directory: Directory, tree: Tree) -> Iterator[LdapBackend]:
    """A back end on the tree, with the shipped bindings."""
    with opened(directory, tree) as backend:
        yield backend
