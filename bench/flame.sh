#!/usr/bin/env bash
# Flame graphs of downloads over loopback: where the CPU time of both sides goes, the kernel's part included.
#
#   bench/flame.sh [FOLDER] [MIB] [DOWNLOADS]     defaults: the present folder, 1024, 1
#
# writes FOLDER/flame-download.svg and FOLDER/flame-seed.svg, for a file of MIB MiB in blocks of 1 MiB on
# /dev/shm and DOWNLOADS downloads of it at once, and prints the five functions that take most by themselves.
# It needs perf (Debian: linux-perf), and as root or with kernel.perf_event_paranoid at most 1, to see into the
# kernel; inferno it installs itself. PEER=FILE profiles another binary; build it with
# RUSTFLAGS="-C force-frame-pointers=yes", or its stacks are cut short.
set -euo pipefail
out=$(realpath "${1:-.}") mib=${2:-1024} downloads=${3:-1}
cd "$(dirname "$0")/.."
command -v perf > /dev/null || { echo "perf is not installed (Debian: apt-get install linux-perf)" >&2; exit 1; }
command -v inferno-flamegraph > /dev/null || cargo install --quiet --locked inferno
if [ -z "${PEER:-}" ]; then
    target=${CARGO_TARGET_DIR:-target}/flame
    RUSTFLAGS="-C force-frame-pointers=yes" cargo build --release --quiet -p cascade-peer --target-dir "$target"
    PEER=$(realpath "$target/release/peer")
fi
work=$(mktemp -d /dev/shm/flame.XXXXXX)
seeder=
trap '[ -z "$seeder" ] || kill "$seeder" 2> /dev/null || true; wait 2> /dev/null || true; rm -rf "$work"' EXIT
export CASCADE_STATE_DIR=$work/state
cd "$work"
head -c $((mib << 20)) /dev/urandom > data
"$PEER" create --block-size 1MiB data > /dev/null
# There is no tracker: the download is told of the seeder.
"$PEER" seed data.cascade --tracker 127.0.0.1:1 --listen 127.0.0.1:0 > seed.log 2>&1 &
seeder=$!
address() { grep -o '127\.0\.0\.1:[0-9]*' seed.log | grep -v ':1$' | head -1; }
until [ -n "$(address || true)" ]; do
    kill -0 $seeder || { cat seed.log >&2; exit 1; }
    sleep 0.05
done
address=$(address)
record=(perf record --quiet --freq 997 -g)
"${record[@]}" --pid $seeder --output seed.data 2> /dev/null &
recorder=$!
cat > downloads.sh <<'DOWNLOADS'
peer=$1 address=$2
for copy in $(seq "$3"); do
    mkdir "$copy"
    cp data.cascade "$copy"
    "$peer" download "$copy/data.cascade" --tracker 127.0.0.1:1 --peer "$address" --no-serve > "$copy/log" 2>&1 &
done
wait
DOWNLOADS
"${record[@]}" --output download.data bash downloads.sh "$PEER" "$address" "$downloads" 2> /dev/null
kill -INT $recorder
wait $recorder || true
for copy in $(seq "$downloads"); do
    cmp --silent data "$copy/data" || { echo "download $copy is not the same:" >&2; cat "$copy/log" >&2; exit 1; }
done
for side in download seed; do
    title="peer $side, $downloads x $mib MiB in blocks of 1 MiB, loopback, tmpfs"
    perf script --input $side.data 2> /dev/null | inferno-collapse-perf 2> /dev/null |
        grep -v '^\(bash\|cp\|seq\|mkdir\)[;-]' > $side.folded || true
    # Without the script that makes it clickable: a picture is enough, and may be shown anywhere.
    inferno-flamegraph --title "$title" --width 1200 --minwidth 0.4 --hash $side.folded |
        perl -0pe 's/<script.*?<\/script>//s; s/ onload="[^"]*"//' > "$out/flame-$side.svg"
    echo "$title: $out/flame-$side.svg"
    perf report --input $side.data --no-children --call-graph none --stdio 2> /dev/null |
        grep --max-count 5 '^ *[0-9.]*%' || true
done
