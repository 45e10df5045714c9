"""The configuration: its order of precedence, its strictness, that it tells every fault and no secret."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.loader import load
from config.secret import Secret
from config.settings import Settings

EXAMPLE = Path(__file__).parents[2] / "config" / "examples" / "landfall.toml"


def toml(directory: Path, text: str) -> Path:
    path = directory / "landfall.toml"
    path.write_text(text, encoding="utf-8")
    return path


def faults(path: Path | None, environ: Mapping[str, str]) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        load(path, environ)
    assert all(str(fault) in str(caught.value) for fault in caught.value.faults)
    return {fault.key: fault.message for fault in caught.value.faults}


def test_without_file_and_variables_the_defaults_hold() -> None:
    settings = load(None, {"PATH": "/bin"})
    assert settings == Settings()
    assert settings.scim_url == "http://127.0.0.1:8000/scim/v2"
    assert settings.sql_url.reveal() == "sqlite:///var/landfall.db"
    assert settings.control_url.reveal() == "sqlite:///var/control.db"


def test_the_example_is_the_defaults() -> None:
    assert load(EXAMPLE, {}) == Settings()


def test_the_example_names_every_key_and_its_remarks_are_valid_settings(tmp_path: Path) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    settings = load(toml(tmp_path, re.sub(r"^# (?=\w+ = )", "", text, flags=re.MULTILINE)), {})
    assert settings.public_url == "https://scim.example.org"
    assert settings.sql.url == Secret("postgresql+psycopg://landfall:change-me@db.example.org/landfall")
    assert settings.control.url == Secret("postgresql+psycopg://landfall:change-me@db.example.org/landfall_control")
    named = set(re.findall(r"^(?:# )?(\w+) = ", text, flags=re.MULTILINE))
    sections = set(re.findall(r"^\[(\w+)\]", text, flags=re.MULTILINE))
    assert sections | {"home", "bind", "public_url", "backend", "mode"} == set(Settings.__dataclass_fields__)
    for section in sections:
        assert set(getattr(settings, section).__dataclass_fields__) <= named


def test_variables_override_the_file_and_the_file_the_defaults(tmp_path: Path) -> None:
    path = toml(tmp_path, 'bind = "127.0.0.1:9000"\n[sql]\npool_size = 3\nconnect_timeout_seconds = 7\n')
    settings = load(path, {"LANDFALL_SQL_POOL_SIZE": "4"})
    assert (settings.bind, settings.sql.pool_size) == ("127.0.0.1:9000", 4)
    assert (settings.sql.connect_timeout_seconds, settings.sql.statement_timeout_seconds) == (7, 15)


def test_the_file_is_the_one_given_or_the_one_that_the_variable_names(tmp_path: Path) -> None:
    named = toml(tmp_path, 'backend = "acme.stores:open_store"')
    environ = {"LANDFALL_CONFIG": str(named)}
    assert load(None, environ).backend == "acme.stores:open_store"
    assert load(EXAMPLE, environ).backend == "sql"
    assert load(None, {"LANDFALL_CONFIG": ""}) == Settings()


def test_every_key_can_be_set_by_a_variable() -> None:
    settings = load(
        None,
        {
            "LANDFALL_HOME": "/srv/land fall",
            "LANDFALL_BIND": "[::1]:8443",
            "LANDFALL_PUBLIC_URL": "https://idm.example.org/provisioning/",
            "LANDFALL_BACKEND": "acme.stores:open_store",
            "LANDFALL_SERVER_TRUSTED_PROXIES": "10.0.0.0/8, ::1,",
            "LANDFALL_LOG_FORMAT": "json",
            "LANDFALL_OAUTH_ACCESS_TOKEN_MINUTES": "360",
        },
    )
    assert settings.home == Path("/srv/land fall")
    assert settings.sql_url.reveal() == "sqlite:////srv/land fall/landfall.db"
    assert settings.issuer == "https://idm.example.org/provisioning"
    assert settings.scim_url == "https://idm.example.org/provisioning/scim/v2"
    assert settings.server.trusted_proxies == ("10.0.0.0/8", "::1")
    assert (settings.backend, settings.log.format) == ("acme.stores:open_store", "json")
    assert settings.oauth.access_token_minutes == 360
    assert load(None, {"LANDFALL_BIND": "[::1]:8443"}).issuer == "http://[::1]:8443"


def test_a_secret_is_read_from_the_file_that_a_variable_names(tmp_path: Path) -> None:
    secret = tmp_path / "sql-url"
    secret.write_text("mariadb://scim:hunter2@db.example/idm\r\n", encoding="utf-8")
    settings = load(None, {"LANDFALL_SQL_URL_FILE": str(secret)})
    assert settings.sql_url.reveal() == "mysql+pymysql://scim:hunter2@db.example/idm?charset=utf8mb4"


def test_faults_of_secret_files(tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    found = faults(
        None,
        {
            "LANDFALL_SQL_URL_FILE": str(tmp_path / "absent"),
            "LANDFALL_CONTROL_URL_FILE": str(binary),
            "LANDFALL_BIND_FILE": "/etc/hostname",
        },
    )
    assert "cannot be read" in found["LANDFALL_SQL_URL_FILE"]
    assert "not UTF-8" in found["LANDFALL_CONTROL_URL_FILE"]
    assert "no such variable" in found["LANDFALL_BIND_FILE"]
    both = faults(None, {"LANDFALL_SQL_URL": "sqlite:///x.db", "LANDFALL_SQL_URL_FILE": str(binary)})
    assert both == {"LANDFALL_SQL_URL_FILE": "and LANDFALL_SQL_URL must not both be set"}


def test_all_faults_of_file_and_variables_are_reported_together(tmp_path: Path) -> None:
    path = toml(
        tmp_path,
        """
        home = ""
        bind = 8000
        colour = "blue"
        log = "info"
        [sql]
        pool_size = "10"
        pol_size = 10
        url = 5
        [limits]
        page_size = 2000
        max_json_depth = true
        max_filter_length = 8192.0
        [server]
        trusted_proxies = ["10.0.0.1", "10.0.0.1/8", 3]
        [oauth]
        access_token_minutes = 30
        """,
    )
    found = faults(path, {"LANDFALL_SERVER_THREADS": "many", "LANDFALL_COLOR": "x", "LANDFALL_LOG_LEVEL": "debug"})
    assert set(found) == {
        "home",
        "bind",
        "colour",
        "log",
        "sql.pool_size",
        "sql.pol_size",
        "sql.url",
        "limits.page_size",
        "limits.max_json_depth",
        "limits.max_filter_length",
        "server.trusted_proxies.1",
        "server.trusted_proxies.2",
        "server.threads",
        "oauth.access_token_minutes",
        "LANDFALL_COLOR",
    }
    assert found["oauth.access_token_minutes"] == "must be 60 to 360"
    assert found["colour"] == "there is no such key"


def test_a_variable_mends_the_value_of_the_file(tmp_path: Path) -> None:
    assert load(toml(tmp_path, "bind = 8000"), {"LANDFALL_BIND": "localhost:80"}).bind == "localhost:80"


@pytest.mark.parametrize(
    "bind",
    [
        "",
        "8000",
        ":8000",
        "127.0.0.1",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "::1:8000",
        "[::g]:1",
        "[1.2]:1",
        "a b:1",
    ],
)
def test_what_is_no_host_and_port_is_refused(bind: str) -> None:
    assert set(faults(None, {"LANDFALL_BIND": bind})) == {"bind"}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "scim.example.org",
        "ftp://scim.example.org",
        "https://",
        "https:///x",
        "https://scim.example.org?x=1",
        "https://scim.example.org/#x",
        "https://user:word@scim.example.org",
        "https://scim.example.org:port",
        "https://scim.example.org:99999",
        "https://scim example.org",
        "https://scim.example.org/\r\nX: y",
    ],
)
def test_what_is_no_base_url_is_refused(url: str) -> None:
    assert set(faults(None, {"LANDFALL_PUBLIC_URL": url})) == {"public_url"}


@pytest.mark.parametrize("address", ["/dev/log", "udp://log.example", "udp://10.0.0.7:1514", "udp://[::1]:514"])
def test_where_a_syslog_server_may_be(address: str) -> None:
    assert load(None, {"LANDFALL_AUDIT_SYSLOG": address}).audit.syslog == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "log",
        "dev/log",
        "tcp://log.example",
        "udp://",
        "udp://log.example:99999",
        "udp://a b",
        "/a\nb",
        # No host can have a part of its name that is empty or longer than 63 characters (RFC 1035 section 2.3.4).
        "udp://log..example:514",
        "udp://.example",
        f"udp://{'x' * 64}.example",
    ],
)
def test_what_is_no_syslog_server_is_refused(address: str) -> None:
    assert set(faults(None, {"LANDFALL_AUDIT_SYSLOG": address})) == {"audit.syslog"}


def test_settings_of_the_audit() -> None:
    audit = load(None, {"LANDFALL_AUDIT_SYNC": "true", "LANDFALL_AUDIT_KEEP_DAYS": "365"}).audit
    assert (audit.sync, audit.keep_days) == (True, 365)
    assert set(faults(None, {"LANDFALL_AUDIT_SYNC": "yes", "LANDFALL_AUDIT_KEEP_DAYS": "-1"})) == {
        "audit.sync",
        "audit.keep_days",
    }


@pytest.mark.parametrize("backend", ["", "SQL", "sqlite", "acme.stores", "acme.stores:", ":open", "a-b:open", "sql\n"])
def test_what_is_no_back_end_is_refused(backend: str) -> None:
    assert set(faults(None, {"LANDFALL_BACKEND": backend})) == {"backend"}


def test_a_file_that_cannot_be_read_is_reported_with_the_other_faults(tmp_path: Path) -> None:
    absent = tmp_path / "absent.toml"
    found = faults(absent, {"LANDFALL_BIND": "nowhere"})
    assert set(found) == {str(absent), "bind"}
    assert "not TOML" in faults(toml(tmp_path, "bind = "), {})[str(tmp_path / "landfall.toml")]
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b'bind = "\xff"')
    assert "not UTF-8" in faults(binary, {})[str(binary)]


def test_variables_that_a_container_platform_sets_are_not_ours() -> None:
    environ = {
        "LANDFALL_SERVICE_HOST": "10.0.0.7",
        "LANDFALL_SERVICE_PORT_HTTP": "8000",
        "LANDFALL_PORT": "tcp://10.0.0.7:8000",
        "LANDFALL_PORT_8000_TCP_ADDR": "10.0.0.7",
    }
    assert load(None, environ) == Settings()


def test_no_secret_is_printed() -> None:
    settings = load(None, {"LANDFALL_SQL_URL": "postgresql://scim:hunter2@db.example/idm"})
    secret = settings.sql_url
    for text in (repr(settings), str(settings), f"{secret}", f"{secret!r}", str([secret])):
        assert "hunter2" not in text
    wrong = {"LANDFALL_SQL_URL": "oracle://scim:hunter2@db.example/idm"}
    assert "hunter2" not in str(faults(None, wrong))
    with pytest.raises(TypeError):
        pickle.dumps(secret)


def test_secrets_compare_by_their_text() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("\udc80")}) == 2
