"""Makes the data of a domain controller: run by the distribution's Python, which has Samba's modules.

usage: python3 samba_provision.py DIRECTORY ACCOUNT REALM ADMINISTRATOR-PASSWORD SERVICE-NAME SERVICE-PASSWORD

Afterwards the domain has the units people, groups, retired and trees, and a service account that may create users below
people and retired and groups below groups, change and delete those, and reads what each account may read.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from samba.auth import system_session  # type: ignore[import-not-found]
from samba.dsdb import DS_DOMAIN_FUNCTION_2008_R2  # type: ignore[import-not-found]
from samba.param import LoadParm  # type: ignore[import-not-found]
from samba.provision import FILL_FULL, provision  # type: ignore[import-not-found]
from samba.sd_utils import SDUtils  # type: ignore[import-not-found]

# schemaIDGUID of the classes
USER = "bf967aba-0de6-11d0-a285-00aa003049e2"
GROUP = "bf967a9c-0de6-11d0-a285-00aa003049e2"
UNITS = {"people": USER, "groups": GROUP, "retired": USER, "trees": None}


def main(directory: str, account: str, realm: str, admin_password: str, service: str, password: str) -> None:
    """Write the data into the directories that the file etc/smb.conf below the given one names."""
    logging.basicConfig(level=logging.WARNING)
    parameters = LoadParm()
    parameters.load(str(Path(directory, "etc/smb.conf")))
    made = provision(
        logging.getLogger(),
        system_session(),
        targetdir=directory,
        samdb_fill=FILL_FULL,
        realm=realm,
        domain=realm.partition(".")[0],
        hostname="dc1",
        hostip="127.0.0.1",
        adminpass=admin_password,
        dns_backend="NONE",
        root=account,
        nobody=account,
        users=None,
        serverrole="domain controller",
        dom_for_fun_level=DS_DOMAIN_FUNCTION_2008_R2,
        lp=parameters,
        use_rfc2307=True,
        # Only root may set these.
        skip_sysvolacl=True,
    )
    database = made.samdb
    database.newuser(service, password)
    database.setexpiry(f"(sAMAccountName={service})", 0, no_expiry_req=True)
    descriptors = SDUtils(database)
    sid = descriptors.get_object_sid(f"CN={service},CN=Users,{database.domain_dn()}")
    for unit, guid in UNITS.items():
        dn = f"OU={unit},{database.domain_dn()}"
        database.add({"dn": dn, "objectClass": "organizationalUnit"})
        if guid:
            # Create and delete such entries below the unit, and all rights on those; none on the unit.
            descriptors.dacl_add_ace(dn, f"(OA;CI;CCDC;{guid};;{sid})(OA;CIIO;GA;;{guid};{sid})")


if __name__ == "__main__":
    main(*sys.argv[1:])
