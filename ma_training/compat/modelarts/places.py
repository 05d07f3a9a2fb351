"""What the SDK's paths mean: pure."""

from pathlib import PurePosixPath

from ma_training.storage import BadUrl, Url


def in_obs(path: str, name: str) -> Url:
    """Of an argument ``name`` that must begin with obs://; raises BadUrl."""
    if not isinstance(path, str) or not path.startswith(("obs://", "s3://")):
        raise BadUrl(f"{name} is {path!r}, and not in object storage", "write obs://bucket/key")
    return Url.parse(path)


def locally(path: str, name: str) -> Url:
    """Of an argument ``name`` that must not be a URL; raises BadUrl."""
    if "://" in str(path):
        raise BadUrl(f"{name} is {path!r}, and not a local path", "exchange the two arguments?")
    return Url.parse(path)


def of_bucket_path(path: str) -> str:
    """The older SDK's ``/bucket/key`` as a URL.

    >>> of_bucket_path("/bucket/dir1/")
    'obs://bucket/dir1/'
    """
    return path if "://" in path else f"obs://{path.lstrip('/')}"


def download_target(source: Url, target: Url, exists: bool) -> Url:
    """Where a file goes: into a directory, which need not exist; users also give the file's own new name.

    The latter is taken to be meant where there is no such directory and the ending is the source's.

    >>> str(download_target(Url.parse("obs://b/a.zip"), Url.parse("/data"), False))
    '/data/a.zip'
    >>> str(download_target(Url.parse("obs://b/a.zip"), Url.parse("/data/new.zip"), False))
    '/data/new.zip'
    """
    ending = PurePosixPath(source.name).suffix
    if not exists and not target.is_directory and ending and PurePosixPath(target.name).suffix == ending:
        return target
    return target.directory.child(source.name)
