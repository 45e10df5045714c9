"""A private 389 Directory Server for the tests."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

import ldap3

from tests.support.directory_base import SCHEMA, Directory, Tree
from tests.support.directory_tls import Identity
from tests.support.servers import HOST, ServerMissing, program

SUFFIX = "dc=example,dc=test"
SERVICE = f"cn=landfall,ou=services,{SUFFIX}"
PASSWORD = "invented-secret"
MANAGER = "cn=Directory Manager"
TEMPLATE = Path("/usr/share/dirsrv/data/template-dse.ldif")
COLLATIONS = Path("/etc/dirsrv/config/slapd-collations.conf")
DIRECTORIES = (
    "config",
    "config/schema",
    "lock",
    "tmp",
    "ldif",
    "bak",
    "run",
    "instance",
    "log",
    "db",
    "db/userroot",
    "home",
)

SETTINGS = {
    "nsslapd-security": "on",
    "nsslapd-listenhost": HOST,
    "nsslapd-securelistenhost": HOST,
    "nsslapd-allow-anonymous-access": "rootdse",
    "nsslapd-accesslog-logging-enabled": "off",
    # The usual scheme takes 10 ms of a processor for each bind and each new password.
    "passwordStorageScheme": "SSHA512",
}
STORAGE = {
    "nsslapd-cache-autosize": "0",
    "nsslapd-dbcachesize": "67108864",
    "nsslapd-import-cache-autosize": "0",
    "nsslapd-import-cachesize": "16777216",
    "nsslapd-db-durable-transaction": "off",
}
SWITCHED_ON = ("MemberOf Plugin", "referential integrity postoperation", "USN")
SWITCHED_OFF = ("7-bit check",)
# What a back end cannot do without, and what is searched for.
SYSTEM_INDEXES = {
    "entryrdn": "subtree",
    "parentid": "eq",
    "numsubordinates": "pres",
    "nsuniqueid": "eq",
    "ancestorid": "eq",
    "aci": "pres",
    "nstombstonecsn": "eq",
    "nscpentrydn": "eq",
    "entryusn": "eq",
    "objectclass": "eq",
}
INDEXES = {
    **dict.fromkeys(("uid", "mail", "cn", "sn", "displayName", "employeeNumber"), "pres eq sub"),
    **dict.fromkeys(("member", "uniqueMember", "memberOf", "manager", "landfallHeld", "landfallExternalId"), "eq"),
}
BACKEND = f"""\
dn: cn="{SUFFIX}",cn=mapping tree,cn=config
objectClass: top
objectClass: extensibleObject
objectClass: nsMappingTree
cn: {SUFFIX}
nsslapd-state: backend
nsslapd-backend: userroot

dn: cn=userroot,cn=ldbm database,cn=plugins,cn=config
objectClass: top
objectClass: extensibleObject
objectClass: nsBackendInstance
cn: userroot
nsslapd-suffix: {SUFFIX}
nsslapd-cachememsize: 268435456
nsslapd-directory: @BASE@/db/userroot

dn: cn=index,cn=userroot,cn=ldbm database,cn=plugins,cn=config
objectClass: top
objectClass: extensibleObject
cn: index

