#!/bin/sh
# Install the databases and directory servers that the tests start, and leave the machine's own services as they are.
#
# usage: deploy/install-test-servers.sh [KIND...]      KIND: sqlite, postgresql, mariadb, openldap, 389ds, samba
#                                              (default: all); or slapd, for deploy/run-ldap.sh
#
# Nothing happens where the programs are there already. Otherwise Debian's packages are installed, as root or by a sudo
# that asks for no password; meanwhile a policy-rc.d keeps the packages from starting a service. Where neither is
# possible, the missing packages are named and the exit status is 1.
set -eu

kinds=$(echo "${*:-postgresql mariadb openldap 389ds samba}" | tr ',' ' ')
packages=
for kind in $kinds; do
    case $kind in
    sqlite) ;;
    postgresql)
        ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null ||
            packages="$packages postgresql"
        ;;
    mariadb)
        PATH=$PATH:/usr/sbin command -v mariadbd >/dev/null && command -v mariadb-install-db >/dev/null ||
            packages="$packages mariadb-server-core mariadb-client-core"
        ;;
    openldap)
        PATH=$PATH:/usr/sbin command -v slapd >/dev/null && command -v ldapmodify >/dev/null ||
            packages="$packages slapd ldap-utils"
        ;;
    slapd)
        # What deploy/run-ldap.sh needs.
        PATH=$PATH:/usr/sbin command -v slapd >/dev/null && command -v ldapsearch >/dev/null ||
            packages="$packages slapd ldap-utils"
        ;;
    389ds)
        PATH=$PATH:/usr/sbin command -v ns-slapd >/dev/null && command -v certutil >/dev/null ||
            packages="$packages 389-ds-base libnss3-tools"
        ;;
    samba)
        PATH=$PATH:/usr/sbin command -v samba >/dev/null && command -v gcc >/dev/null &&
            [ -d /usr/share/samba/setup/ad-schema ] && [ -d /usr/lib/python3/dist-packages/samba/provision ] &&
            ls /usr/lib/*/samba/ldb/samba_dsdb.so >/dev/null 2>&1 ||
            packages="$packages samba samba-ad-dc samba-ad-provision samba-dsdb-modules python3-samba gcc libc6-dev"
        ;;
    *)
        echo "$0: $kind is not one of sqlite, postgresql, mariadb, openldap, 389ds, samba" >&2
        exit 2
        ;;
    esac
    case $kind in
    openldap | 389ds | samba)
        # The tests of directories use python-ldap too, which has no wheels: these are there to compile it.
        command -v gcc >/dev/null && [ -e /usr/include/ldap.h ] && [ -e /usr/include/sasl/sasl.h ] &&
            ls /usr/include/python3*/Python.h >/dev/null 2>&1 ||
            packages="$packages gcc libc6-dev libldap-dev libsasl2-dev python3-dev"
        ;;
    esac
done
[ -n "$packages" ] || exit 0

if ! command -v apt-get >/dev/null; then
    root=unavailable
elif [ "$(id -u)" = 0 ]; then
    root=
elif sudo -n true 2>/dev/null; then
    root="sudo -n"
else
    root=unavailable
fi
if [ "$root" = unavailable ]; then
    cat >&2 <<MESSAGE
Servers are needed that are not installed, and this user may not install them. As root:

    apt-get install$packages

MESSAGE
    [ "$kinds" = slapd ] || echo "or test less: make test BACKENDS=sqlite" >&2
    exit 1
fi

policy=/usr/sbin/policy-rc.d
kept=$(mktemp -d)
restore() {
    if [ -e "$kept/policy-rc.d" ]; then
        $root cp -p "$kept/policy-rc.d" $policy
    else
        $root rm -f $policy
    fi
    rm -rf "$kept"
}
if [ -e $policy ]; then
    cp -p $policy "$kept/policy-rc.d"
fi
trap restore EXIT
trap 'exit 1' INT TERM
printf '#!/bin/sh\nexit 101\n' | $root tee $policy >/dev/null
$root chmod 755 $policy

$root apt-get update -q
# shellcheck disable=SC2086 # both are lists of words
$root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $packages
