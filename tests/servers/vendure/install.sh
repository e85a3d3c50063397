#!/usr/bin/env bash
# Installs Vendure into the folder $1, and makes the database that each start copies: $1/shop.sqlite3.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
to=$(cd "$1" && pwd)
stamp=$(cat "$here/install.sh" "$here/index.js" "$here/prepare.js" "$here/products.csv" | sha256sum)
[ "$(cat "$to/stamp" 2>/dev/null)" = "$stamp" ] && exit 0
# Vendure asks for ranges of some 300 packages, and now and then one of them names a release that is not there yet: as of
# a day on which everything was there, it installs.
if [ ! -f "$to/node_modules/@vendure/core/package.json" ]; then
    echo '{ "name": "shop", "private": true }' > "$to/package.json"
    npm install --prefix "$to" --loglevel=error --no-audit --no-fund --before=2026-11-01 \
        @vendure/core@3.6.3 better-sqlite3@12.11.1 reflect-metadata@0.2.2
fi
rm -f "$to"/shop.sqlite3*
export NODE_PATH="$to/node_modules" SHOP_DB="$to/shop.sqlite3" SHOP_PREPARES=1 PORT=0
(cd "$to" && node "$here/prepare.js" "$here/products.csv" > "$to/prepare.log" 2>&1) || { cat "$to/prepare.log"; exit 1; }
echo "$stamp" > "$to/stamp"
