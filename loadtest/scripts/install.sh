# shellcheck shell=sh
# Debian packages that a script needs, installed if that is possible here. To be sourced.

# In a subshell, whose trap takes the policy away again: it keeps Debian's packages from starting
# their services.
install_packages() (
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -y --no-install-recommends "$@" >&2 \
        || { apt-get update >&2 && apt-get install -y --no-install-recommends "$@" >&2; } \
        || echo "not installed: $*" >&2
)

# Installs those of these programs that are missing, unless NO_INSTALL is set or we may not. Each is
# in a package of its name.
install_missing() {
    wanted=
    for program in "$@"; do
        PATH=$PATH:/usr/sbin command -v "$program" >/dev/null || wanted="$wanted $program"
    done
    [ -z "${NO_INSTALL:-}" ] || return 0
    # shellcheck disable=SC2086 # one word per package
    if [ -n "$wanted" ] && [ "$(id -u)" = 0 ]; then install_packages $wanted; fi
}
