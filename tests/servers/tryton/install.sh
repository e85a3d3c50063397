#!/usr/bin/env bash
# Installs a Tryton ERP into the folder $1: the server and its modules from PyPI, and a database with a company in it, made
# once (half a minute) and copied by every test. Tryton's own SQLite backend holds it: a copy is one small file.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
to=$1
mkdir -p "$to"
key=$(cat "$here"/install.sh "$here"/requirements.txt "$here"/company.py | sha256sum | cut -c1-16)
if [ "$(cat "$to/installed" 2>/dev/null)" = "$key" ] && [ -f "$to/template.sqlite" ]; then exit 0; fi
if [ ! -x "$to/venv/bin/python" ]; then python3 -m venv "$to/venv"; fi
"$to/venv/bin/python" -m pip install -q --disable-pip-version-check -r "$here/requirements.txt"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '[database]\nuri = sqlite://\npath = %s\n' "$work" > "$work/trytond.conf"
# Invented, and known to tests/src/tryton.rs: the server listens on the loopback of a test run only.
echo 'correct-horse-42' > "$work/password"
touch "$work/tryton.sqlite"
TRYTONPASSFILE="$work/password" "$to/venv/bin/trytond-admin" -c "$work/trytond.conf" -d tryton \
    --email admin@example.test -u sale --activate-dependencies
"$to/venv/bin/python" "$here/company.py" "$work/trytond.conf" "$work/tryton.sqlite" "$work/template.sqlite"
mv "$work/template.sqlite" "$to/template.sqlite"
echo "$key" > "$to/installed"
