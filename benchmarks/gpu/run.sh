#!/usr/bin/env bash
# One prepared run on a machine with a CUDA device, at most eight minutes: the tests that need a GPU, then the
# measurements of benchmarks/gpu/device.py. Lines go to benchmarks/results/gpu.jsonl (in a clean checkout) and what is
# printed to $OUT/gpu.log, if OUT is set. With --smoke everything runs on tiny data, on the CPU if there is no device.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PYTHONPATH="$PWD/src:$PWD/adapters:${PYTHONPATH:-}"
log="${OUT:-$(mktemp -d)}/gpu.log"
python="${PYTHON:-python}"

run() {  # seconds, then the command: what fails or takes too long does not keep the rest from running
    echo "== ${*:2}" | tee -a "$log"
    timeout "$(($1 * patience))" "${@:2}" 2>&1 | tee -a "$log" || { echo "failed or out of time: ${*:2}" | tee -a "$log"; failed=1; }
}

failed=0 patience=1
# A smoke run is about reaching the end, on whatever machine.
[ "${1:-}" != "--smoke" ] || patience=10
run 100 "$python" -m pytest -q -n 0 -m gpu tests/training tests/device
run 40 "$python" -m benchmarks gpu "$@" --part step
run 290 "$python" -m benchmarks gpu "$@" --part training
run 50 "$python" -m benchmarks gpu "$@" --part answers
exit "$failed"
