"""A private OpenLDAP for the tests."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import ldap3

from tests.support.directory_base import ANSWER_SECONDS, SCHEMA, Directory, Tree
from tests.support.directory_tls import Identity
from tests.support.servers import HOST, program

SUFFIX = "dc=example,dc=test"
SERVICE = f"cn=landfall,ou=services,{SUFFIX}"
PASSWORD = "invented"
SCHEMAS = Path("/etc/ldap/schema")
MODULES = Path("/usr/lib/ldap")
UNIQUE = "olcOverlay={2}unique,olcDatabase={1}mdb,cn=config"

# A rule for what stands below a base, and one for the base itself, where the account may only add and remove.
BASES = rf"ou=(people|groups|retired)(,ou=t[0-9]+,ou=trees)?,{SUFFIX}"
CONFIGURATION = f"""\
dn: cn=config
objectClass: olcGlobal
cn: config
olcPidFile: @BASE@/slapd.pid
olcArgsFile: @BASE@/slapd.args
olcLogLevel: none
olcThreads: 4
olcTLSCACertificateFile: @BASE@/authority.pem
olcTLSCertificateFile: @BASE@/certificate.pem
olcTLSCertificateKeyFile: @BASE@/key.pem
olcTLSVerifyClient: never

dn: cn=module{{0}},cn=config
objectClass: olcModuleList
cn: module{{0}}
olcModulePath: {MODULES}
olcModuleLoad: back_mdb
olcModuleLoad: ppolicy
olcModuleLoad: refint
olcModuleLoad: unique
olcModuleLoad: sssvlv

dn: cn=schema,cn=config
objectClass: olcSchemaConfig
cn: schema

include: file://{SCHEMAS}/core.ldif

include: file://{SCHEMAS}/cosine.ldif

include: file://{SCHEMAS}/inetorgperson.ldif

include: file://{SCHEMAS}/nis.ldif

include: file://@BASE@/landfall.ldif

dn: olcDatabase={{-1}}frontend,cn=config
objectClass: olcDatabaseConfig
objectClass: olcFrontendConfig
olcDatabase: {{-1}}frontend
olcPasswordHash: {{SSHA}}
olcSortVals: member uniqueMember

dn: olcDatabase={{0}}config,cn=config
objectClass: olcDatabaseConfig
olcDatabase: {{0}}config
olcRootDN: cn=config
olcRootPW: {PASSWORD}

dn: olcDatabase={{1}}mdb,cn=config
objectClass: olcDatabaseConfig
objectClass: olcMdbConfig
olcDatabase: {{1}}mdb
olcSuffix: {SUFFIX}
olcRootDN: cn=admin,{SUFFIX}
olcRootPW: {PASSWORD}
olcDbDirectory: @BASE@/data
olcDbMaxSize: 4294967296
olcDbNoSync: TRUE
olcDbIndex: objectClass,entryUUID,entryCSN eq
olcDbIndex: uid,mail,cn,sn,displayName,employeeNumber pres,eq,sub
olcDbIndex: member,uniqueMember,manager,landfallHeld,landfallExternalId eq
olcLimits: dn.exact="{SERVICE}" size=unlimited size.pr=unlimited size.prtotal=unlimited time=unlimited
olcAccess: to attrs=userPassword by dn.exact="{SERVICE}" =w by self =xw by anonymous auth by * none
olcAccess: to dn.regex="^.+,{BASES}$" by dn.exact="{SERVICE}" write by anonymous auth by * none
olcAccess: to dn.regex="^{BASES}$" attrs=children by dn.exact="{SERVICE}" write by * none
olcAccess: to * by dn.exact="{SERVICE}" read by anonymous auth by * none

dn: olcOverlay={{0}}ppolicy,olcDatabase={{1}}mdb,cn=config
objectClass: olcOverlayConfig
objectClass: olcPPolicyConfig
olcOverlay: {{0}}ppolicy
olcPPolicyDefault: cn=default,ou=policies,{SUFFIX}
olcPPolicyHashCleartext: TRUE
olcPPolicyUseLockout: TRUE

dn: olcOverlay={{1}}refint,olcDatabase={{1}}mdb,cn=config
objectClass: olcOverlayConfig
objectClass: olcRefintConfig
olcOverlay: {{1}}refint
olcRefintAttribute: member uniqueMember manager
olcRefintNothing: cn=nobody,{SUFFIX}

dn: {UNIQUE}
objectClass: olcOverlayConfig
objectClass: olcUniqueConfig
olcOverlay: {{2}}unique
olcUniqueURI: ldap:///ou=people,{SUFFIX}?uid?sub

