#!/usr/bin/env bash
# Node-RED, from npm, with the runtime that npm offers. Its flow verifies the signature, maps, and posts over kept connections.
# shellcheck source=tests/peers/peer.sh
. "$(dirname "$0")/peer.sh"
# shellcheck source=tests/peers/node.sh
. "$here/node.sh"
peer=node-red version=5.0.7

install() {
    install_node
    from_npm "$peer@$version"
}

start() {
    cp "$here/node-red/settings.js" "$here/node-red/flow.json" "$data"
    background node "$cache/$peer/node_modules/node-red/red.js" --userDir "$data" --settings "$data/settings.js"
}

install
compare answers-after /answers-after \
    "202 when the target has answered" "nothing is kept: what was not answered is the sender's to send again"
compare answers-before /answers-before \
    "202 when the order is mapped" "in memory, never tried again"
