# shellcheck shell=bash
# The life of one peer: installed once, started on loopback, loaded, killed, cut off from its target, stopped. Sourced by each peer's script, which
# sets `peer` and `version` (and `gently`, options of fate.py, where its usual load is too much) and has these functions:
#
#   install          brings it into "$cache", in the version it names
#   start VARIANT    starts it with "$data" as its folder, and leaves its process id in `process`
#
# What may be set from outside:
#
#   LOCKGATE         the binary whose `bench load` is the load generator; by default this workspace's release build
#   LOCKGATE_PEERS   where peers are installed, outside of the repository
#   PARTS            which parts to run, of "load kill outage"
#   VARIANTS         which variants to run; by default all
#   SECONDS_OF_LOAD  how long the load lasts, after a warm-up of a fifth of it
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lockgate=${LOCKGATE:-$here/../../target/release/lockgate}
cache=${LOCKGATE_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/lockgate-peers}
parts=${PARTS:-load kill outage}
variants=${VARIANTS:-}
seconds=${SECONDS_OF_LOAD:-15}

# Everything is on loopback.
port=18080
target=127.0.0.1:18090
export SHOP_SECRET=peer-secret TARGET_URL=http://$target/invoices PEER_PORT=$port

mkdir -p "$cache"
peer='' version='' process='' gently=()
# Data folders: on a real disk, or what is said of syncing to it means nothing.
work=$(mktemp -d "${TMPDIR:-/tmp}/lockgate-peer-XXXXXX")
trap 'stop; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# Ends what was started, and what that started.
stop() {
    [ -n "$process" ] || return 0
    kill -KILL -- "-$process" 2>/dev/null || true
    wait "$process" 2>/dev/null || true
    process=
}

# background COMMAND…: in a process group of its own, its output in a file.
background() {
    setsid "$@" >>"$work/log" 2>&1 &
    process=$!
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }

until_it_listens() {
    for _ in $(seq 600); do
        if listens; then return 0; fi
        if ! kill -0 "$process" 2>/dev/null; then break; fi
        sleep 0.2
    done
    printf '%s does not listen on %s. The end of its log:\n' "$peer" "$port" >&2
    tail -n 20 "$work/log" >&2
    return 1
}

begin() {
    printf '%s %s, %s: %s\n' "$peer" "$version" "$1" "$2" >&2
    if listens; then
        printf 'something listens on 127.0.0.1:%s already: end it first\n' "$port" >&2
        return 1
    fi
    data=$work/$1-$2
    mkdir -p "$data"
    start "$1"
    until_it_listens
}

# fate VARIANT kill|outage: its line of JSON is in "$work/fate". Not to be called in a subshell, which would keep the new process for itself.
fate() {
    local pid=()
    [ "$2" = outage ] || pid=(--pid "$process")
    python3 "$here/fate.py" "$2" --url "$url" --target "$target" --secret "$SHOP_SECRET" "${pid[@]}" "${@:3}" >"$work/fate" &
    local telling=$!
    if [ "$2" = kill ]; then
        wait "$process" 2>/dev/null || true
        stop
        start "$1"
        until_it_listens
    fi
    wait "$telling"
}

# compare VARIANT PATH ANSWERS DURABILITY: everything about one variant, as one line of JSON.
compare() {
    local url=http://127.0.0.1:$port$2 load=null kill=null outage=null
    [[ -z $variants || " $variants " = *" $1 "* ]] || return 0
    for part in $parts; do
        begin "$1" "$part"
        case $part in
            load)
                load=$("$lockgate" bench load --url "$url" --target "$target" --secret "$SHOP_SECRET" --seconds "$seconds" --json | tr -d "\n")
                ;;
            kill)
                fate "$1" kill "${gently[@]}"
                kill=$(<"$work/fate")
                ;;
            outage)
                fate "$1" outage --orders 64 "${gently[@]}"
                outage=$(<"$work/fate")
                ;;
        esac
        stop
    done
    printf '{"peer":"%s","version":"%s","file_system":"%s","variant":"%s","answers":"%s","durability":"%s","load":%s,"kill":%s,"outage":%s}\n' \
        "$peer" "$version" "$(stat -f -c %T "$work")" "$1" "$3" "$4" "$load" "$kill" "$outage"
}