dn: cn=unique uid,cn=plugins,cn=config
objectClass: top
objectClass: nsSlapdPlugin
objectClass: extensibleObject
cn: unique uid
nsslapd-pluginPath: libattr-unique-plugin
nsslapd-pluginInitfunc: NSUniqueAttr_Init
nsslapd-pluginType: betxnpreoperation
nsslapd-pluginEnabled: on
uniqueness-attribute-name: uid
uniqueness-top-entry-oc: organizationalUnit
uniqueness-subtree-entries-oc: person
nsslapd-plugin-depends-on-type: database
nsslapd-pluginId: none
nsslapd-pluginVersion: none
nsslapd-pluginVendor: none
nsslapd-pluginDescription: none
"""
INDEX = """\
dn: cn={name},cn=index,cn=userroot,cn=ldbm database,cn=plugins,cn=config
objectClass: top
objectClass: nsIndex
cn: {name}
nsSystemIndex: {system}
{types}"""
USERDN = f'userdn="ldap:///{SERVICE}"'


# The service account's rights on what stands below a base, of which the base itself, a unit, is given none but the one
# to move entries there.
BELOW = '(targetfilter="(!(objectClass=organizationalUnit))")'
RIGHTS = (
    f'{BELOW}(targetattr!="userPassword || aci")(version 3.0; acl "entries"; allow (all) {USERDN};)',
    f'{BELOW}(targetattr="userPassword")(version 3.0; acl "passwords"; allow (add, write) {USERDN};)',
    f'(version 3.0; acl "moves"; allow (moddn) {USERDN};)',
)


def _unit(name: str, *rights: str) -> str:
    lines = "".join(f"aci: {right}\n" for right in rights)
    return f"\ndn: ou={name},{SUFFIX}\nobjectClass: organizationalUnit\nou: {name}\n{lines}"


ENTRIES = (
    f"dn: {SUFFIX}\nobjectClass: domain\ndc: example\n"
    f'aci: (targetattr!="userPassword")(version 3.0; acl "reads"; allow (read, search, compare) {USERDN};)\n'
    + _unit("people", *RIGHTS)
    + _unit("groups", *RIGHTS)
    + _unit("retired", *RIGHTS)
    + _unit("trees")
    + _unit("services")
    + f"\ndn: {SERVICE}\nobjectClass: applicationProcess\nobjectClass: simpleSecurityObject\ncn: landfall\n"
    f"userPassword: {PASSWORD}\n"
    "nsSizeLimit: -1\nnsTimeLimit: -1\nnsLookThroughLimit: -1\nnsIDListScanLimit: -1\n"
    "nsPagedSizeLimit: -1\nnsPagedLookThroughLimit: -1\nnsPagedIDListScanLimit: -1\n"
)


class DirectoryServer389(Directory):
    """A 389 Directory Server 2.3 with the schema of deploy/ldap, and the plug-ins for memberOf (of `member`; it adds
    nsMemberOf), referential integrity (at once), update sequence numbers and uniqueness of `uid` (below the nearest
    organizationalUnit, so in each tree by itself). Anonymous clients read the root DSE only. Raises ServerMissing."""

    name = "389ds"
    account = "dirsrv"
    kind = "389ds"
    suffix = SUFFIX
    people = f"ou=people,{SUFFIX}"
    groups = f"ou=groups,{SUFFIX}"
    admin_dn = MANAGER
    admin_password = PASSWORD
    service_dn = SERVICE
    service_password = PASSWORD

    def __init__(self, identity: Identity | None = None) -> None:
        self._program = program("ns-slapd")
        self._certutil = program("certutil")
        self._pk12util = program("pk12util")
        if not TEMPLATE.exists():
            raise ServerMissing(f"{TEMPLATE} is not there: install 389-ds-base")
        super().__init__(identity)

    def _initialise(self) -> None:
        super()._initialise()
        self._make(*DIRECTORIES)
        self._install_identity()
        self._copy(SCHEMA / "98landfall.ldif", self._base / "config/schema/98landfall.ldif")
        schema = "dn: cn=schema\nobjectClass: top\nobjectClass: ldapSubentry\nobjectClass: subschema\ncn: schema\n"
        self._write(self._base / "config/schema/99user.ldif", schema)
        # Only the members of the package's group may read it.
        readable = os.access(COLLATIONS, os.R_OK)
        if readable:
            self._copy(COLLATIONS, self._base / "config/slapd-collations.conf")
        self._write(self._base / "config/dse.ldif", self._configuration(with_collations=readable))
        self._write(self._base / "entries.ldif", ENTRIES)
        options = ("-n", "userroot", "-i", str(self._base / "entries.ldif"))
        self._run(self._program, "ldif2db", "-D", str(self._base / "config"), *options)

    def _command(self) -> Sequence[str]:
        return [self._program, "-D", str(self._base / "config"), "-i", str(self._base / "run/pid"), "-d", "0"]

    def _report(self) -> str:
        errors = self._base / "log/errors"
        return super()._report() + (errors.read_text(errors="replace")[-4000:] if errors.exists() else "")

    def _install_identity(self) -> None:
        """Make the NSS database anew, without a password."""
        store = self._base / "config"
        for name in ("cert9.db", "key4.db", "pkcs11.txt"):
            (store / name).unlink(missing_ok=True)
        bundle, issuer = self._base / "server.p12", self._base / "issuer.pem"
        self._write(bundle, self._identity.pkcs12("Server-Cert", "export"))
        self._write(issuer, self._identity.authority_pem)
        self._run(self._certutil, "-N", "-d", str(store), "--empty-password")
        self._run(self._pk12util, "-d", str(store), "-i", str(bundle), "-W", "export", "-K", "")
        self._run(self._certutil, "-A", "-d", str(store), "-n", "Authority", "-t", "CT,,", "-a", "-i", str(issuer))

    def _prepare(self, connection: ldap3.Connection, tree: Tree) -> None:
        for base in (tree.people, tree.groups, tree.retired):
            connection.modify(base, {"aci": [(ldap3.MODIFY_ADD, list(RIGHTS))]})

    def _configuration(self, *, with_collations: bool) -> str:
        """The packaged template with everything that the instance has besides."""
        base = self._base
        values = {
            "schema_dir": base / "config/schema",
            "lock_dir": base / "lock",
            "tmp_dir": base / "tmp",
            "cert_dir": base / "config",
            "config_dir": base / "config",
            "ldif_dir": base / "ldif",
            "bak_dir": base / "bak",
            "run_dir": base / "run",
            "inst_dir": base / "instance",
            "log_dir": base / "log",
            "db_dir": base / "db",
            "db_home_dir": base / "home",
            "db_lib": "bdb",
            "fqdn": "localhost",
            "ds_port": self.port,
            "ds_user": self._account(),
            "ds_suffix": SUFFIX,
            "rootdn": MANAGER,
            "ds_passwd": _hashed(PASSWORD),
            "ldapi_enabled": "off",
            "ldapi": base / "run/ldapi",
            "ldapi_autobind": "off",
        }
        text = re.sub(r"%(\w+)%", lambda match: str(values[match[1]]), TEMPLATE.read_text())
        entries = [entry.strip("\n") for entry in text.split("\n\n") if entry.strip()]
        if not with_collations:
            entries = [entry for entry in entries if not entry.startswith("dn: cn=Internationalization Plugin,")]
        changed = [_changed(entry) for entry in entries]
        changed[0] += f"\nnsslapd-securePort: {self.ldaps_port}"
        changed[0] += "".join(f"\n{name}: {value}" for name, value in SETTINGS.items())
        indexes = [_index(name, types, system="true") for name, types in SYSTEM_INDEXES.items()]
        indexes += [_index(name, types, system="false") for name, types in INDEXES.items()]
        return "\n\n".join([*changed, *BACKEND.replace("@BASE@", str(base)).strip().split("\n\n"), *indexes]) + "\n"


def _changed(entry: str) -> str:
    """An entry of the template as this server has it."""
    name = entry.partition(",")[0].removeprefix("dn: cn=")
    if name in SWITCHED_ON:
        entry = entry.replace("nsslapd-pluginenabled: off", "nsslapd-pluginenabled: on")
    elif name in SWITCHED_OFF:
        entry = entry.replace("nsslapd-pluginenabled: on", "nsslapd-pluginenabled: off")
    if name == "MemberOf Plugin":
        entry += "\nmemberOfAutoAddOC: nsMemberOf"
    elif name == "referential integrity postoperation":
        entry = re.sub("(?m)^referint-membership-attr: (owner|seeAlso)\n", "", entry + "\n")
        entry += "referint-membership-attr: manager"
    elif entry.startswith("dn: cn=config,cn=ldbm database,"):
        # Otherwise each instance takes a tenth of the machine's memory, and nearly half of it to load entries.
        entry += "".join(f"\n{name}: {value}" for name, value in STORAGE.items())
    return entry


def _index(name: str, types: str, *, system: str) -> str:
    lines = "\n".join(f"nsIndexType: {kind}" for kind in types.split())
    return INDEX.format(name=name, system=system, types=lines)


def _hashed(password: str) -> str:
    salt = os.urandom(16)
    return "{SSHA512}" + base64.b64encode(hashlib.sha512(password.encode() + salt).digest() + salt).decode()
