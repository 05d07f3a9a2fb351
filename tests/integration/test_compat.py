"""``--compat``: scripts as the guide and users have them, run by the launcher, unchanged."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..s3_stub import Stub, stub
from ..support import Launcher


@pytest.fixture
def server() -> Iterator[Stub]:
    with stub() as server:
        yield server


def environ(server: Stub, tmp_path: Path) -> dict[str, str]:
    return server.environ | {"XDG_STATE_HOME": str(tmp_path / "state")}


SEEDS = """
    # Three seeds and the guide's page of examples, with their paths.
    import os
    import moxing as mox
    import moxing
    from moxing.framework.file import file_io
    from moxing.framework import file
    import moxing.framework.file.file_io as again
    assert mox.file is file is moxing.file and again is file_io
    os.makedirs("work/DINO/config", exist_ok=True)
    os.chdir("work")
    open("DINO/main.py", "w").write("print()")
    open("DINO/config/DINO_4scale.py", "w").write("x = 1")
    mox.file.copy_parallel("./DINO/","obs://dino-coco/DINO")
    mox.file.copy_parallel('obs://dino-coco/DINO','./flower')
    assert sorted(os.listdir("flower")) == ["config", "main.py"]
    mox.file.set_auth(is_secure=False)
    file_io._NUMBER_OF_PROCESSES=1
    file_io._LARGE_FILE_METHOD = 1
    mox.file.copy_parallel(src_url="flower", dst_url="obs://dino-coco/again", threads=0, is_processing=False)
    mox.file.make_dirs('obs://dino-coco/sub_dir_0/sub_dir_1')
    assert mox.file.exists('obs://dino-coco/sub_dir_0/sub_dir_1')
    mox.file.copy('DINO/main.py', 'obs://dino-coco/obs_file.txt')
    mox.file.rename('obs://dino-coco/obs_file.txt', 'obs://dino-coco/obs_file_2.txt')
    assert mox.file.get_size('obs://dino-coco/again',recursive=True) == 12
    from modelarts.session import Session
    session = Session()
    session.obs.download_file(src_obs_file="obs://dino-coco/obs_file_2.txt", dst_local_dir="there/")
    session.obs.download_dir(src_obs_dir="obs://dino-coco/DINO/", dst_local_dir="there/")
    assert sorted(os.listdir("there")) == ["DINO", "obs_file_2.txt"]
    mox.file.shift('os', 'mox')
    assert os.listdir('s3://dino-coco') == ['DINO', 'again', 'obs_file_2.txt', 'sub_dir_0']
    with open('s3://dino-coco/hello_world.txt', 'w') as f:
        f.write('hello')
    with open('s3://dino-coco/hello_world.txt') as f:
        print(f.read(), 'from', os.environ['RANK'])
    for name in ("moxing.tensorflow", "moxing.pytorch", "deep_moxing", "deep_moxing.framework.manifest_api"):
        try:
            __import__(name)
        except ImportError as error:
            assert "not rebuilt here" in str(error) and "hint" in str(error), error
        else:
            raise AssertionError(name)
    try:
        mox.run(None)
    except AttributeError as error:
        assert "mox.run" in str(error)
"""


def test_scripts_of_users_run_unchanged(launcher: Launcher, server: Stub, tmp_path: Path) -> None:
    server.buckets["dino-coco"] = {}
    script = launcher.script(SEEDS)
    job = launcher.run("--compat", "moxing,modelarts", script, env=environ(server, tmp_path))
    assert job.process.returncode == 0, job.stderr
    assert "hello from 0" in job.stdout and "Traceback" not in job.log()
    assert {"again/main.py", "DINO/main.py", "hello_world.txt"} <= set(server.buckets["dino-coco"])


def test_without_it_nothing_is_there(launcher: Launcher) -> None:
    script = launcher.script("import importlib.util\nprint('spec', importlib.util.find_spec('moxing'))")
    job = launcher.run(script)
    assert job.process.returncode == 0 and "spec None" in job.stdout


def test_the_path_of_the_user_stays(launcher: Launcher, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "own_module.py").write_text("value = 7")
    script = launcher.script("import moxing, own_module, sys; print('value', own_module.value)")
    job = launcher.run("--compat", "moxing", script, env={"PYTHONPATH": str(tmp_path / "mine")})
    assert job.process.returncode == 0 and "value 7" in job.stdout, job.stderr
    job = launcher.run("--compat", "moxing", "--env", f"PYTHONPATH={tmp_path / 'mine'}", script, runs="runs2")
    assert job.process.returncode == 0 and "value 7" in job.stdout, job.stderr


def test_an_installed_one_comes_first_and_that_is_said(launcher: Launcher, tmp_path: Path) -> None:
    (tmp_path / "site" / "moxing").mkdir(parents=True)
    (tmp_path / "site" / "moxing" / "__init__.py").write_text("real = True")
    script = launcher.script("import moxing; print('real', hasattr(moxing, 'real'))")
    here = {"PYTHONPATH": str(tmp_path / "site")}
    job = launcher.run("--compat", "moxing", script, env=here)
    assert "real True" in job.stdout and "a real moxing is installed" in job.stderr, job.stderr
    job = launcher.run("--compat", "moxing=ours", script, env=here, runs="runs2")
    assert "real False" in job.stdout and "is not used" in job.stderr, job.stderr


def test_names_that_are_not_known(launcher: Launcher) -> None:
    script = launcher.script("")
    job = launcher.run("--compat", "moxing,mindx_elastic", script)
    assert job.process.returncode == 64 and "'mindx_elastic' is none of moxing, modelarts" in job.stderr


def test_the_last_round_of_a_sync_is_not_lost(launcher: Launcher, server: Stub, tmp_path: Path) -> None:
    script = launcher.script(
        """
        import os
        import moxing as mox
        os.makedirs("out")
        mox.file.background_sync_copy("out", "obs://bucket/out", seconds=3600)
        open("out/model", "wb").write(bytes(9 << 20))
        open("out/log", "w").write("end")
        """
    )
    job = launcher.run("--compat", "moxing", script, env=environ(server, tmp_path))
    assert job.process.returncode == 0, job.stderr
    assert (
        sorted(server.objects) == ["out/log", "out/model"]
        and len(server.objects["out/model"].data) == 9 << 20
    )


def test_an_error_does_not_end_the_sync_before_its_last_round(
    launcher: Launcher, server: Stub, tmp_path: Path
) -> None:
    script = launcher.script(
        """
        import os
        import moxing as mox
        os.makedirs("out")
        mox.file.background_sync_copy("out", "obs://bucket/out", seconds=3600)
        open("out/log", "w").write("end")
        raise SystemExit(3)
        """
    )
    job = launcher.run("--max-restarts", 0, "--compat", "moxing", script, env=environ(server, tmp_path))
    assert job.process.returncode == 3 and sorted(server.objects) == ["out/log"], job.stderr
