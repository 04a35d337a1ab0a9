#!/usr/bin/env bash
# Redpanda Connect: its engine, benthos, from the Go module proxy, with the engine's own components for HTTP and mapping. Its flow verifies the
# signature, maps, and posts, at most 64 at once, which is its default. It has no setting for connections: Go's own keeps two that are idle.
# shellcheck source=tests/peers/peer.sh
. "$(dirname "$0")/peer.sh"
peer=redpanda-connect version=benthos-4.77.0

install() {
    local folder=$cache/$peer
    cmp -s "$here/redpanda-connect/go.sum" "$folder/go.sum" && [ -x "$folder/engine" ] && return 0
    printf 'building %s\n' "$version" >&2
    mkdir -p "$folder"
    cp "$here/redpanda-connect/main.go" "$here/redpanda-connect/go.mod" "$folder"
    cp "$here/redpanda-connect/go.sum" "$folder/go.sum.new"
    (cd "$folder" && cp go.sum.new go.sum && nice -n 15 go build -o engine .) >&2
}

start() {
    local buffer='none: {}'
    [ "$1" = answers-after ] || buffer='memory: {}'
    background "$cache/$peer/engine" run --set "buffer={$buffer}" "$here/redpanda-connect/flow.yaml"
}

install
compare answers-after /orders \
    "202 when the target has answered" "nothing is kept: what was not answered is the sender's to send again"
compare answers-before /orders \
    "202 when the order is in the buffer" "in memory, tried until the target answers"
