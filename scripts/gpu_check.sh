#!/bin/sh
# What a GPU is worth to contrastcxr: pictures and training steps a second, memory, equality with the CPU; eight minutes at most.
#
#   sh scripts/gpu_check.sh [--wheels FOLDER] [--out FILE.json]
#
# Looks first at what the machine has, and says what is missing. Nothing is fetched from an index: packages that are
# missing may lie as wheels in FOLDER, and are then unpacked into a temporary folder. PYTHON names another interpreter.
set -eu

python=${PYTHON:-python3}
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
wheels=
if [ "${1:-}" = --wheels ]; then
    wheels=$2
    shift 2
fi

command -v "$python" >/dev/null || { echo "gpu_check: no $python; set PYTHON to an interpreter with PyTorch" >&2; exit 2; }
nvidia-smi --query-gpu=name,driver_version,memory.total,memory.used --format=csv 2>/dev/null ||
    echo "nvidia-smi: not here"
echo "$(getconf _NPROCESSORS_ONLN) processors; $("$python" --version)"

packages=$(mktemp -d)
trap 'rm -rf "$packages"' EXIT INT TERM
if [ -n "$wheels" ]; then
    "$python" -m pip install --quiet --no-index --no-deps --find-links "$wheels" --target "$packages" "$wheels"/*.whl
fi
export PYTHONPATH="$root/src:$packages${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1
status=0
timeout 480 "$python" "$root/scripts/gpu_check.py" "$@" || status=$?
[ "$status" -ne 124 ] || echo "gpu_check: stopped after eight minutes; the figures above stand" >&2
exit "$status"
