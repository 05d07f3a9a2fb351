"""URLs, endpoints, credentials, limits and room: plain decisions, and the words of their errors."""

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ma_training.storage import (
    CODE_LIMITS,
    BadUrl,
    Credentials,
    Entry,
    LimitExceeded,
    NoCredentials,
    NoSpace,
    Refused,
    Room,
    Url,
    check_limits,
    check_room,
    find_endpoint,
    worker_variables,
)
from ma_training.storage.credentials import find_credentials
from ma_training.storage.retry_budget import CAPACITY, LONGEST, PER_SECOND, PER_SUCCESS, TokenBucket, pause
from ma_training.storage.transfer import MOST_PARTS, SMALL, part_size

OBS = "https://obs.cn-north-4.myhuaweicloud.com"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "write obs"),
        ("a\0b", "write obs"),
        ("http://host/x", "write obs"),
        ("obs://", "obs://bucket/key"),
        ("obs:///key", "obs://bucket/key"),
        ("obs:/bucket/key", "write obs://bucket/key"),
        ("S3:bucket/key", "write s3://bucket/key"),
        ("s3://a_b c/key", "letters"),
        ("s3://ab/key", ""),
        ("s3://key:canary@bucket/x", "write obs"),
        ("file://host/x", "file:///absolute/path"),
    ],
)
def test_urls_that_make_no_sense(text: str, hint: str) -> None:
    if text == "s3://ab/key":
        assert Url.parse(text).bucket == "ab"
        return
    with pytest.raises(BadUrl) as caught:
        Url.parse(text)
    assert hint in caught.value.hint
    assert "canary" not in str(caught.value)


@given(st.text("ab/é. %", max_size=12))
def test_urls_come_back(key: str) -> None:
    url = Url.parse(f"obs://bucket/{key}")
    assert Url.parse(str(url)) == url
    assert not url.key.startswith("/")
    assert str(url.child("x/y")).endswith("/x/y")
    if url.key.strip("/"):
        assert url.parent.child(url.name).key == url.key.rstrip("/")


def test_paths_become_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert str(Url.parse("a/../b/")) == f"{tmp_path}/b/"
    assert str(Url.parse("file:///x%20y")) == "/x y"
    assert Url.parse("/").parent == Url.parse("/") == Url.parse("/x").parent
    assert Url.parse("obs://bucket").is_directory and Url.parse("obs://bucket").name == "bucket"


@pytest.mark.parametrize(
    ("environ", "url", "region", "path_style"),
    [
        ({"S3_ENDPOINT": OBS}, OBS, "cn-north-4", False),
        ({"S3_ENDPOINT": "obs.cn-north-4.myhuaweicloud.com"}, OBS, "cn-north-4", False),
        (
            {"S3_ENDPOINT": OBS[8:] + "/", "S3_USE_HTTPS": "0"},
            OBS.replace("https", "http"),
            "cn-north-4",
            False,
        ),
        ({"REGION_NAME": "cn-north-4"}, OBS, "cn-north-4", False),
        ({"S3_ENDPOINT": "http://127.0.0.1:7480"}, "http://127.0.0.1:7480", "us-east-1", True),
        ({"S3_ENDPOINT": "http://[::1]:80"}, "http://[::1]:80", "us-east-1", True),
        (
            {"S3_ENDPOINT": "localhost:1", "S3_ADDRESSING_STYLE": "virtual"},
            "https://localhost:1",
            "us-east-1",
            False,
        ),
        (
            {"AWS_ENDPOINT_URL_S3": "http://minio", "S3_ADDRESSING_STYLE": "path"},
            "http://minio",
            "us-east-1",
            True,
        ),
    ],
)
def test_endpoints(environ: dict[str, str], url: str, region: str, path_style: bool) -> None:
    found = find_endpoint("obs", environ)
    assert (found.url, found.region, found.path_style) == (url, region, path_style)


@pytest.mark.parametrize(
    "text",
    ["ftp://host", "https://", "https://host/bucket", "http://a:canary@host", "h t", "http://host:port"],
)
def test_endpoints_that_make_no_sense(text: str) -> None:
    with pytest.raises(BadUrl) as caught:
        find_endpoint("s3", {"S3_ENDPOINT": text})
    assert "canary" not in str(caught.value)


def test_obs_needs_an_endpoint_and_s3_does_not() -> None:
    with pytest.raises(BadUrl, match="S3_ENDPOINT"):
        find_endpoint("obs", {})
    assert find_endpoint("s3", {}).url == ""


def test_workers_get_what_boto3_needs_for_obs() -> None:
    when = "when_required"
    assert worker_variables({"S3_ENDPOINT": OBS}) == {
        "AWS_REQUEST_CHECKSUM_CALCULATION": when,
        "AWS_RESPONSE_CHECKSUM_VALIDATION": when,
    }
    asked = {"S3_ENDPOINT": OBS, "AWS_REQUEST_CHECKSUM_CALCULATION": "when_supported"}
    assert "AWS_REQUEST_CHECKSUM_CALCULATION" not in worker_variables(asked)
    assert worker_variables({}) == worker_variables({"S3_ENDPOINT": "http://minio"}) == {}
    assert worker_variables({"S3_ENDPOINT": "no endpoint"}) == {}


