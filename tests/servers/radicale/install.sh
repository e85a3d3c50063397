#!/usr/bin/env bash
# A real CardDAV and CalDAV server, and clients by others: a virtual environment in the folder given as $1.
set -euo pipefail
want="radicale==3.9.0 vobject==0.9.9 icalendar==7.3.2 caldav==3.6.0 requests==2.34.2"
if [ "$(cat "$1/installed" 2>/dev/null)" != "$want" ]; then
    [ -x "$1/bin/python" ] || python3 -m venv "$1"
    # shellcheck disable=SC2086 # the words are packages
    "$1/bin/python" -m pip install -q --disable-pip-version-check $want
    echo "$want" > "$1/installed"
fi
