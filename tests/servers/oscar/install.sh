#!/usr/bin/env bash
# Installs django-oscar and its REST API into the folder $1, and makes the database that each start copies: $1/shop.sqlite3.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
to=$(cd "$1" && pwd)
stamp=$(cd "$here" && find . -name '*.py' -o -name requirements.txt -o -name install.sh | sort | xargs cat | sha256sum)
[ "$(cat "$to/stamp" 2>/dev/null)" = "$stamp" ] && exit 0
[ -x "$to/venv/bin/python" ] || python3 -m venv "$to/venv"
"$to/venv/bin/python" -m pip install -q --disable-pip-version-check -r "$here/requirements.txt"
rm -f "$to/shop.sqlite3"
(cd "$here" && PYTHONDONTWRITEBYTECODE=1 SHOP_DB="$to/shop.sqlite3" "$to/venv/bin/python" -W ignore prepare.py)
echo "$stamp" > "$to/stamp"
