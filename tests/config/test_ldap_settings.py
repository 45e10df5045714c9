"""The settings of the LDAP back end: what must be there, what is refused, and that the password is not told."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import ConfigError
from config.ldap_text import ServerAddress, is_attribute, is_below, is_dn, is_filter, server_address
from config.loader import load
from config.secret import Secret
from config.settings import LdapSettings

WHOLE = """
backend = "ldap"
[ldap]
servers = ["ldaps://ldap1.example.org", "ldap://[::1]:1389"]
bind_dn = "cn=landfall,ou=services,dc=example,dc=org"
password = " hunter2 "
bindings = "389ds"
"""


def toml(directory: Path, text: str) -> Path:
    path = directory / "landfall.toml"
    path.write_text(text, encoding="utf-8")
    return path


def faults(path: Path | None, **variables: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        load(path, {f"LANDFALL_{name}": value for name, value in variables.items()})
    assert "hunter2" not in str(caught.value)
    return {fault.key: fault.message for fault in caught.value.faults}


def test_a_directory_is_read(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.touch()
    more = f"""
        tls = "none"
        ca_file = "{authority}"
        driver = "python-ldap"
        pool_size = 3
        connect_timeout_seconds = 4
        response_timeout_seconds = 6
        candidates = 7
        page_size = 8
    """
    assert load(toml(tmp_path, WHOLE + more), {}).ldap == LdapSettings(
        servers=("ldaps://ldap1.example.org", "ldap://[::1]:1389"),
        tls="none",
        ca_file=authority,
        bind_dn="cn=landfall,ou=services,dc=example,dc=org",
        password=Secret(" hunter2 "),
        bindings="389ds",
        driver="python-ldap",
        pool_size=3,
        connect_timeout_seconds=4,
        response_timeout_seconds=6,
        candidates=7,
        page_size=8,
    )


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    ldap = load(toml(tmp_path, WHOLE), {}).ldap
    assert (ldap.tls, ldap.ca_file, ldap.driver, ldap.pool_size) == ("required", None, "ldap3", 10)
    assert (ldap.connect_timeout_seconds, ldap.response_timeout_seconds) == (5, 15)
    assert (ldap.candidates, ldap.page_size) == (10_000, 500)


def test_variables_alone_are_enough(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter2\n", encoding="utf-8")
    ldap = load(
        None,
        {
            "LANDFALL_BACKEND": "ldap",
            "LANDFALL_LDAP_SERVERS": "ldaps://a.example.org, ldaps://b.example.org:1636",
            "LANDFALL_LDAP_BIND_DN": "landfall@corp.example.org",
            "LANDFALL_LDAP_PASSWORD_FILE": str(secret),
            "LANDFALL_LDAP_BINDINGS": "/etc/landfall/bindings.toml",
        },
    ).ldap
    assert ldap.servers == ("ldaps://a.example.org", "ldaps://b.example.org:1636")
    assert ldap.password == Secret("hunter2")
    assert ldap.bindings == "/etc/landfall/bindings.toml"


def test_the_password_is_not_printed_and_may_not_be_given_twice(tmp_path: Path) -> None:
    settings = load(toml(tmp_path, WHOLE), {})
    assert "hunter2" not in repr(settings)
    secret = tmp_path / "password"
    secret.touch()
    path = toml(tmp_path, WHOLE)
    found = faults(path, LDAP_PASSWORD="hunter2", LDAP_PASSWORD_FILE=str(secret))
    assert found == {"LANDFALL_LDAP_PASSWORD_FILE": "and LANDFALL_LDAP_PASSWORD must not both be set"}
    assert set(faults(path, LDAP_PASSWORD_FILE=str(secret))) == {"ldap.password"}


def test_what_a_directory_needs_is_asked_for_only_when_there_is_one() -> None:
    needed = {f"ldap.{name}" for name in ("servers", "bind_dn", "password", "bindings")}
    found = faults(None, BACKEND="ldap")
    assert set(found) == needed
    assert set(found.values()) == {'must be set when backend is "ldap"'}
    assert set(faults(None, BACKEND="ldap", LDAP_SERVERS="", LDAP_POOL_SIZE="0")) == {*needed, "ldap.pool_size"}
    assert load(None, {"LANDFALL_LDAP_POOL_SIZE": "2", "LANDFALL_LDAP_CA_FILE": "/absent.pem"}).ldap.pool_size == 2


def test_a_file_of_certificates_must_be_there_when_there_is_a_directory(tmp_path: Path) -> None:
    path = toml(tmp_path, WHOLE)
    absent = tmp_path / "absent.pem"
    assert faults(path, LDAP_CA_FILE=str(absent)) == {"ldap.ca_file": f"{absent} is not there"}
    assert set(faults(path, LDAP_CA_FILE=str(absent), LDAP_DRIVER="openldap")) == {"ldap.ca_file", "ldap.driver"}


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    path = toml(
        tmp_path,
        """
        backend = "ldap"
        [ldap]
        servers = ["ldaps://a.example.org", "ldapi:///run/slapd", 5]
        tls = "yes"
        ca_file = ""
        bind_dn = "landfall"
        password = ""
        bindings = "edirectory"
        driver = "libldap"
        pool_size = 0
        page_size = "500"
        candidates = 1.5
        colour = "blue"
        """,
    )
    found = faults(path)
    assert set(found) == {
        "ldap.servers.1",
        "ldap.servers.2",
        "ldap.tls",
        "ldap.ca_file",
        "ldap.bind_dn",
        "ldap.password",
        "ldap.bindings",
        "ldap.driver",
        "ldap.pool_size",
        "ldap.page_size",
        "ldap.candidates",
        "ldap.colour",
    }
    assert found["ldap.bindings"] == "must be one of: openldap, 389ds, active-directory, or the path of a .toml file"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ldaps://ldap.example.org", ServerAddress(True, "ldap.example.org", 636)),
        ("LDAP://ldap.example.org/", ServerAddress(False, "ldap.example.org", 389)),
        ("ldap://127.0.0.1:1389", ServerAddress(False, "127.0.0.1", 1389)),
        ("ldaps://[2001:db8::1]:1636", ServerAddress(True, "2001:db8::1", 1636)),
    ],
)
def test_an_address_is_taken_apart(text: str, address: ServerAddress) -> None:
    assert server_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ldap.example.org",
        "https://ldap.example.org",
        "ldaps://",
        "ldaps://a b",
        "ldaps://ldap.example.org:0",
        "ldaps://ldap.example.org:65536",
        "ldaps://ldap.example.org:port",
        "ldaps://user@ldap.example.org",
        "ldaps://ldap.example.org/dc=example",
        "ldaps://[::g]",
        "ldaps://[1.2]",
        "ldaps://ldap.example.org\n",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must "):
        server_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "dc=org",
        "ou=People , dc=example,dc=org",
        r"cn=a\,b\2C+uid=x,o=Ünï",
        "2.5.4.3=x",
        "cn=#04024869",
        'cn=a\\"b',
        "cn=a=b",
    ],
)
def test_what_is_a_dn(text: str) -> None:
    assert is_dn(text)


@pytest.mark.parametrize(
    "text", ["", "people", "cn=", "cn=a,", ",cn=a", "cn=a,,dc=b", 'cn="a"', "cn=a\\", "cn=a\0", "c n=a"]
)
def test_what_is_no_dn(text: str) -> None:
    assert not is_dn(text)


def test_which_dn_is_below_another() -> None:
    assert is_below("ou=a, DC=Example,dc=org", "dc=example, dc=ORG")
    assert is_below("dc=org", "dc=org")
    assert is_below("cn=x+uid=y,dc=org", "cn=x + uid=y,dc=org".replace(" + ", "+ "))
    assert not is_below("dc=org", "ou=a,dc=org")
    assert not is_below("ou=a,dc=example,dc=org", "dc=example,dc=com")
    assert not is_below(r"cn=a\,dc=org", "dc=org")
    assert not is_below("cn=x+dc=org", "dc=org")


@pytest.mark.parametrize(
    "text",
    [
        "(cn=*)",
        "(cn=)",
        "(&(a=b)(|(c>=d)(!(e~=f\\2a*))))",
        "(userAccountControl:1.2.840.113556.1.4.803:=2)",
        "(:dn:2.4.6.8.10:=Dino)",
        "(cn;lang-en=x)",
        "(o=Ünï cöde)",
    ],
)
def test_what_is_a_filter(text: str) -> None:
    assert is_filter(text)


@pytest.mark.parametrize(
    "text", ["", "cn=*", "(cn)", "(=x)", "()", "(&)", "(!)", "(cn=a\\zz)", "(cn=(a))", "(a=b) ", "((a=b))"]
)
def test_what_is_no_filter(text: str) -> None:
    assert not is_filter(text)


def test_what_is_the_name_of_an_attribute() -> None:
    assert all(map(is_attribute, ("cn", "msDS-x", "userCertificate;binary", "2.5.4.3")))
    assert not any(map(is_attribute, ("", "c n", "1cn", "cn;", "cn=", "cn\n", "2.", "-a", "c_n")))