# --- credentials ---


@pytest.mark.parametrize("prefix", ["AWS_", "S3_", "", "OBS_"])
def test_credentials_of_variables(prefix: str) -> None:
    environ = {f"{prefix}ACCESS_KEY_ID": "key", f"{prefix}SECRET_ACCESS_KEY": "canary"}
    found = find_credentials("s3", environ)
    assert found == Credentials("key", "canary")
    assert "canary" not in repr(found)
    for half in environ:
        with pytest.raises(NoCredentials, match="is set, and") as caught:
            find_credentials("s3", {half: "canary"})
        assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "DEFAULT:\n  auth:\n    access_key: key\n    secret_key: canary\n",
        "DEFAULT: {access-key-id: key, secret-access-key: canary}\n",
        "ak: key\nsk: canary\n",
    ],
)
def test_credentials_of_ma_cli(text: str, tmp_path: Path) -> None:
    path = tmp_path / "profile.yaml"
    path.write_text(text)
    environ = {"MA_CLI_PROFILE_FILE": str(path)}
    assert find_credentials("obs", environ) == Credentials("key", "canary")
    assert find_credentials("s3", environ) is None  # boto3's chain comes first


@pytest.mark.parametrize(
    "text", ["{", "canary: [", "- 1", "", "\x00", "DEFAULT: 3", "DEFAULT: {ak: x}"], ids=range(7)
)
def test_damaged_profiles(text: str, tmp_path: Path) -> None:
    path = tmp_path / "profile.yaml"
    path.write_text(text)
    environ = {"MA_CLI_PROFILE_FILE": str(path)}
    if text.startswith(("{", "canary", "\x00")):
        with pytest.raises(NoCredentials, match="ma-cli configure") as caught:
            find_credentials("obs", environ)
        assert "canary" not in str(caught.value)
    else:
        assert find_credentials("obs", environ) is None


# --- retries ---


@given(st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=200))
def test_budget_bounds_retries(steps: list[tuple[float, bool]]) -> None:
    """Retries that were not waited for never exceed what was there, came with time, and was earned."""
    bucket, now, free, earned = TokenBucket(), 0.0, 0, 0.0
    for passed, retry in steps:
        now += passed
        if retry:
            free += bucket.take(now) == 0.0
        else:
            bucket.succeeded()
            earned += PER_SUCCESS
        assert free <= CAPACITY + now * PER_SECOND + earned + 1e-6


def test_budget_of_a_dead_host() -> None:
    bucket = TokenBucket()
    waits = [bucket.take(0.0) for _ in range(150)]
    assert waits[:50] == [0.0] * 50 and waits[-1] == pytest.approx(100 / PER_SECOND)
    assert bucket.take(1e9) == 0.0
    assert bucket.take(0.0) == 0.0  # a clock that goes back


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_pauses(attempt: int, chance: float) -> None:
    assert 0 <= pause(attempt, chance) < LONGEST


@given(st.integers(SMALL + 1, 5 << 40))
def test_parts(size: int) -> None:
    assert part_size(size) >= SMALL and -(-size // part_size(size)) <= MOST_PARTS


# --- limits ---


def test_code_limits_of_the_guide() -> None:
    many = [Entry(f"f{number}", 1, 0) for number in range(1000)]
    check_limits("code", many, CODE_LIMITS["5G"])
    with pytest.raises(LimitExceeded, match="more than 1000 files"):
        check_limits("code", [*many, Entry("x", 0, 0)], CODE_LIMITS["5G"])
    check_limits("code", [*many, Entry("x", 0, 0)], CODE_LIMITS["128M"])
    with pytest.raises(LimitExceeded, match=r"over 128 MiB; the largest so far: data.bin \(128 MiB\)"):
        check_limits("code", [Entry("a", 1, 0), Entry("data.bin", 128 << 20, 0)], CODE_LIMITS["128M"])
    with pytest.raises(LimitExceeded, match="33 deep, 32 are allowed"):
        check_limits("code", [Entry("/".join("x" * 33), 1, 0)], CODE_LIMITS["5G"])


def test_room() -> None:
    room = Room(bytes=1000, files=10, total=2000)
    check_room(Path("x"), 1000, 10, room)
    with pytest.raises(NoSpace, match="1001 B are needed, 1000 B are free"):
        check_room(Path("x"), 1001, 1, room)
    with pytest.raises(NoSpace, match="11 files are needed, the file system takes 10 more"):
        check_room(Path("x"), 1, 11, room)
    check_room(Path("x"), 1, 11, Room(1000, None, 2000))
    assert room.used_with(0) == 0.5 and room.used_with(1000) == 1.0


def test_errors_survive_a_process_boundary() -> None:
    error = pickle.loads(pickle.dumps(Refused("no", "ask")))
    assert (str(error), error.hint) == ("no\n    hint: ask", "ask")
