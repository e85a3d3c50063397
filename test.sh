#!/usr/bin/env bash
# Installs what the tests need and runs all of them: format, clippy, licences, unit, contract and flow tests on both
# stores. Needs a Debian machine with a Rust toolchain, python3 and Node.js; run it as root, or with sudo at hand, the
# first time.
set -euo pipefail
cd "$(dirname "$0")"
export CARGO_TERM_COLOR=never
step() { printf '\n== %s\n' "$1"; }

step "tools"
root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
missing=()
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing+=(postgresql)
# Debian puts servers where only root's PATH looks; the mailbox tests speak to a real one.
[ -x /usr/sbin/dovecot ] || command -v dovecot >/dev/null || missing+=(dovecot-imapd)
# So does it with the servers of the stream before the inbox; strace shows that they sync before they acknowledge.
[ -x /usr/sbin/nats-server ] || missing+=(nats-server)
command -v strace >/dev/null || missing+=(strace)
command -v openssl >/dev/null || missing+=(openssl)
# It reads the unit of deploy/systemd as it would at a start.
command -v systemd-analyze >/dev/null || missing+=(systemd)
python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)
command -v npm >/dev/null || missing+=(npm)
# The console is walked through in a real browser; without a Chinese font its screenshots would be boxes.
command -v chromium >/dev/null || missing+=(chromium)
[ -e /usr/share/fonts/truetype/wqy/wqy-zenhei.ttc ] || missing+=(fonts-wqy-zenhei)
if [ ${#missing[@]} -gt 0 ]; then
    root apt-get update -q
    root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}"
fi
command -v cargo-deny >/dev/null || cargo install cargo-deny --locked --debug
tools=.cache/test-tools
# The vendors' own SDKs, in the versions that the tests were written against: they check ours from outside.
if [ ! -x "$tools/python/bin/python" ]; then python3 -m venv "$tools/python"; fi
"$tools/python/bin/python" -m pip install -q --disable-pip-version-check -r tests/sdks/requirements.txt
npm install --silent --no-audit --no-fund --prefix "$tools/node" $(cat tests/sdks/npm.txt)
# Real servers that the tests start and speak to: each folder of tests/servers/ installs its own into a place of its own.
for install in tests/servers/*/install.sh; do
    if [ -f "$install" ]; then
        name=$(basename "$(dirname "$install")")
        echo "$name"
        bash "$install" "$PWD/$tools/$name"
    fi
done

step "format"
cargo fmt --all -- --check

step "clippy"
cargo clippy --workspace --all-targets --locked -- -D warnings

step "licences and sources"
cargo deny check bans licenses sources

step "tests"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
cargo test --config "target.'cfg(unix)'.runner = '$PWD/tests/runner.sh'" --workspace --locked --no-fail-fast 2>&1 | tee "$log" || status=$?
awk '/^test result:/ { passed += $4; failed += $6; skipped += $8 }
     END { printf "\n%d passed, %d failed, %d skipped\n", passed, failed, skipped }' "$log"

step "ten thousand simulated days"
# An optimised build, so that they take some five minutes; a day that fails prints its shortest history. Then one day of
# ten thousand edits between systems that put every value into a form of their own.
cargo run --release --locked -q -p huiliu-simulation -- --days 10000 || status=$?
cargo run --release --locked -q -p huiliu-simulation -- --scenario echo --days 1 || status=$?
exit "$status"
