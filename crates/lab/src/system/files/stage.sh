#!/bin/sh
# Runs one stage of cloud-init: in the interpreter that waits for it, or, when that
# has done its work already (somebody starts the unit again), in a new one.
#
# usage: stage NAME ARGUMENTS-OF-CLOUD-INIT...
pipe=/run/cloud-init/stages/$1
shift
[ -p "$pipe.go" ] || exec /usr/bin/cloud-init "$@"
echo go > "$pipe.go" && read -r status < "$pipe.done" && exit "$status"
exit 1
