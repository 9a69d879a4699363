#!/bin/sh
# Runs the program of a guest, tells how it ended and switches off.
#
# ttyS0 and ttyS1 are the program's output and errors, ttyS2 is the status.
set -eu
trap 'echo "the program was not started: see the line above"; perl /.guest/off.pl' EXIT

stty raw -echo </dev/ttyS0
stty raw -echo </dev/ttyS1
mkfifo /run/output /run/errors
cat /run/output >/dev/ttyS0 &
output=$!
cat /run/errors >/dev/ttyS1 &
errors=$!
echo runs >/dev/ttyS2
status=$(perl /.guest/run.pl /.guest /dev/null /run/output /run/errors)
# What it left running may hold its output open: only what it wrote is waited for.
{
    sleep 1
    kill "$output" "$errors"
} 2>/dev/null &
wait "$output" "$errors" || :
echo "$status" >/dev/ttyS2
perl /.guest/off.pl
