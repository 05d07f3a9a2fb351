#!/bin/sh
# Installs Ceph's RGW, the real S3 server of `make test-storage`, where root and apt are there (61 MB).
# Where not, the tests say that they were skipped.
set -eu
for program in radosgw radosgw-admin ceph ceph-mon ceph-osd monmaptool openssl; do
    command -v "$program" >/dev/null || missing="${missing:-} $program"
done
[ -z "${missing:-}" ] && exit 0
[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || {
    echo "tools/rgw.sh: missing:$missing; root and apt-get would install them" >&2
    exit 0
}
echo "installing radosgw, ceph-mon, ceph-osd ..." >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq -y --no-install-recommends radosgw ceph-mon ceph-osd openssl >/dev/null
