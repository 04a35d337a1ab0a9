#!/usr/bin/env bash
# All peers in one run, Lockgate before and after them, and the table that docs/peers.md has.
#
#   tests/peers/all.sh >peers.jsonl; tests/peers/table.py peers.jsonl
set -euo pipefail
cd "$(dirname "$0")"

failed=0
for peer in lockgate node-red redpanda-connect n8n lockgate; do
    "./$peer.sh" || { printf '%s did not finish\n' "$peer" >&2; failed=1; }
done
exit "$failed"
