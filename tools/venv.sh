#!/bin/sh
# Makes a virtual environment that holds what a requirements file pins, and this project, editable.
# Does nothing where that was done already: a stamp carries the hash of what was installed.
#
#   tools/venv.sh .venv requirements/test.txt
set -eu
cd "$(dirname "$0")/.."
venv=$1 requirements=$2
python=${PYTHON:-python3}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "tools/venv.sh: $("$python" --version) found, the pinned packages need Python 3.11 or newer" >&2
    echo "hint: name another interpreter with PYTHON=/path/to/python3.11 make ..." >&2
    exit 69
}
stamp="$venv/.installed-$(basename "$requirements" .txt)"
hash=$(cat requirements/*.txt pyproject.toml | sha256sum | cut -d' ' -f1)
[ "$(cat "$stamp" 2>/dev/null)" = "$hash" ] && exit 0

echo "setting up $venv from $requirements (PyTorch is the largest part: a minute or two) ..." >&2
"$python" -c 'import ensurepip, venv' 2>/dev/null || {
    echo "tools/venv.sh: $python has no venv module (Debian, Ubuntu: apt-get install python3-venv)" >&2
    exit 69
}
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$requirements"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    --no-deps --no-build-isolation --editable .
# pip compiles what it installs, but not what it links to; the front door is to open in 100 ms.
"$venv/bin/python" -m compileall -q ma_training launchers launcher.py
echo "$hash" > "$stamp"
