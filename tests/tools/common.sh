# What the tests of the program share: a small run that takes seconds, and checks. Sourced by test_*.sh.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
theta=$PWD/build/theta
work=$(mktemp -d)
failures=0
at_end() { :; } # a script's own clearing up
# However a script ends, a failure that it has told is its status.
trap 'status=$?; at_end; rm -rf "$work"; [ $failures -eq 0 ] || exit 1; exit $status' EXIT

# A run of all stages in a few seconds.
cat >"$work/small.toml" <<'TOML'
seed = 7
[data]
pool = 4
[network]
widths = [49, 6, 10]
[zoo]
networks = 6
wave = 4
steps = 400
batch = 32
lr = 5e-3
checkpoints = "every"
count = 40
[fit]
latent = 8
diffusion_steps = 50
[fit.autoencoder]
channels = [4, 6]
steps = 150
batch = 10
lr = 2e-3
[fit.denoiser]
channels = [1, 8, 1]
time_width = 16
steps = 300
batch = 10
[sample]
count = 12
[eval]
networks = 10
references = 10
baselines = false
TOML
# What only has to go through is judged beside little.
quick=(--set eval.baselines=false --set eval.networks=20 --set eval.references=20)

fail() {
  echo "   $1"
  failures=$((failures + 1))
}

# expect STATUS "part of the message" command...: the command ends so, with one line on standard error.
expect() {
  local status=$1 part=$2
  shift 2
  "$@" >"$work/out" 2>"$work/err"
  local found=$?
  [ $found -eq "$status" ] || fail "$* ended with $found, expected $status: $(head -n 3 "$work/err")"
  [ -z "$part" ] || grep -qF -- "$part" "$work/err" || fail "$* did not say '$part': $(head -n 3 "$work/err")"
  [ "$status" -eq 0 ] || [ "$(wc -l <"$work/err")" -le 1 ] || fail "$* said more than one line"
}

# killed_after MILLISECONDS command...: the command, ended by kill -9 if it has not ended by then.
killed_after() {
  local milliseconds=$1
  shift
  "$@" >/dev/null 2>/dev/null &
  local pid=$!
  sleep "$((milliseconds / 1000)).$(printf %03d $((milliseconds % 1000)))"
  kill -9 $pid 2>/dev/null
  wait $pid 2>/dev/null
}

# stopped_in STAGE FOLDER command...: the command, which writes its run there, ended by Ctrl-C as soon as it has a figure of that
# stage to tell, if it has not ended by then.
stopped_in() {
  local stage=$1 metrics=$2/metrics.jsonl
  shift 2
  rm -f "$metrics"
  "$@" >/dev/null 2>/dev/null &
  local pid=$!
  until grep -qsF "{\"stage\":\"$stage\"," "$metrics" || ! kill -0 $pid 2>/dev/null; do sleep 0.02; done
  kill -INT $pid 2>/dev/null
  wait $pid 2>/dev/null
}
