"""Jobs whose inputs come from, and whose outputs, logs and checkpoints go to a store: a folder here."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from ma_training.agent.ports import HeldPort
from ma_training.checkpoint import CheckpointStore
from ma_training.snapshot import default_root, job_key
from ma_training.storage import open_store
from ma_training.storage.sync import LEASE, Claim, Holder, Lease
from tests.support import Job, Launcher, wait_until

IDLE = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("ready", flush=True)
while True:
    time.sleep(0.01)
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


def files(directory: Path) -> dict[str, str]:
    """Contents by path, without what is kept for the launcher itself."""
    found = (path for path in directory.rglob("*") if path.is_file())
    return {
        path.relative_to(directory).as_posix(): path.read_text(errors="replace")
        for path in found
        if LEASE not in path.name
    }


def copier(job: Job) -> int:
    """The pid of the process that copies for a launcher."""
    children = Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split()
    threads = Path(f"/proc/{job.pid}/task").iterdir()
    children += [pid for thread in threads for pid in (thread / "children").read_text().split()]
    for pid in set(children):
        if b"transfer/process.py" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return int(pid)
    return 0


def test_data_in_and_results_out(launcher: Launcher, store: Path) -> None:
    (store / "data" / "a").mkdir(parents=True)
    (store / "data" / "a" / "1.txt").write_text("one")
    launcher.script(
        """
        import os, pathlib
        assert os.listdir("data") == ["a"] and pathlib.Path("data/a/1.txt").read_text() == "one"
        os.makedirs("out/sub")
        pathlib.Path("out/sub/model").write_text("weights")
        print("hello")
        """
    )
    job = launcher.run(
        *("--input", f"{store}/data=data", "--output", f"out={store}/results"),
        *("--log-url", f"file://{store}/logs", "train.py"),
    )
    assert job.process.returncode == 0, job.stderr
    assert files(store / "results") == {"sub/model": "weights"}
    assert not (store / "results" / LEASE).exists(), "the lease is given back"
    logs = files(store / "logs" / job.run.name)
    assert "hello" in logs["attempt-0/node0-rank0.log"]
    assert '"kind": "job.ended"' in logs["events/node0.ndjson"]
    assert json.loads(logs["result.json"])["outcome"] == "succeeded"


def test_what_changes_is_uploaded_meanwhile(launcher: Launcher, store: Path) -> None:
    launcher.script("open('out/a', 'w').write('1')\n" + IDLE)
    job = launcher.start("--output", f"out={store}/results", "train.py")
    wait_until(lambda: (store / "results" / "a").exists(), "the first upload")
    (launcher.directory / "out" / "a").write_text("22")
    wait_until(lambda: (store / "results" / "a").read_text() == "22", "the second")
    job.signal(signal.SIGTERM)
    assert job.wait() == 143


def test_the_end_uploads_what_was_written_last(launcher: Launcher, store: Path) -> None:
    script = IDLE.replace("sys.exit(0)", "(open('out/last', 'w').write('x'), sys.exit(0))")
    launcher.script(script)
    job = launcher.start("--output", f"out={store}/results", "--log-url", f"{store}/logs", "train.py")
    job.wait_log("ready")
    job.signal(signal.SIGTERM)
    assert job.wait() == 143
    assert files(store / "results") == {"last": "x"}
    assert f"{job.run.name}/result.json" in files(store / "logs")


def test_a_killed_copier_is_started_again(launcher: Launcher, store: Path) -> None:
    launcher.script(IDLE)
    job = launcher.start("--output", f"out={store}/results", "train.py")
    job.wait_log("ready")
    os.kill(copier(job), signal.SIGKILL)
    (launcher.directory / "out" / "a").write_text("1")
    wait_until(lambda: (store / "results" / "a").exists(), "the upload")
    assert copier(job)
    job.signal(signal.SIGTERM)
    job.wait()
    assert "what uploads files has died (exit code -9); it is started again" in job.stderr
    assert not (store / "results" / LEASE).exists()


def test_a_fault_is_said_once_and_when_it_is_over(launcher: Launcher, store: Path) -> None:
    """The other output is uploaded all the same."""
    launcher.script(IDLE)
    job = launcher.start("--output", f"bad={store}/bad", "--output", f"good={store}/good", "train.py")
    job.wait_log("ready")
    (store / "bad" / "sub").write_text("a file where a directory is needed")
    for name in ("bad/sub/a", "good/a"):
        (launcher.directory / name).parent.mkdir(exist_ok=True)
        (launcher.directory / name).write_text("1")
    wait_until(lambda: job.events("upload.failing"), "the fault to be noticed")
    wait_until(lambda: (store / "good" / "a").exists(), "the other output")
    (store / "bad" / "sub").unlink()
    wait_until(lambda: job.events("upload.recovered"), "its end to be noticed")
    assert (store / "bad" / "sub" / "a").read_text() == "1"
    job.signal(signal.SIGTERM)
    job.wait()
    assert job.stderr.count(f"cannot upload to {store}/bad: sub/a: ") == 1, job.stderr
    assert job.stderr.count(f"uploading to {store}/bad works again") == 1


def test_what_cannot_be_uploaded_is_named_with_the_way_to_do_it(launcher: Launcher, store: Path) -> None:
    """A job that has ended well does not look so: its machine may be taken away."""
    launcher.script(
        f"""
        import pathlib
        pathlib.Path({str(store)!r}, "results", "sub").write_text("in the way")
        pathlib.Path("out/sub").mkdir()
        pathlib.Path("out/sub/model").write_text("weights")
        """
    )
    job = launcher.run("--output", f"out={store}/results", "train.py")
    assert job.process.returncode == 74, job.stderr
    assert job.result["exit_code"] == 74 and job.result["outcome"] == "succeeded"
    out = launcher.directory / "out"
    assert f"NOT uploaded from {out} to {store}/results:\n    {out}/sub/model" in job.stderr
    (store / "results" / "sub").unlink()
    (command,) = [line for line in job.stderr.splitlines() if "by hand: launcher " in line]
    words = command.partition("by hand: launcher ")[2].split()
    again = launcher.run_bare(*words)
    assert again.process.returncode == 0, again.stderr
    assert files(store / "results") == {"sub/model": "weights"}


def test_outputs_are_brought_back_and_the_newer_one_wins(launcher: Launcher, store: Path) -> None:
    launcher.script("open('out/a', 'a').write('x'); open('out/b', 'a').write('y')")
    words = ("--output", f"out={store}/results", "train.py")
    assert launcher.run(*words, runs="r1").process.returncode == 0
    shutil.rmtree(launcher.directory / "out")  # another machine
    job = launcher.run(*words, runs="r2")
    assert "brought 2 files" in job.stderr
    assert files(store / "results") == {"a": "xx", "b": "yy"}
    (store / "results" / "a").write_text("written by the job, elsewhere")
    (launcher.directory / "out" / "b").write_text("not uploaded yet: ")
    launcher.run(*words, runs="r3")
    assert files(store / "results") == {
        "a": "written by the job, elsewherex",
        "b": "not uploaded yet: y",
    }


def test_both_have_changed(launcher: Launcher, store: Path) -> None:
    launcher.script("pass")
    words = ("--output", f"out={store}/results", "train.py")
    (launcher.directory / "out").mkdir()
    (launcher.directory / "out" / "a").write_text("here")
    (store / "results").mkdir()
    (store / "results" / "a").write_text("there")
    (store / "results" / "same").write_text("same")
    (launcher.directory / "out" / "same").write_text("same")
    job = launcher.run(*words)
    assert "a differs here and in" in job.stderr and "same differs" not in job.stderr
    assert files(store / "results") == {"a": "here", "same": "same"}


# --- what does not start ---


def test_a_second_job_on_the_same_output(launcher: Launcher, store: Path) -> None:
    launcher.script(IDLE)
    words = ("--output", f"out={store}/results", "train.py")
    first = launcher.start(*words)
    first.wait_log("ready")
    second = launcher.run("--name", "other", *words, runs="runs-2")
    assert second.process.returncode == 64
    assert f"{store}/results/ is in use by job {first.run.name}" in second.stderr
    assert "it expires in" in second.stderr and "hint:" in second.stderr
    same = launcher.run(*words, runs="runs-3")
    assert same.process.returncode == 64, "the same command twice is two jobs as well"
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert (store / "results" / LEASE).exists()
    again = launcher.start(*words, runs="runs-4")
    again.wait_log("ready")
    again.signal(signal.SIGTERM)
    assert again.wait() == 143


def test_of_jobs_that_start_at_the_same_time_one_goes_on(launcher: Launcher, store: Path) -> None:
    launcher.script(IDLE)
    jobs = [
        launcher.start(
            *("--name", f"job-{number}", "--output", f"out-{number}={store}/results", "train.py"),
            runs=f"runs-{number}",
        )
        for number in range(3)
    ]
    wait_until(lambda: sum(job.process.poll() is None for job in jobs) == 1, "two to be refused")
    (winner,) = (job for job in jobs if job.process.poll() is None)
    winner.wait_log("ready")
    winner.signal(signal.SIGTERM)
    assert sorted(job.wait() for job in jobs) == [64, 64, 143], [job.stderr for job in jobs]
    for job in jobs:
        assert job is winner or not job._runs.exists() or not list(job._runs.iterdir())


def test_a_lease_of_another_machine(launcher: Launcher, store: Path) -> None:
    (store / "results").mkdir()
    elsewhere = Holder("far", 1, "another boot", "1")
    Lease(open_store(store / "results"), Claim("train-1", "train", False, elsewhere)).take()
    launcher.script("open('ran', 'w')")
    job = launcher.run("--output", f"out={store}/results", "train.py")
    assert job.process.returncode == 64
    assert "job train-1 of" in job.stderr and "process 1 on far" in job.stderr
    assert not (launcher.directory / "ran").exists()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--input", "nonsense"), "'nonsense' is not URL=DIR, such as"),
        (("--output", "out"), "'out' is not DIR=URL, such as"),
        (("--input", "ftp://x/y=d"), "'ftp://x/y' is of a storage that is not known here"),
        (("--input", "obs:///y=d"), "names no bucket"),
        (("--checkpoint-url", "obs://me:secret@bucket/x"), "holds credentials"),
        (("--output", "a=/s/1", "--output", "a=/s/2"), "twice"),
        (("--output", "a=/s/1", "--output", "b=/s/1"), "twice"),
    ],
)
def test_bad_words(launcher: Launcher, words: tuple[str, ...], text: str) -> None:
    launcher.script("pass")
    job = launcher.run(*words, "train.py")
    assert job.process.returncode == 64
    assert text in job.stderr and "secret" not in job.stderr
    assert not (launcher.directory / "runs").exists()


def test_an_input_that_is_not_there(launcher: Launcher, store: Path) -> None:
    launcher.script("open('ran', 'w')")
    (store / "near").mkdir()
    job = launcher.run("--input", f"{store}/data=data", "train.py")
    assert job.process.returncode == 64
    assert f"there is no {store}/data" in job.stderr and str(store) in job.stderr
    assert not (launcher.directory / "ran").exists()


def test_an_output_inside_its_own_place(launcher: Launcher, store: Path) -> None:
    launcher.script("pass")
    job = launcher.run("--output", f"{store}={store}/sub", "train.py")
    assert job.process.returncode == 64 and "inside one another" in job.stderr


def test_no_credentials(launcher: Launcher) -> None:
    launcher.script("pass")
    nowhere = {
        name: ""
        for name in os.environ
        if name.startswith(("AWS_", "S3_", "OBS_")) or name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")
    }
    nowhere |= {"S3_ENDPOINT": "http://127.0.0.1:9", "HOME": str(launcher.directory)}
    nowhere |= {"AWS_EC2_METADATA_DISABLED": "true"}
    job = launcher.run("--input", "obs://bucket/data=data", "train.py", env=nowhere)
    assert job.process.returncode == 64, job.stderr
    assert "no credentials" in job.stderr and "hint:" in job.stderr


# --- who brings what ---


def test_two_launchers_bring_an_input_once(launcher: Launcher, store: Path) -> None:
    for number in range(50):
        (store / "data" / f"{number}").mkdir(parents=True)
        (store / "data" / f"{number}" / "x").write_text("x" * 1000)
    launcher.script("import pathlib; assert len(list(pathlib.Path('data').rglob('x'))) == 50")
    words = ("--input", f"{store}/data=data", "train.py")
    jobs = [launcher.start(*words, runs=f"runs-{number}") for number in range(3)]
    assert [job.wait() for job in jobs] == [0, 0, 0], [job.stderr for job in jobs]


def test_parameter_servers_bring_no_inputs(launcher: Launcher, store: Path) -> None:
    (store / "data").mkdir()
    launcher.script("import os; assert not os.path.exists('data')")
    words = ("--input", f"{store}/data=data", "train.py")
    job = launcher.run(*words, env={"MA_TASK_NAME": "ps"})
    assert job.process.returncode == 0, job.stderr


def test_what_modelarts_names_is_copied_when_asked(launcher: Launcher, store: Path) -> None:
    """On a laptop: there the platform does it."""
    (store / "in").mkdir()
    (store / "in" / "x").write_text("x")
    directory = launcher.directory
    variables = {
        "MA_INPUTS": json.dumps({"inputs": [_entry("data", directory / "in", store / "in")]}),
        "MA_OUTPUTS": json.dumps({"outputs": [_entry("result", directory / "out", store / "out")]}),
    }
    launcher.script("import shutil; shutil.copy('in/x', 'out/y')")
    job = launcher.run("--platform", "modelarts", "--sync", "on", "train.py", env=variables)
    assert job.process.returncode == 0, job.stdout + job.stderr
    assert files(store / "out") == {"y": "x"}


def _entry(name: str, local: Path, url: Path) -> dict[str, object]:
    return {"name": name, "local_dir": str(local), "remote": {"obs": {"obs_url": f"file://{url}"}}}


# --- checkpoints ---

TRAIN = """
import os, time, torch
from torch import nn
from ma_training import TrainingState

