"""`landfall check` on real directories: the way there, what is there, and the command itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from backends.base import State
from backends.ldap.drivers.base import Address, Tls
from config.directory import Bindings, Kind
from tests.cli.conftest import Landfall
from tests.ldap.checkups import (
    READABLE,
    Variant,
    add_users,
    faults,
    findings,
    left,
    run_remedy,
    variants,
)
from tests.support import directory_openldap
from tests.support.commands import CommandLine
from tests.support.directories import Directory, DirectoryServer389, OpenLDAP, SambaAD, Tree
from tests.support.directory_base import SCHEMA
from tests.support.directory_tls import Authority, authority
from tests.support.servers import free_port


@pytest.fixture
def variant(directory_servers: Callable[[str], Directory], monkeypatch: pytest.MonkeyPatch) -> Iterator[Variant]:
    """See `variants`."""
    yield from variants(directory_servers, monkeypatch)


class TestAGoodDirectory:
    @pytest.mark.parametrize("write", [False, True], ids=["reading", "writing"])
    def test_has_no_fault_and_is_left_as_it_was(self, directory: Directory, tree: Tree, write: bool) -> None:
        found = findings(directory, tree, write=write)
        assert faults(found) == {}
        assert left(directory, tree) == []
        assert found["rights"].state is State.OK

    def test_is_proved_by_writing(self, directory: Directory, tree: Tree) -> None:
        add_users(directory, tree, 3)
        before = sorted(left(directory, tree))
        found = findings(directory, tree, write=True)
        assert faults(found) == {}
        assert "3 below" in found["users"].text
        for what in ("lock", "uniqueness", "referential integrity", "rights", "limits", "kind"):
            assert what == "limits" or found[what].state is State.OK, found[what]
        assert "its sign-in was refused" in found["lock"].text
        assert "lost a user" in found["referential integrity"].text
        assert sorted(left(directory, tree)) == before
        directory.empty(tree)

    def test_a_release_that_loses_writes(self, ds389: DirectoryServer389) -> None:
        """The server of Debian 12, and of its time."""
        release = findings(ds389, ds389.tree)["release"]
        assert release.state is State.WARNING
        assert "2.3.1" in release.text
        assert "2.4.5" in release.mend

    def test_tells_of_all_that_it_can_read(self, variant: Variant) -> None:
        server = variant(READABLE)
        found = findings(server, server.tree)
        assert {what for what, finding in found.items() if finding.state is not State.OK} == set()
        assert "landfallHeld" in found["indexes"].text
        assert "keeps uid unique" in found["uniqueness"].text
        assert "are sorted" in found["large groups"].text
        assert "no limit" in found["limits"].text


class TestTheWayThere:
    def test_a_wrong_password(self, directory: Directory, tree: Tree) -> None:
        found = findings(directory, tree, password="not-this-one")
        ((what, finding),) = found.items()
        assert what == directory.ldaps_url
        assert finding.state is State.FAULT
        assert "password is wrong" in finding.text
        assert "ldapwhoami -x" in finding.mend
        assert "LANDFALL_LDAP_PASSWORD_FILE" in finding.mend
        assert "not-this-one" not in str(found)

    def test_a_wrong_password_is_sent_once(self, openldap: OpenLDAP) -> None:
        addresses = [Address(host, openldap.ldaps_port, Tls.LDAPS) for host in ("127.0.0.1", "localhost")]
        found = findings(openldap, openldap.tree, addresses=addresses, password="not-this-one")
        first, second = found.values()
        assert first.state is State.FAULT
        assert "no sign-in tried" in second.text

    def test_an_authority_that_is_not_trusted(self, openldap: OpenLDAP, tmp_path: Path) -> None:
        other = tmp_path / "other.pem"
        other.write_bytes(Authority().certificate_pem)
        (finding,) = findings(openldap, openldap.tree, ca_file=other).values()
        assert finding.state is State.FAULT
        assert f"authority that is not in ldap.ca_file ({other})" in finding.text
        assert "openssl s_client" in finding.mend

    def test_a_certificate_for_another_host(self, openldap: OpenLDAP) -> None:
        with OpenLDAP(authority().identity("elsewhere.test")) as server:
            (finding,) = findings(server, server.tree).values()
        assert finding.state is State.FAULT
        assert "certificate is for another host than 127.0.0.1" in finding.text
        assert "subjectAltName" in finding.mend

    def test_a_certificate_that_is_not_valid_by_starttls(self, openldap: OpenLDAP, tmp_path: Path) -> None:
        other = tmp_path / "other.pem"
        other.write_bytes(Authority().certificate_pem)
        start = [Address("127.0.0.1", openldap.port, Tls.START_TLS)]
        (finding,) = findings(openldap, openldap.tree, addresses=start, ca_file=other).values()
        assert "signed by an authority" in finding.text
        assert "-starttls ldap" in finding.mend
        assert faults(findings(openldap, openldap.tree, addresses=start)) == {}

    def test_a_server_that_does_not_run(self, openldap: OpenLDAP) -> None:
        nobody = Address("127.0.0.1", free_port(), Tls.LDAPS)
        (alone,) = findings(openldap, openldap.tree, addresses=[nobody]).values()
        assert alone.state is State.FAULT
        assert "can't be reached" in alone.text
        assert f":{nobody.port}" in alone.mend
        good = Address("127.0.0.1", openldap.ldaps_port, Tls.LDAPS)
        found = findings(openldap, openldap.tree, addresses=[good, nobody])
        assert found[str(nobody)].state is State.WARNING
        assert faults(found) == {}

    def test_tls_on_a_port_without_it(self, openldap: OpenLDAP) -> None:
        (finding,) = findings(
            openldap, openldap.tree, addresses=[Address("127.0.0.1", openldap.port, Tls.LDAPS)]
        ).values()
        assert finding.state is State.FAULT
        assert "TLS" in finding.text

    def test_clear_text_is_refused_by_active_directory(self, samba: SambaAD) -> None:
        clear = [Address("127.0.0.1", samba.port, Tls.NONE)]
        (finding,) = findings(samba, samba.tree, addresses=clear).values()
        assert finding.state is State.FAULT
        assert "no password in clear text" in finding.text
        assert "ldaps://" in finding.mend


class TestWhatIsThere:
    def test_a_base_that_is_missing(self, directory: Directory, tree: Tree) -> None:
        gone = Tree(tree.people, tree.groups.replace("=groups", "=nowhere", 1))
        found = findings(directory, gone, write=True)
        ((key, text),) = faults(found).items()
        assert key.endswith("groups.base")
        assert "nowhere" in text
        assert found["--write"].state is State.WARNING

    def test_bindings_for_another_kind_of_server(self, openldap: OpenLDAP) -> None:
        def other(bindings: Bindings) -> Bindings:
            return replace(bindings, kind=Kind.DS389)

        found = findings(openldap, openldap.tree, change=other)
        assert "the server is OpenLDAP" in found["kind"].text
        assert found["kind"].state is State.FAULT

    def test_the_schema_is_missing(self, variant: Variant) -> None:
        server = variant(
            ("include: file://@BASE@/landfall.ldif\n\n", ""),
            ("manager,landfallHeld,landfallExternalId eq", "manager eq"),
        )
        found = findings(server, server.tree, write=True)
        mends = {finding.mend for finding in found.values() if "landfallObject" in finding.text}
        (mend,) = mends
        assert "ldapadd -Y EXTERNAL -H ldapi:/// -f deploy/ldap/landfall.ldif" in mend
        text = (SCHEMA / "landfall.ldif").read_text()
        run_remedy(server, f"<<'END'\n{text}\nEND")
        assert faults(findings(server, server.tree, write=True)) == {}


@pytest.fixture
def configured(tmp_path: Path, openldap: OpenLDAP) -> Iterator[tuple[Landfall, dict[str, str], Tree]]:
    """The command, and an environment in which it is configured for a tree of OpenLDAP."""
    # ldap3 uses names that pyasn1 has deprecated.
    lenient = CommandLine(("-W", "error", "-W", "ignore::DeprecationWarning"))
    landfall, tree = Landfall(tmp_path, lenient), openldap.new_tree()
    text = Path(directory_openldap.__file__).parents[2].joinpath("config/bindings/openldap.toml").read_text()
    for name, base in (("people", tree.people), ("groups", tree.groups)):
        text = text.replace(f'base = "ou={name},dc=example,dc=org"', f'base = "{base}"')
    text = text.replace("ou=retired,dc=example,dc=org", tree.retired)
    bindings = landfall.directory / "bindings.toml"
    bindings.write_text(text)
    configuration = landfall.directory / "landfall.toml"
    configuration.write_text(
        f'backend = "ldap"\n[ldap]\nservers = ["{openldap.ldaps_url}"]\nca_file = "{openldap.ca_file}"\n'
        f'bind_dn = "{openldap.service_dn}"\nbindings = "{bindings}"\n'
    )
    environ = {"LANDFALL_CONFIG": str(configuration), "LANDFALL_LDAP_PASSWORD": openldap.service_password}
    assert landfall.run("db", "upgrade", **environ).returncode == 0
    yield landfall, environ, tree
    openldap.empty(tree)


class TestTheCommand:
    def test_shows_a_table_and_what_to_mend(self, configured: tuple[Landfall, dict[str, str], Tree]) -> None:
        landfall, environ, _ = configured
        done = landfall.run("check", "--write", **environ)
        assert (done.returncode, done.stderr) == (0, "")
        assert "its sign-in was refused" in done.stdout
        assert "backend" in done.stdout
        table, _, rest = done.stdout.partition("\n\n")
        assert "olcSortVals" not in table
        assert "\nolcSortVals: member\nEND\n" in rest

    def test_shows_json(self, configured: tuple[Landfall, dict[str, str], Tree]) -> None:
        landfall, environ, _ = configured
        done = landfall.run("check", "--json", **environ)
        listed = json.loads(done.stdout)
        assert {tuple(item) for item in listed} == {("subject", "state", "message", "mend")}
        assert done.returncode == 0

    @pytest.mark.parametrize("driver", ["ldap3", "python-ldap"])
    def test_a_fault_is_its_status_and_no_secret_is_shown(
        self, configured: tuple[Landfall, dict[str, str], Tree], driver: str
    ) -> None:
        landfall, environ, _ = configured
        wrong = {**environ, "LANDFALL_LDAP_PASSWORD": "hidden-word", "LANDFALL_LDAP_DRIVER": driver}
        done = landfall.run("check", **wrong)
        assert done.returncode == 1
        assert "the password is wrong" in done.stdout
        assert "hidden-word" not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr

    def test_a_place_for_deleted_users(self, configured: tuple[Landfall, dict[str, str], Tree]) -> None:
        """A configuration in which they can't be told from others is a fault, unless they are removed."""
        landfall, environ, _ = configured
        bindings = landfall.directory / "bindings.toml"
        lines = [line for line in bindings.read_text().splitlines(keepends=True) if not line.startswith("retired =")]
        bindings.write_text("".join(lines))
        done = landfall.run("check", **environ)
        assert done.returncode == 1
        assert "lifecycle.delete" in done.stdout
        assert "users.retired" in done.stdout
        assert landfall.run("check", **environ, LANDFALL_LIFECYCLE_DELETE="remove").returncode == 0
