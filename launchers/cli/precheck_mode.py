"""When a job's node is looked at: before its workers, beside them, or not at all."""

from collections.abc import Mapping

BEFORE, BESIDE, OFF = "before", "beside", "off"
# ModelArts' own switch; despite its name, 1 means that the precheck is on.
SWITCHES = ("MA_SKIP_IMAGE_DETECT", "MA_DETECT_TRAIN_INJECT_CODE")
_WANTED = {"on": BEFORE, "warn": BESIDE, "off": OFF}


def precheck_mode(option: str, platform: str, environ: Mapping[str, str], inside: bool = False) -> str:
    """``platform``: "local" where none was recognised. ``inside``: of another job's worker.

    >>> precheck_mode("auto", "modelarts", {"MA_SKIP_IMAGE_DETECT": "0"})
    'off'
    >>> precheck_mode("auto", "slurm", {}), precheck_mode("auto", "local", {})
    ('before', 'beside')
    """
    if option in _WANTED:
        return _WANTED[option]
    switch = next((environ[name].strip() for name in SWITCHES if environ.get(name, "").strip()), "")
    if switch == "0" or inside:
        return OFF
    return BEFORE if switch == "1" or platform != "local" else BESIDE