torch.manual_seed(0)
net = nn.Linear(4, 1)
optimizer = torch.optim.SGD(net.parameters(), 0.1)
state = TrainingState(model=net, optimizer=optimizer)
restored = state.restore()
step = restored.step if restored else 0
print("began at", step, flush=True)
while step < int(os.environ["STEPS"]):
    torch.manual_seed(step)
    net(torch.randn(8, 4)).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    state.commit()
    step += 1
    if step == int(os.environ.get("SAVE", 0)):
        state.save()
print("weights", net.weight.tolist(), flush=True)
while "WAIT" in os.environ:
    time.sleep(0.01)
"""


def forget(launcher: Launcher, name: str, url: Path) -> None:
    """As on another machine: neither checkpoints nor snapshots."""
    shutil.rmtree(launcher.directory / "runs" / "checkpoints")
    shutil.rmtree(default_root() / job_key(f"{name} {url}#0"), ignore_errors=True)


@pytest.mark.torch
@pytest.mark.xdist_group("torch")
def test_a_killed_job_goes_on_from_storage(launcher: Launcher, store: Path) -> None:
    launcher.script(TRAIN)
    url = store / "ck"
    words = ("--checkpoint-url", url, "train.py")
    job = launcher.start(*words, env={"STEPS": "5", "SAVE": "5", "WAIT": "1"})
    wait_until(lambda: CheckpointStore(url).entries(), "the checkpoint in storage")
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    wait_until(lambda: not launcher.processes(), "the end of all its processes")
    forget(launcher, "train", url)
    again = launcher.start(*words, runs="runs", env={"STEPS": "12"})
    assert again.wait() == 0, again.stderr
    assert f"fetching step 5 from {url}/step-000000005/: this disk has nothing as new" in again.stderr
    assert "step 5 (periodic) is here, verified" in again.stderr
    assert "began at 5\n" in again.stdout
    other = launcher.run("train.py", runs="runs-whole", env={"STEPS": "12"})
    weights = [line for line in other.stdout.splitlines() if "weights" in line]
    assert weights and weights[0] in again.stdout, "not what a run that was left alone comes to"
    shutil.rmtree(default_root() / job_key(f"train {url}#0"), ignore_errors=True)


@pytest.mark.torch
@pytest.mark.xdist_group("torch")
def test_an_exception_checkpoint_goes_first_and_goes_away(launcher: Launcher, store: Path) -> None:
    launcher.script(TRAIN.replace('while "WAIT"', 'if "FAIL" in os.environ: raise ValueError\nwhile "WAIT"'))
    url = store / "ck"
    words = ("--max-restarts", "0", "--checkpoint-url", url, "train.py")
    failed = launcher.run(*words, env={"STEPS": "3", "FAIL": "1"})
    assert failed.process.returncode == 1
    (entry,) = CheckpointStore(url).entries()
    assert (entry.manifest.step, entry.manifest.cause.kind) == (3, "exception")
    forget(launcher, "train", url)
    again = launcher.run(*words, runs="runs", env={"STEPS": "4"})
    assert again.process.returncode == 0, again.stderr
    assert "began at 3\n" in again.stdout


@pytest.mark.torch
@pytest.mark.xdist_group("torch")
def test_a_damaged_checkpoint_is_passed_over(launcher: Launcher, store: Path) -> None:
    launcher.script(TRAIN)
    url = store / "ck"
    words = ("--checkpoint-url", url, "train.py")
    for steps in ("2", "5"):
        job = launcher.start(*words, runs=f"runs-{steps}", env={"STEPS": steps, "SAVE": steps, "WAIT": "1"})
        wait_until(lambda: _newest(url) == int(steps), f"step {steps} in storage")  # noqa: B023
        job.signal(signal.SIGTERM)
        job.wait()
    newest, older = CheckpointStore(url).entries()
    file = newest.path / "state.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\xff")
    shutil.rmtree(default_root() / job_key(f"train {url}#0"), ignore_errors=True)
    again = launcher.run(*words, env={"STEPS": "6"})
    assert again.process.returncode == 0, again.stderr
    assert f"not resumed from: {newest.path}" in again.stderr
    assert "began at 2\n" in again.stdout and older.manifest.step == 2
    shutil.rmtree(older.path)
    shutil.rmtree(launcher.directory / "runs")
    none = launcher.run(*words, env={"STEPS": "6"})
    assert none.process.returncode == 69, "to begin from scratch is for people to decide"
    assert f"no checkpoint in {url}/ is valid" in none.stderr


def _newest(url: Path) -> int:
    entries = CheckpointStore(url).entries()
    return entries[0].manifest.step if entries else -1


# --- several nodes ---


def wait_for_all(jobs: list[Job]) -> None:
    assert [job.wait(60) for job in jobs] == [0, 0], [job.stderr for job in jobs]


def test_a_node_that_comes_late_to_a_shared_disk(launcher: Launcher, store: Path) -> None:
    """The first one is uploading from there by then, and waits for it: they must not wait for each other."""
    held = HeldPort()
    held.close()
    launcher.script("import pathlib; pathlib.Path('out/done').touch()")
    words = ("--nnodes", 2, "--rdzv-endpoint", f"127.0.0.1:{held.port}", "--output", f"out={store}/results")
    environ = {"LAUNCHER_TOKEN": "0123456789abcdef-token"}
    first = launcher.start(*words, "--node-rank", 0, "train.py", runs="runs0", env=environ)
    turn = launcher.directory / ".out.ma-training" / "turn.json"
    wait_until(lambda: turn.exists() and '"uploads": true' in turn.read_text(), "the first round of uploads")
    second = launcher.start(*words, "--node-rank", 1, "train.py", runs="runs1", env=environ)
    wait_for_all([first, second])
    assert "done" in files(store / "results")


@pytest.mark.parametrize("shared", [True, False], ids=["one disk", "two disks"])
def test_two_nodes(launcher: Launcher, store: Path, shared: bool) -> None:
    """They have one lease. On a disk that they share one of them uploads; nothing is left by either."""
    held = HeldPort()
    held.close()
    launcher.script(
        """
        import os, pathlib, time
        rank = os.environ["RANK"]
        out = pathlib.Path(os.environ["OUT" + rank])
        (out / f"first-{rank}").write_text(rank)
        time.sleep(6 * int(rank))  # node 0 looks for the last time while node 1 still works
        (out / f"last-{rank}").write_text(rank)
        """
    )
    outs = ["out", "out" if shared else "out1"]
    variables = {f"OUT{rank}": str(launcher.directory / outs[rank]) for rank in range(2)}
    jobs = [
        launcher.start(
            *("--nnodes", 2, "--node-rank", rank, "--rdzv-endpoint", f"127.0.0.1:{held.port}"),
            *("--output", f"{outs[rank]}={store}/results", "--log-url", f"{store}/logs", "train.py"),
            runs=f"runs{rank}",
            env={"LAUNCHER_TOKEN": "0123456789abcdef-token", **variables},
        )
        for rank in range(2)
    ]
    wait_for_all(jobs)
    expected = {f"{name}-{rank}": str(rank) for name in ("first", "last") for rank in range(2)}
    assert files(store / "results") == expected
    assert not (store / "results" / LEASE).exists()
    assert len(list((store / "logs").rglob("*-rank?.log"))) == 2
