#!/usr/bin/env bash
# Lockgate itself, through the same load and the same fates: `lockgate run` on a copy of examples/order-to-invoice.
# shellcheck source=tests/peers/peer.sh
. "$(dirname "$0")/peer.sh"
peer=lockgate version=$("$lockgate" --version | cut -d' ' -f2)

start() {
    local example=$here/../../examples/order-to-invoice workspace=$data/workspace
    if [ ! -d "$workspace" ]; then
        cp -r "$example" "$workspace"
        sed -i "s|\"../../plugins\"|\"$(cd "$example/../../plugins" && pwd)\"|" "$workspace/lockgate.toml"
        sed -i "s|^url = .*|url = \"${TARGET_URL%/invoices}\"|" "$workspace/environments/dev.toml"
        # As many at once as the engine of Redpanda Connect sends by default.
        printf '\n[delivery]\nconcurrency = 64\n' >>"$workspace/integrations/order-to-invoice.toml"
    fi
    background "$lockgate" run "$workspace" --env dev --ingress "127.0.0.1:$port" --admin 127.0.0.1:0 --data "$data/data"
}

compare answers-when-stored /orders "202 when the order is on disk" "synced to disk before the 202, tried until the target answers"
