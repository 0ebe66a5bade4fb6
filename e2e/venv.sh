#!/usr/bin/env bash
# Makes .venv from a lock file with hashes; installs what Debian keeps apart from its Python.
set -euo pipefail
lock=$1
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "rollout needs Python 3.11 or later, and $python is $("$python" -V 2>&1); set PYTHON=/path/to/python3.11 and run this again" >&2
  exit 1
}
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
  echo "installing python3-venv from the distribution (its Python comes without)"
  apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null
fi
echo "making .venv from $lock (about a minute the first time)"
[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r "$lock"
.venv/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
touch .venv/.ready
