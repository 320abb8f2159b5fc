#!/bin/sh
# Makes configure and Makefile.in in a checkout. `make` sees by itself when a source file was added.
set -e
cd "$(dirname "$0")"
for tool in autoreconf automake libtoolize pkg-config; do
    command -v $tool >/dev/null || {
        echo "autogen.sh: $tool is missing: maint/deps build installs what is needed" >&2
        exit 1
    }
done
maint/sources
autoreconf --install --symlink "$@"
