"""Jobs as platforms start them, with real processes on this machine standing for their nodes."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import COMMAND, Launcher

ROOT = Path(__file__).parent.parent.parent
RESNET = ROOT / "examples/modelarts_resnet/train.py"
SHOW = """
    import json, os, sys
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "HCCL_CONNECT_TIMEOUT")
    print(json.dumps([sys.argv[1:], {name: os.environ.get(name) for name in names}]))
"""


def modelarts(node: int, nodes: int = 2, **others: str) -> dict[str, str]:
    return {
        "MA_VJ_NAME": "ma-job-95f661bd",
        "MA_NUM_HOSTS": str(nodes),
        "MA_NUM_GPUS": "0",
        "VC_TASK_INDEX": str(node),
        "MA_SKIP_IMAGE_DETECT": "0",  # the disk of this machine is not what is tested
        "VC_WORKER_HOSTS": ",".join(["localhost", "localhost.localdomain"][:nodes]),
        **others,
    }


@pytest.mark.torch
@pytest.mark.xdist_group("torch")
def test_a_script_of_one_process_a_node(launcher: Launcher) -> None:
    """Two nodes: the platform's arguments make the process group, on CPU with random images."""
    jobs = [
        launcher.start(
            *("--master-addr", "127.0.0.1", "--master-port", "20467", RESNET),
            *("--custom_data", "true", "--samples", "512", "--epochs", "1", "--output_dir", "out"),
            env=modelarts(node),
            runs=f"runs{node}",
        )
        for node in range(2)
    ]
    for job in jobs:
        assert job.wait(120) == 0, job.stderr
        assert "train | epoch: 0 | loss: " in job.stdout
        assert "[Modelarts Service Log]Training end with return code: 0" in job.stderr
    assert (launcher.directory / "out/epoch_0.pth").exists()


def test_the_contract_on_a_laptop(launcher: Launcher) -> None:
    """Nothing of ModelArts is here: arguments, logs and output directory are as if it were."""
    launcher.script("""
        import argparse, os
        parser = argparse.ArgumentParser()
        for name in ("--data_url", "--train_url", "--init_method", "--rank", "--world_size"):
            parser.add_argument(name)
        options = parser.parse_args()
        open(os.path.join(options.train_url, "result"), "w").write(options.init_method)
        print("trained", options.rank, options.world_size)
    """)
    job = launcher.run(
        "--platform",
        "modelarts",
        "--precheck-limits",
        "root=1MB,shm=1MB,cache=1MB",
        "--rdzv-id",
        "95f661bd",
        "train.py",
        "--data_url",
        "in",
        "--train_url",
        "a/out",
    )
    assert job.process.returncode == 0, job.stderr
    assert (launcher.directory / "a/out/result").read_text().startswith("tcp://127.0.0.1:")
    logs = job.run / "log"
    assert (logs / "modelarts-job-95f661bd-proc-rank-0-device-0.txt").read_text() == "trained 0 1\n"
    everything = (logs / "modelarts-job-95f661bd-worker-0.log").read_text()
    lines = [line for line in everything.splitlines() if "item: disk-size cache" not in line]
    assert lines == [  # only some machines have a /cache
        "[Modelarts Service Log][init] running",
        "[Modelarts Service Log][task] Detect",
        "[Modelarts Service Log][INFO][detect] code: 0, message: ok, item: disk-size root",
        "[Modelarts Service Log][INFO][detect] code: 0, message: ok, item: disk-size shm",
        "node0:0 | trained 0 1",
        "[Modelarts Service Log]Training end with return code: 0",
        "[Modelarts Service Log][init] exiting...",
    ]


def test_a_script_without_storage_or_platform(launcher: Launcher) -> None:
    launcher.script("import os, sys; print(os.listdir(sys.argv[4]))")
    job = launcher.run("train.py", "--data_url", "in", "--train_url", "made/here")
    assert job.process.returncode == 0
    assert "made the output directory made/here" in job.stderr
    job = launcher.run("train.py", "--data_url", "in", "--train_url", "s3://bucket/out", runs="again")
    assert job.process.returncode == 1
    assert not (launcher.directory / "s3:").exists()


def test_a_failure_is_said_as_the_platform_says_it(launcher: Launcher) -> None:
    launcher.script("raise SystemExit(3)")
    job = launcher.run("--platform", "modelarts", "train.py")
    assert job.process.returncode == 3
    assert len(job.result["attempts"]) == 1  # its contract leaves restarts to the platform
    assert "[Modelarts Service Log]Training end with return code: 3" in job.stderr
    assert "[Modelarts Service Log][init] error,exiting" in job.stderr


def test_inputs_and_outputs_reach_the_script(launcher: Launcher) -> None:
    """As an argument where the script has it, as a variable in any case; the user's own wins."""
    launcher.script("""
        import argparse, os
        parser = argparse.ArgumentParser()
        parser.add_argument("--data_url")
        parser.add_argument("--train_url")
        print(vars(parser.parse_args()), os.environ["data_url"], os.environ["extra"], os.environ["train_url"])
    """)
    entries = [{"name": name, "local_dir": f"/cache/{name}"} for name in ("data_url", "extra")]
    outputs = {"outputs": [{"name": "train_url", "local_dir": str(launcher.directory / "results")}]}
    env = modelarts(0, 1, MA_INPUTS=json.dumps({"inputs": entries}), MA_OUTPUTS=json.dumps(outputs))
    job = launcher.run("train.py", "--train_url", "mine", env=env)
    assert job.process.returncode == 0, job.stderr
    assert "{'data_url': '/cache/data_url', 'train_url': 'mine'} /cache/data_url /cache/extra " in job.stdout
    assert job.stdout.rstrip().endswith("/results")
    assert (launcher.directory / "results").is_dir()
    assert (launcher.directory / "mine").is_dir()


