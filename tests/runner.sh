#!/bin/sh
# Runs one program of the tests (a runner of cargo). The flow tests wait for real servers most of the time: more of them
# run side by side.
case "$1" in
*/deps/it-*) exec "$@" --test-threads=3 ;;
*) exec "$@" ;;
esac
