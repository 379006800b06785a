#!/bin/sh
# Starts an app in a container: an instance is named after its container and reached at the container's own address, so that replicas of
# one service differ without configuration. The credentials come from the one file of this app that compose-init has written.
set -eu
export SKERRY_INSTANCE="${SKERRY_INSTANCE:-$(hostname)}"
export ADVERTISE_URL="${ADVERTISE_URL-http://$(hostname -i | cut -d ' ' -f 1):$PORT}"
exec node --env-file-if-exists=/run/skerry/env "$@"
