#!/usr/bin/env bash
# n8n, from npm, one process with SQLite, which is what it is without further services. Its flow verifies the signature, maps, and posts.
#
# Of what n8n advises for production, PostgreSQL and queue mode need services that are not here. The tuned variant does not save executions that went
# well, and evaluates expressions without a sandbox of their own, as n8n did before.
# shellcheck source=tests/peers/peer.sh
. "$(dirname "$0")/peer.sh"
# shellcheck source=tests/peers/node.sh
. "$here/node.sh"
peer=n8n version=2.41.1
# It gives up on its own database where it is asked more at once.
gently=(--connections 16 --after 200)

# Nothing outside is asked while it runs.
export N8N_DIAGNOSTICS_ENABLED=false N8N_VERSION_NOTIFICATIONS_ENABLED=false N8N_TEMPLATES_ENABLED=false N8N_PERSONALIZATION_ENABLED=false \
    N8N_LICENSE_AUTO_RENEW_ENABLED=false N8N_COMMUNITY_PACKAGES_ENABLED=false N8N_DYNAMIC_BANNERS_ENABLED=false N8N_HIRING_BANNER_ENABLED=false N8N_DISABLED_MODULES=mcp-registry
export N8N_LISTEN_ADDRESS=127.0.0.1 N8N_PORT=$port N8N_LOG_LEVEL=warn N8N_SECURE_COOKIE=false

install() {
    install_node
    # A newer linkedom, which only AI nodes use, depends on a package that npm does not have.
    local overrides='{"linkedom":"0.18.12"}'
    # Scripts of packages fetch binaries from elsewhere. The one that is needed is compiled.
    from_npm "$peer@$version" "$peer" --ignore-scripts
    [ -e "$cache/n8n/node_modules/sqlite3/build/Release/node_sqlite3.node" ] ||
        (cd "$cache/n8n" && nice -n 15 npm rebuild sqlite3 --build-from-source >&2)
}

n8n() {
    N8N_USER_FOLDER=$prepared node "$cache/n8n/node_modules/n8n/bin/n8n" "$@" >>"$work/log" 2>&1
}

# A data folder with the flow in it, made once: n8n takes its time for the first start on a new one.
prepare() {
    prepared=$cache/n8n/prepared
    sed "s|@SECRET@|$SHOP_SECRET|; s|@TARGET@|$TARGET_URL|" "$here/n8n/flow.json" >"$work/flow.json"
    ! cmp -s "$work/flow.json" "$prepared/flow.json" || return 0
    rm -rf "$prepared"
    mkdir -p "$prepared"
    n8n import:workflow --input="$work/flow.json"
    n8n publish:workflow --id=orderToInvoice01
    cp "$work/flow.json" "$prepared"
}

start() {
    [ -d "$data/.n8n" ] || cp -r "$prepared/.n8n" "$data"
    local save=all engine=vm
    [ "$1" != answers-after-tuned ] || save=none engine=legacy
    background env "N8N_USER_FOLDER=$data" "EXECUTIONS_DATA_SAVE_ON_SUCCESS=$save" "N8N_EXPRESSION_ENGINE=$engine" \
        node "$cache/n8n/node_modules/n8n/bin/n8n" start
    until_active
}

# It listens long before its workflows are active: until then, it knows no such webhook.
until_active() {
    local status
    for _ in $(seq 600); do
        status=$(curl -s -o /dev/null -w '%{http_code}' -X POST "http://127.0.0.1:$port/webhook/answers-after" || true)
        [ "$status" != 401 ] || return 0
        sleep 0.2
    done
}

install
prepare
compare answers-after /webhook/answers-after \
    "202 when the target has answered" "executions are kept in SQLite, to be looked at; what was not answered is the sender's to send again"
compare answers-after-tuned /webhook/answers-after \
    "202 when the target has answered" "only failed executions are kept in SQLite; what was not answered is the sender's to send again"
compare answers-before /webhook/answers-before \
    "202 when the signature is verified" "executions are kept in SQLite, to be started again by hand"
