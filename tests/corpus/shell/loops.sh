#!/bin/bash
# loops.sh PATTERN: leaks and their correct twins as shell scripts have them.

# Redirections that are opened by number and never closed.
open_log() {
    exec {log}>>/dev/null
}

descriptors() {
    while :; do open_log; sleep 0.18; done
}

# Background jobs that never end.
jobs_pile_up() {
    for ((n = 0; n < 600; n++)); do sleep 1000 & sleep 0.17; done
    wait
}

# Process substitutions whose pipe is kept open.
substitutions() {
    while :; do exec {input}< <(echo x); sleep 0.4; done
}

# Correct ones.
closed() {
    while :; do exec {log}>>/dev/null; sleep 0.15; exec {log}>&-; done
}

pipelines() {
    while :; do echo x | cat | wc -l >/dev/null; sleep 0.3; done
}

rotating() {
    local -a held=()
    while :; do
        exec {log}>>/dev/null
        held+=("$log")
        if ((${#held[@]} > 6)); then
            exec {held[0]}>&-
            held=("${held[@]:1}")
        fi
        sleep 0.3
    done
}

# Four jobs at a time.
bounded_jobs() {
    while :; do
        while (($(jobs -r | wc -l) >= 4)); do sleep 0.2; done
        sleep 1.5 &
        sleep 0.25
    done
}

echo ready
read -r _ || exit 0
# What is started here ends with this script's process group.
case $1 in
descriptors | jobs_pile_up | substitutions | closed | pipelines | rotating | bounded_jobs) "$1" ;;
*) exit 2 ;;
esac
