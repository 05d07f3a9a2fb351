"""``python -m launcher train.py``: the same as the installed command ``launcher``."""

from launchers.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
