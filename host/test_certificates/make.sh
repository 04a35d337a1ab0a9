#!/bin/sh
# Makes the certificates of the tests anew: an authority, servers it vouches for, and what is wrong with some of them.
# `server`, `expired` and `unborn` share a key; `renewed` has its own. The authority's key is thrown away.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

key() { openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$1"; }

cat >"$work/ca.conf" <<END
[ca]
default_ca = own
[own]
database = $work/index
new_certs_dir = $work
rand_serial = yes
default_md = sha256
policy = any
x509_extensions = leaf
[any]
commonName = supplied
[leaf]
basicConstraints = CA:FALSE
subjectAltName = DNS:localhost, DNS:crm.example, IP:127.0.0.1
END
: >"$work/index"
echo 'unique_subject = no' >"$work/index.attr"

# NAME KEY FROM TO
leaf() {
    openssl req -new -key "$2" -subj "/CN=$1" -out "$work/request.pem"
    openssl ca -batch -notext -config "$work/ca.conf" -cert authority.pem -keyfile "$work/authority.key" \
        -startdate "$3" -enddate "$4" -in "$work/request.pem" -out "$1.pem"
}

key "$work/authority.key"
openssl req -x509 -new -key "$work/authority.key" -subj "/CN=Lockgate test authority" -days 73000 \
    -addext "basicConstraints=critical,CA:TRUE" -out authority.pem
key server.key
key renewed.key
leaf server server.key 20240101000000Z 22230101000000Z
leaf renewed renewed.key 20240101000000Z 22230101000000Z
leaf expired server.key 20240101000000Z 20240201000000Z
leaf unborn server.key 22220101000000Z 22230101000000Z
