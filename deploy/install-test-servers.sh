#!/bin/sh
# Install the database servers that the tests start, and leave the machine's own services as they are.
#
# usage: deploy/install-test-servers.sh [KIND...]      KIND: sqlite, postgresql, mariadb (default: all)
#
# Nothing happens where the programs are there already. Otherwise Debian's packages are installed, as root or by a sudo
# that asks for no password; meanwhile a policy-rc.d keeps the packages from starting a service. Where neither is
# possible, the missing packages are named and the exit status is 1.
set -eu

kinds=$(echo "${*:-postgresql mariadb}" | tr ',' ' ')
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
    *)
        echo "$0: $kind is not one of sqlite, postgresql, mariadb" >&2
        exit 2
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
The tests need database servers that are not installed, and this user may not install them. As root:

    apt-get install$packages

or test less: make test BACKENDS=sqlite
MESSAGE
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
