"""Every option of the installed torchrun: known here, or in the table of what differs."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from launchers.cli.options import BY_NAME
from tests.support import Launcher

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.torch
@pytest.mark.xdist_group("torch")
def test_every_option_of_torchrun_is_known() -> None:
    torchrun = Path(sys.executable).with_name("torchrun")
    text = subprocess.run([torchrun, "--help"], capture_output=True, text=True, check=True, timeout=60).stdout
    declared = re.findall(r"^  -.*$", text.partition("options:")[2], re.MULTILINE)
    names = {name for line in declared for name in re.findall(r"(?<=--)[a-z-]+(?![a-z_-])", line)} - {"help"}
    assert len(names) > 25
    assert names - set(BY_NAME) == set()


@pytest.mark.parametrize("form", ["--nproc-per-node=2", "--nproc_per_node=2", "PET_NPROC_PER_NODE"])
def test_forms_of_an_option(launcher: Launcher, form: str) -> None:
    script = launcher.script("import os; print(os.environ['WORLD_SIZE'])")
    words, env = ([form], {}) if form.startswith("--") else ([], {form: "2"})
    assert launcher.run(*words, script, env=env).stdout == "2\n"


@pytest.mark.parametrize(
    "words",
    [
        ["--standalone"],
        ["--run-path"],
        ["--monitor-interval", "0.1"],
        ["--start-method", "fork"],
        ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"],
        ["--rdzv-conf", "timeout=900,join_timeout=600"],
        ["--event-log-handler", "null"],
        ["--nnodes", "1:1"],
        ["--local-addr", "127.0.0.1"],
        ["--shutdown-timeout", "10"],
        ["--signals-to-handle", "SIGTERM,SIGUSR1"],
    ],
)
def test_accepted(launcher: Launcher, words: list[str]) -> None:
    assert launcher.run(*words, launcher.script("print('fine')")).stdout == "fine\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--logs-specs", "mine"], "--log-dir"),
        (["--numa-binding", "node"], "numactl"),
        (["--event-log-handler", "console"], "runs/<job>/events"),
        (["--start-method", "thread"], "spawn, fork, forkserver"),
        (["--nproc-per-node", "xpu"], "give their number"),
        (["--rdzv-conf", "timeout"], "KEY=VALUE"),
        (["--redirects", "4"], "1 (stdout)"),
        (["--tee", "0:5"], "1 (stdout)"),
        (["--local-ranks-filter", "a"], "write 0,2"),
        (["--local-ranks-filter", "0,7"], "local rank 7"),
        (["--redirects", "5:1"], "local rank 5"),
        (["--log-prefix-template", "${host}"], "'host'"),
        (["--log-prefix-template", "$"], "$$"),
        (["--log-limit", "much"], "1G"),
    ],
)
def test_refused_with_a_word(launcher: Launcher, words: list[str], said: str) -> None:
    launcher.script("open('started', 'w')")
    job = launcher.run_bare(*words, "train.py")
    assert job.process.returncode == 64
    assert said in job.stderr
    assert not (launcher.directory / "started").exists()


def test_deviations_are_in_the_table() -> None:
    table = (ROOT / "docs/coming-from-torchrun.md").read_text()
    odd = [
        option.name
        for option in BY_NAME.values()
        if "without effect" in option.help or option.help == "not supported"
    ]
    assert len(odd) >= 6
    assert [name for name in odd if f"--{name}" not in table] == []


def test_the_macro_in_arguments(launcher: Launcher) -> None:
    script = launcher.script("import sys; print(sys.argv[1])")
    job = launcher.run("--nproc-per-node", 2, script, "--device=${local_rank}")
    assert [job.log(rank) for rank in (0, 1)] == ["--device=0\n", "--device=1\n"]


def test_virtual_local_rank(launcher: Launcher) -> None:
    script = launcher.script("import os; print(os.environ['LOCAL_RANK'], os.environ['CUDA_VISIBLE_DEVICES'])")
    job = launcher.run(
        "--nproc-per-node", 2, "--virtual-local-rank", script, env={"CUDA_VISIBLE_DEVICES": "4,6"}
    )
    assert [job.log(rank) for rank in (0, 1)] == ["0 4\n", "0 6\n"]


def test_shutdown_timeout_of_the_environment(launcher: Launcher) -> None:
    shown = launcher.run_bare("config", "show", env={"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": "7"}).stdout
    assert re.search(r"shutdown-timeout +7 +TORCH_ELASTIC_SHUTDOWN_TIMEOUT", shown)


CHATTY = """
import os, sys
print("out of", os.environ["RANK"], flush=True)
print("err of", os.environ["RANK"], file=sys.stderr, flush=True)
"""


@pytest.mark.parametrize(
    ("words", "out", "err"),
    [
        ([], "0", "0"),
        (["--local-ranks-filter", "1"], "1", "1"),
        (["--local-ranks-filter", "0,1"], "01", "01"),
        (["--redirects", "3"], "", ""),
        (["--redirects", "1"], "", "01"),
        (["--redirects", "0:1,1:2"], "1", "0"),
        (["--redirects", "3", "--tee", "1:1"], "1", ""),
        (["--tee", "3"], "01", "01"),
        (["--tee", "3", "--local-ranks-filter", "0"], "0", "0"),
    ],
)
def test_what_the_console_shows(launcher: Launcher, words: list[str], out: str, err: str) -> None:
    job = launcher.run("--nproc-per-node", 2, *words, launcher.script(CHATTY))
    assert sorted(re.findall(r"out of (\d)", job.stdout)) == list(out)
    assert sorted(re.findall(r"err of (\d)", job.stderr)) == list(err)
    assert [job.log(rank) for rank in (0, 1)] == ["out of 0\n", "out of 1\n"]  # the files have all


@pytest.mark.parametrize(
    ("words", "env", "mark"),
    [
        (["--local-ranks-filter", "0,1"], {}, "node0:1 | "),
        (["--local-ranks-filter", "1"], {}, ""),
        (["--tee", "3", "--log-prefix-template", "[${role_name}${local_rank}]:"], {}, "[default1]:"),
        (["--tee", "3"], {"TORCHELASTIC_LOG_LINE_PREFIX_TEMPLATE": "${rank}/${attempt} "}, "1/0 "),
    ],
)
def test_marks(launcher: Launcher, words: list[str], env: dict[str, str], mark: str) -> None:
    job = launcher.run("--nproc-per-node", 2, *words, launcher.script(CHATTY), env=env)
    assert f"{mark}out of 1" in job.stdout.splitlines()


def test_filtered_copies(launcher: Launcher) -> None:
    script = launcher.script(
        "import os\nfor n in range(5): print('loss', n, os.environ['RANK'])\nprint('a,b')"
    )
    job = launcher.run("--nproc-per-node", 2, "--duplicate-stdout-filters", "loss 3,a,,b", script)
    copy = (job.run / "attempt-0" / "filtered_stdout.log").read_text()
    assert sorted(copy.splitlines()) == [
        "node0:0 | a,b",
        "node0:0 | loss 3 0",
        "node0:1 | a,b",
        "node0:1 | loss 3 1",
    ]


@pytest.mark.torch
@pytest.mark.xdist_group("torch")
@pytest.mark.parametrize("bootstrap", ["on", "off"])
def test_record_is_honoured(launcher: Launcher, bootstrap: str) -> None:
    script = launcher.script(
        """
        from torch.distributed.elastic.multiprocessing.errors import record

        @record
        def main():
            raise LookupError("no such token")

        main()
        """
    )
    job = launcher.run("--bootstrap", bootstrap, "--max-restarts", 0, script)
    incident = json.loads((job.run / "incidents/0/incident.json").read_text())
    assert incident["first_failure"]["exception"]["type"] == "LookupError"
    assert "no such token" in incident["first_failure"]["what"]
