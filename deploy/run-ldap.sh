#!/bin/sh
# Start a private OpenLDAP with sample people in it and the service in front of it; both stop together (Ctrl-C).
#
# usage: deploy/run-ldap.sh        LANDFALL_HOME (default ./var) and LANDFALL_BIND are honoured
#
# The directory is kept in ldap below LANDFALL_HOME. No root is needed where slapd and ldap-utils are installed.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
python=$root/.venv/bin/python
if [ ! -x "$python" ]; then
    echo "$0: $python is not there; \`make run-ldap\` makes it" >&2
    exit 1
fi
"$root/deploy/install-test-servers.sh" slapd
PYTHONPATH=$root exec "$python" -m deploy.ldap.sample