def test_a_parameter_server_is_told_its_task(launcher: Launcher) -> None:
    launcher.script(SHOW + '    """--task_name --task_index"""\n')
    job = launcher.run(
        "--engine", "tensorflow", "train.py", env=modelarts(0, 1, MA_TASK_NAME="ps", VC_TASK_INDEX="0")
    )
    arguments, _ = json.loads(job.stdout)
    assert arguments == ["--task_name=ps", "--task_index=0"]
    launcher.script(SHOW + '    flags = "--job_name", "--task_index"\n')
    job = launcher.run("train.py", env=modelarts(0, 1), runs="again")
    arguments, _ = json.loads(job.stdout)
    assert arguments == ["--job_name=worker", "--task_index=0"]


def test_the_users_variables_win(launcher: Launcher) -> None:
    launcher.script("import os; print(os.environ['HCCL_CONNECT_TIMEOUT'], os.environ['NCCL_SOCKET_IFNAME'])")
    env = modelarts(0, 1, NCCL_SOCKET_IFNAME="bond0,eth0")
    job = launcher.run("train.py", env=env)
    assert job.stdout == "1800 bond0,eth0\n"
    job = launcher.run(
        *("--env", "NCCL_SOCKET_IFNAME=eth1", "--env", "HCCL_CONNECT_TIMEOUT=600", "train.py"),
        env=env | {"HCCL_CONNECT_TIMEOUT": "900"},
        runs="again",
    )
    assert job.stdout == "600 eth1\n"
    assert "--env NCCL_SOCKET_IFNAME=eth1 replaces bond0,eth0" in job.stderr


def test_a_script_that_sets_the_interface_is_warned_of(launcher: Launcher) -> None:
    launcher.script("import os\nos.environ['NCCL_SOCKET_IFNAME'] = 'eth0'\n")
    job = launcher.run("train.py", env={"NCCL_SOCKET_IFNAME": "bond0"})
    assert "train.py:2 sets NCCL_SOCKET_IFNAME, which is set here to bond0" in job.stderr
    job = launcher.run("train.py", runs="again")
    assert "NCCL_SOCKET_IFNAME" not in job.stderr


def test_env_says_who_said_what(launcher: Launcher) -> None:
    launcher.script("flags = '--init_method --rank'")
    env = modelarts(1) | {"CUDA_VISIBLE_DEVICES": "", "HCCL_WHITELIST_DISABLE": "1"}
    job = launcher.run_bare("env", env=env)
    rows = {line.split("  ")[0]: line for line in job.stdout.splitlines()}
    assert rows["platform"].split()[1:] == ["modelarts", "MA_VJ_NAME"]
    assert rows["this node"].split()[2:] == ["1", "VC_TASK_INDEX"]
    assert rows["hosts"].endswith("VC_WORKER_HOSTS")
    assert rows["HCCL_WHITELIST_DISABLE"].endswith("set here")
    record = json.loads(launcher.run_bare("env", "--json", "--max-restarts", "2", env=env).stdout)
    assert record["facts"]["max_restarts"] == {"value": 2, "origin": "--max-restarts"}
    assert record["facts"]["job_id"]["value"] == "modelarts-job-95f661bd"


@pytest.mark.skipif(shutil.which("mpirun") is None, reason="needs mpirun")
def test_under_mpirun_each_launcher_starts_one_worker(launcher: Launcher) -> None:
    launcher.script(SHOW)
    done = subprocess.run(
        ["mpirun", "--allow-run-as-root", "--oversubscribe", "-np", "3", COMMAND]
        + ["--local-ranks-filter", "0,1,2", "train.py"],
        cwd=launcher.directory,
        env=launcher.environ(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line)[1] for line in done.stdout.splitlines()]
    assert sorted(row["RANK"] for row in found) == ["0", "1", "2"]
    for row in found:
        assert row["LOCAL_RANK"] == row["RANK"]
        assert (row["WORLD_SIZE"], row["LOCAL_WORLD_SIZE"], row["MASTER_ADDR"]) == ("3", "3", "127.0.0.1")


def test_only_the_platform_that_matches_is_imported() -> None:
    """Nor does any start torch: what is not needed costs nothing."""
    code = (
        "import sys; from launchers.platforms.environment import Environment as E;"
        "from launchers.platforms.registry import PLATFORMS, detect;"
        "detect(E({'SLURM_JOB_ID': '1'}));"
        "print(*(e.name for e in PLATFORMS if f'launchers.platforms.{e.module}' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["slurm"]


def test_secrets_are_not_shown(launcher: Launcher) -> None:
    launcher.script("import os; print(os.environ['WANDB_API_KEY'])")
    words = ("--env", "WANDB_API_KEY=s3cr3t", "train.py")
    shown = launcher.run_bare("env", *words).stdout + launcher.run_bare("--dry-run", *words).stdout
    assert "WANDB_API_KEY" in shown
    assert "s3cr3t" not in shown
    job = launcher.run(*words)
    assert job.stdout == "s3cr3t\n"
    assert "s3cr3t" not in (job.run / "plan.json").read_text()


def test_what_the_launcher_sets_is_not_for_env(launcher: Launcher) -> None:
    launcher.script("")
    job = launcher.run_bare("--env", "RANK=1", "train.py")
    assert job.process.returncode == 64
    assert "--env RANK: the launcher sets that" in job.stderr
    job = launcher.run_bare("--env", "RANK", "train.py")
    assert "'RANK' is not NAME=VALUE" in job.stderr
