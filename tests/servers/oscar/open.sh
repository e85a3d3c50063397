#!/usr/bin/env bash
# Opens a shop to try Huiliu with, on http://127.0.0.1:$2, with some buyers in it: `install.sh` has put it into the
# folder $1. It stays open until `kill $(cat FOLDER/pid)`, and keeps what happened in it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
to=$(cd "$1" && pwd)
shop="http://127.0.0.1:$2"
python="$to/venv/bin/python"
cd "$here"
export PYTHONDONTWRITEBYTECODE=1 SHOP_DB="$to/mine.sqlite3"
first=no
if [ ! -f "$SHOP_DB" ]; then
    cp "$to/shop.sqlite3" "$SHOP_DB"
    first=yes
fi
"$python" -W ignore manage.py runserver --noreload "127.0.0.1:$2" > "$to/log" 2>&1 < /dev/null &
echo $! > "$to/pid"
for _ in $(seq 300); do
    curl -sfo /dev/null "$shop/api/" && break
    kill -0 "$(cat "$to/pid")" || { cat "$to/log"; exit 1; }
    sleep 0.1
done
if [ "$first" = yes ]; then "$python" -W ignore act.py "$shop" < "$here/people.jsonl" > "$to/people.log"; fi
echo "the shop is open: $shop/"