dn: olcOverlay={{3}}sssvlv,olcDatabase={{1}}mdb,cn=config
objectClass: olcOverlayConfig
objectClass: olcSssVlvConfig
olcOverlay: {{3}}sssvlv
olcSssVlvMax: 100
olcSssVlvMaxPerConn: 10
"""
ENTRIES = f"""\
dn: {SUFFIX}
objectClass: domain
dc: example

dn: ou=people,{SUFFIX}
objectClass: organizationalUnit
ou: people

dn: ou=groups,{SUFFIX}
objectClass: organizationalUnit
ou: groups

dn: ou=retired,{SUFFIX}
objectClass: organizationalUnit
ou: retired

dn: ou=trees,{SUFFIX}
objectClass: organizationalUnit
ou: trees

dn: ou=services,{SUFFIX}
objectClass: organizationalUnit
ou: services

dn: {SERVICE}
objectClass: applicationProcess
objectClass: simpleSecurityObject
cn: landfall
userPassword: {PASSWORD}

dn: ou=policies,{SUFFIX}
objectClass: organizationalUnit
ou: policies

dn: cn=default,ou=policies,{SUFFIX}
objectClass: applicationProcess
objectClass: pwdPolicy
cn: default
pwdAttribute: userPassword
pwdLockout: TRUE
pwdMaxFailure: 5
pwdLockoutDuration: 900
pwdMinLength: 4
pwdCheckQuality: 1
"""


class OpenLDAP(Directory):
    """An OpenLDAP 2.5 with the schema of deploy/ldap, and the overlays ppolicy (whose default policy locks), refint,
    sssvlv and unique (`uid`, below the users' base of each tree by itself); memberof is not there, and members are
    kept sorted. Users are inetOrgPerson; posixGroup and groupOfUniqueNames are known. Raises ServerMissing."""

    name = "openldap"
    account = "openldap"
    kind = "openldap"
    suffix = SUFFIX
    people = f"ou=people,{SUFFIX}"
    groups = f"ou=groups,{SUFFIX}"
    admin_dn = f"cn=admin,{SUFFIX}"
    admin_password = PASSWORD
    service_dn = SERVICE
    service_password = PASSWORD

    def __init__(self, identity: Identity | None = None) -> None:
        self._program = program("slapd")
        super().__init__(identity)

    def _initialise(self) -> None:
        super()._initialise()
        self._install_identity()
        self._make("configuration", "data")
        self._copy(SCHEMA / "landfall.ldif", self._base / "landfall.ldif")
        self._load(CONFIGURATION.replace("@BASE@", str(self._base)), "-n", "0")
        self._load(ENTRIES, "-b", SUFFIX)

    def _load(self, text: str, *database: str) -> None:
        """Write entries straight into a database of the server, which does not run."""
        file = self._base / "entries.ldif"
        self._write(file, text)
        self._run(self._program, "-Ta", "-q", "-F", str(self._base / "configuration"), *database, "-l", str(file))

    def _command(self) -> Sequence[str]:
        addresses = f"ldap://{HOST}:{self.port} ldaps://{HOST}:{self.ldaps_port}"
        return [self._program, "-d", "0", "-h", addresses, "-F", str(self._base / "configuration")]

    def _install_identity(self) -> None:
        self._write(self._base / "key.pem", self._identity.key_pem)
        self._write(self._base / "certificate.pem", self._identity.certificate_pem)

    def _prepare(self, connection: ldap3.Connection, tree: Tree) -> None:
        with self.session("cn=config", PASSWORD) as configuration:
            address = f"ldap:///{tree.people}?uid?sub"
            configuration.modify(UNIQUE, {"olcUniqueURI": [(ldap3.MODIFY_ADD, [address])]})

    def _settle(self, connection: ldap3.Connection, tree: Tree) -> None:
        """refint takes references out after the answer, one removed entry after the other: until it has, it would take
        them out of a group that names a new entry of the same DN. So one more is removed, and waited for."""
        root = tree.people.partition(",")[2]
        last, group = f"cn=last,{root}", f"cn=naming the last,{root}"
        connection.add(last, "applicationProcess")
        connection.add(group, "groupOfNames", {"member": [last]})
        connection.delete(last)
        deadline = time.monotonic() + ANSWER_SECONDS
        while connection.compare(group, "member", last):
            if time.monotonic() > deadline:
                raise RuntimeError("refint did not do its work")
            time.sleep(0.001)
        connection.delete(group)
