"""The process that looks at a node beside a job: arguments are the job in JSON and the thresholds."""

import json
import os
import sys
from pathlib import Path


def main(words: list[str]) -> None:
    os.nice(10)  # the workers are importing
    root = str(Path(__file__).resolve().parents[2])
    if root not in sys.path:  # started with -I, from a source tree
        sys.path.append(root)
    from launchers.cli.check_text import ndjson
    from ma_training.precheck import Job, Surroundings, choose, parse_limits, run_checks

    record = json.loads(words[0])
    for name in ("hosts", "writes"):
        record[name] = tuple(record[name])
    # Rank 0 has its port by now: it is taken, and rightly so.
    changed = {"run_base": Path(record["run_base"]), "master": (record["master"][0], None)}
    job = Job(**{**record, **changed})
    limits = parse_limits(part.strip() for part in words[1].split(",") if part.strip())
    sys.stdout.write(ndjson(run_checks(choose(), Surroundings(job, limits)), job.node))
    sys.stdout.flush()
    os._exit(0)  # a check may still hang in a thread of its own


if __name__ == "__main__":
    main(sys.argv[1:])
