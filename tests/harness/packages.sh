# shellcheck shell=bash
# Installs what tests/packages.txt names for the given groups, and only what is missing.  Sourced by the run-* scripts.
#
#   mih_packages GROUP...
#
# Packages must not start servers of their own: while apt runs, /usr/sbin/policy-rc.d forbids it, and is removed again when this script made it.

mih_packages() {
    local top missing=() name groups group
    top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
    while read -r name groups; do
        case $name in '' | '#'*) continue ;; esac
        for group in "$@"; do
            case " $groups " in *" $group "*) missing+=("$name") && break ;; esac
        done
    done <"$top/tests/packages.txt"
    missing+=(python3)
    mapfile -t missing < <(mih_not_installed "${missing[@]}")
    [ ${#missing[@]} -eq 0 ] && return 0
    if [ "$(id -u)" -ne 0 ]; then
        echo "These packages are missing, and only root can install them: ${missing[*]}" >&2
        return 1
    fi
    echo "Installing ${#missing[@]} packages: ${missing[*]}" >&2
    # The lock lets two scripts run at once: the second finds everything installed.
    (flock 9 && mapfile -t missing < <(mih_not_installed "${missing[@]}") && mih_apt "${missing[@]}") 9>/run/lock/mih-packages.lock
}

# Prints those of the packages that are not installed; another package that provides the name counts too.
mih_not_installed() {
    local name installed
    # shellcheck disable=SC2016  # the format's ${...} are dpkg-query's
    installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}, ${Provides},\n' | sed -nE 's/ \([^)]*\)//g; s/^ii +//p')
    for name in "$@"; do
        grep -qE "(^| )$name," <<<"$installed" || printf '%s\n' "$name"
    done
}

mih_apt() {
    [ $# -eq 0 ] && return 0
    local policy=/usr/sbin/policy-rc.d log result=0 made=
    log=$(mktemp)
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy && made=1
    fi
    # shellcheck disable=SC2064  # the values of now
    trap "rm -f '$log'; [ -z '$made' ] || rm -f '$policy'" EXIT
    {
        apt-get -q update &&
            DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=600 \
                -o Dpkg::Options::=--force-confold install "$@"
    } >"$log" 2>&1 9>&- </dev/null || result=$?
    [ $result -eq 0 ] || { echo "apt-get failed:" && tail -n 30 "$log"; } >&2
    return $result
}
