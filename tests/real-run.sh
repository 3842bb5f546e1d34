#!/usr/bin/env bash
# A real file, really shared: a tree of this machine as one tar, two seeders, three downloads at once; one
# seeder is killed in the middle; every copy is compared byte by byte. docs/real-run.md tells of one run.
#
#   tests/real-run.sh [TREE] [FOLDER]     defaults: /usr, and a temporary folder (needs five times the size)
set -euo pipefail
cd "$(dirname "$0")/.."
tree=${1:-/usr}
made=
work=${2:-$(made=1; mktemp -d)}
cargo build --release --quiet --bins -p cascade-peer -p cascade-tracker
bin=${CARGO_TARGET_DIR:-$PWD/target}/release
export CASCADE_STATE_DIR=$work/state
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work/real"' EXIT
mkdir -p "$work/real"/{a,b,c1,c2,c3}
cd "$work/real"

say() { printf '\n== %s\n' "$*"; }
say "a tar of $tree"
tar --sort=name -cf a/real.tar -C / "${tree#/}" 2>/dev/null || true # files that vanish meanwhile are no matter
size=$(stat -c %s a/real.tar)
echo "real.tar: $size bytes"
[ "$size" -ge $((1 << 30)) ] || { echo "less than 1 GiB: name a larger tree"; exit 1; }

say "peer create"
"$bin/peer" create a/real.tar
say "two seeders, three downloads"
cp --reflink=auto a/real.tar b/real.tar
"$bin/tracker" --listen 127.0.0.1:0 --allow a/real.tar.cascade > tracker.log 2>&1 &
until grep -q 'listening on' tracker.log; do sleep 0.05; done
tracker=$(grep -o '127[.0-9]*:[0-9]*' tracker.log | head -1)
for s in a b; do
    cp -n a/real.tar.cascade $s/ 2>/dev/null || true
    "$bin/peer" seed $s/real.tar.cascade -t "$tracker" > $s.log 2>&1 &
    declare "seeder_$s=$!"
done
for s in a b; do until grep -q 'tracker .* knows' $s.log; do sleep 0.1; done; done
downloads=()
start=$(date +%s.%N)
for c in c1 c2 c3; do
    cp a/real.tar.cascade $c/
    "$bin/peer" download $c/real.tar.cascade -t "$tracker" --json > $c.log 2>&1 &
    downloads+=($!)
done
# Killed when the first download has a fifth of the file.
until grep -hs '"event":"progress"' c*.log | grep -o '"bytes_done":[0-9]*' | cut -d: -f2 |
    awk -v want=$((size / 5)) '$1 > want { found = 1 } END { exit !found }' || ! kill -0 "${downloads[0]}" 2>/dev/null; do
    sleep 0.02
done
kill -9 "$seeder_b"
echo "one seeder killed after $(echo "$(date +%s.%N) - $start" | bc) s; bytes that each download had then, at the last report:"
for c in c1 c2 c3; do grep -hs '"event":"progress"' $c.log | tail -1 | grep -o '"bytes_done":[0-9]*' | sed "s/^/  $c /"; done
for d in "${downloads[@]}"; do wait "$d"; done
for c in c1 c2 c3; do grep '"event":"done"' $c.log; done

say "compared byte by byte"
for c in c1 c2 c3; do cmp a/real.tar $c/real.tar && echo "$c/real.tar is the same"; done
