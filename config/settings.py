"""Every setting, its unit and its default; `config/examples/landfall.toml` describes them for operators."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from config.secret import Secret

SCIM_PATH = "/scim/v2"


@dataclass(frozen=True, slots=True)
class SqlSettings:
    """The database that holds users and groups when `backend` is `sql`.

    `url` None means `landfall.db` in the home directory; read `Settings.sql_url` for the address in force.
    """

    url: Secret | None = None
    pool_size: int = 10
    connect_timeout_seconds: int = 5
    statement_timeout_seconds: int = 15


@dataclass(frozen=True, slots=True)
class LdapSettings:
    """The directory that holds users and groups when `backend` is `ldap`.

    `servers` are the addresses of replicas of one directory in order of preference; `config.ldap_text.server_address`
    takes them apart. `tls` `required` makes an `ldap://` connection secure with StartTLS before anything is sent,
    `none` leaves it in the clear. `ca_file` None means the certificates that the system trusts. `bindings` is what
    `config.bindings.load_bindings` takes. `candidates` is the most entries that one search may have to test one by
    one because the directory can't test its filter exactly; `page_size` the entries asked for at a time.

    Servers, account, password and bindings are there whenever `backend` is `ldap`.
    """

    servers: tuple[str, ...] = ()
    tls: str = "required"
    ca_file: Path | None = None
    bind_dn: str = ""
    password: Secret = field(default_factory=lambda: Secret(""))
    bindings: str = ""
    driver: str = "ldap3"
    pool_size: int = 10
    connect_timeout_seconds: int = 5
    response_timeout_seconds: int = 15
    candidates: int = 10_000
    page_size: int = 500


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """The service's own database.

    `url` None means `control.db` in the home directory; read `Settings.control_url` for the address in force.
    """

    url: Secret | None = None


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """The record of every write.

    With `sync` an intent is on the disk before the store is touched. Records older than `keep_days` are removed once a
    day, 0 keeps them for ever. `syslog` is where each record is sent too: the path of a socket or `udp://HOST:PORT`.
    """

    sync: bool = False
    keep_days: int = 0
    syslog: str | None = None


@dataclass(frozen=True, slots=True)
class OAuthSettings:
    """Token issue (RFC 6749).

    `token_failures_per_minute` is how many failures one client id at one address may cause before it is
    throttled; `clock_skew_seconds` how far the clocks of two machines may differ; `signing_key_days` the age
    at which a signing key is replaced.
    """

    access_token_minutes: int = 60
    token_failures_per_minute: int = 20
    clock_skew_seconds: int = 30
    signing_key_days: int = 90


@dataclass(frozen=True, slots=True)
class LifecycleSettings:
    """What becomes of people and groups that come and go.

    `adoption` says what happens when a client wants to create or change a resource that was there before and is not
    managed: `match` (it is adopted), `approve` (when an operator has approved it) or `refuse`. With `unique_email` a
    new user may not have the work e-mail of a managed one. `delete` says what becomes of a deleted user: `retire` keeps
    it aside, locked and out of every group, and `remove` removes it; groups are removed.
    """

    adoption: str = "match"
    unique_email: bool = False
    delete: str = "retire"


@dataclass(frozen=True, slots=True)
class BrakesSettings:
    """How many deactivations, deletions and removals of members one integration may make within `window_minutes`; 0
    means any number. `share` in percent of the managed users: where that is more than the number, it is the limit.
    """

    window_minutes: int = 60
    deactivations: int = 100
    deletions: int = 100
    member_removals: int = 1000
    share: int = 5


@dataclass(frozen=True, slots=True)
class LimitsSettings:
    """What one request may ask for.

    `max_body_bytes` is in octets, `max_filter_length` in characters; `max_operations` counts the operations
    of one PATCH; `page_size` is the count of a list request that names none, `max_results` the most that one
    may name.
    """

    max_body_bytes: int = 10 * 1024 * 1024
    max_json_depth: int = 64
    max_filter_length: int = 8192
    max_filter_depth: int = 50
    max_filter_terms: int = 200
    max_operations: int = 1000
    page_size: int = 100
    max_results: int = 1000


@dataclass(frozen=True, slots=True)
class ProtectedSettings:
    """What no client may change.

    `users` and `groups` are SCIM filters (RFC 7644 section 3.4.2.2), None for none; `bases` the DNs of subtrees of a
    directory. With `hidden` clients don't see it either.
    """

    users: str | None = None
    groups: str | None = None
    bases: tuple[str, ...] = ()
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """The HTTP server. `pin_workers`: each worker stays on one processor, as long as there is one for each.
    `trusted_proxies`: addresses or networks whose X-Forwarded headers are believed."""

    workers: int = 2
    threads: int = 8
    pin_workers: bool = True
    timeout_seconds: int = 60
    graceful_timeout_seconds: int = 30
    trusted_proxies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """Figures for Prometheus. `token` is what a request for them must name as its bearer token; with None they are
    told to programs on this machine only.
    """

    enabled: bool = False
    token: Secret | None = None


@dataclass(frozen=True, slots=True)
class LogSettings:
    """`level`: debug, info, warning, error or critical. `format`: text for people or json for machines."""

    level: str = "info"
    format: str = "text"


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration; `Settings()` is what runs when nothing is set.

    `backend` is `sql`, `ldap`, or `package.module:factory` of a third party's back end. `public_url` is the
    base that clients see, without a trailing slash; None means `http://` and `bind`. `mode` is `provision`, or
    `rehearse`: then what clients write changes nothing but what they see.
    """

    home: Path = Path("var")
    bind: str = "127.0.0.1:8000"
    public_url: str | None = None
    backend: str = "sql"
    mode: str = "provision"
    sql: SqlSettings = field(default_factory=SqlSettings)
    ldap: LdapSettings = field(default_factory=LdapSettings)
    control: ControlSettings = field(default_factory=ControlSettings)
    audit: AuditSettings = field(default_factory=AuditSettings)
    oauth: OAuthSettings = field(default_factory=OAuthSettings)
    lifecycle: LifecycleSettings = field(default_factory=LifecycleSettings)
    brakes: BrakesSettings = field(default_factory=BrakesSettings)
    limits: LimitsSettings = field(default_factory=LimitsSettings)
    protected: ProtectedSettings = field(default_factory=ProtectedSettings)
    server: ServerSettings = field(default_factory=ServerSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    log: LogSettings = field(default_factory=LogSettings)

    @property
    def rehearses(self) -> bool:
        """Whether the store of users and groups is only read."""
        return self.mode == "rehearse"

    @property
    def issuer(self) -> str:
        """The external base URL without a trailing slash: the OAuth issuer (RFC 8414 section 2)."""
        return self.public_url or f"http://{self.bind}"

    @property
    def scim_url(self) -> str:
        """The SCIM base URL (RFC 7644 section 1.3), which an identity provider calls the tenant URL."""
        return self.issuer + SCIM_PATH

    @property
    def sql_url(self) -> Secret:
        """The SQLAlchemy address of the database of users and groups."""
        return self.sql.url or Secret(f"sqlite:///{self.home / 'landfall.db'}")

    @property
    def control_url(self) -> Secret:
        """The SQLAlchemy address of the service's own database."""
        return self.control.url or Secret(f"sqlite:///{self.home / 'control.db'}")
