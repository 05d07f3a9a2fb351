"""Where the object storage is, and how it is to be talked to: from the URL and the environment."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from .errors import BadUrl

_NAMES = ("S3_ENDPOINT", "S3_ENDPOINT_URL", "OBS_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_REGIONS = ("S3_REGION", "AWS_REGION", "AWS_DEFAULT_REGION", "REGION_NAME")
_OBS_HOST = re.compile(
    r"(?:.+\.)?obs\.([a-z0-9-]+)\.[a-z0-9.-]*(?:myhuaweicloud|hwclouds|huaweicloud)\.(?:com|cn|eu)"
)
_NO = ("0", "false", "no", "off")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``url``: "" is the library's own choice, which is Amazon. Times in seconds.

    ``path_style``: http://host/bucket/key instead of http://bucket.host/key.
    """

    url: str = ""
    region: str = "us-east-1"
    path_style: bool = False
    verify: bool = True
    tries: int = 10
    connect_timeout: float = 10.0
    read_timeout: float = 60.0

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc or f"s3.{self.region}.amazonaws.com"

    @property
    def is_obs(self) -> bool:
        return is_obs_host(self.host)


def is_obs_host(host: str) -> bool:
    """A name of Huawei Cloud's object storage.

    >>> is_obs_host("obs.cn-north-4.myhuaweicloud.com"), is_obs_host("localhost:7480")
    (True, False)
    """
    return bool(_OBS_HOST.fullmatch(host.partition(":")[0]))


def find_endpoint(scheme: str, environ: Mapping[str, str]) -> Endpoint:
    """For ``obs`` or ``s3``; raises BadUrl where the endpoint makes no sense, or is needed and not given."""
    text = next((environ[name] for name in _NAMES if environ.get(name)), "")
    region = next((environ[name] for name in _REGIONS if environ.get(name)), "")
    if not text and scheme == "obs":
        if not region:
            hint = "set S3_ENDPOINT=https://obs.<region>.myhuaweicloud.com"
            raise BadUrl("obs:// needs an endpoint, and none is set", hint)
        text = f"https://obs.{region}.myhuaweicloud.com"
    use_https = environ.get("S3_USE_HTTPS", "1").lower() not in _NO
    url = normalise(text, use_https) if text else ""
    host = urlsplit(url).hostname or ""
    found = _OBS_HOST.fullmatch(host)
    return Endpoint(
        url=url,
        region=region or (found[1] if found else "us-east-1"),
        path_style=_is_path_style(host, environ.get("S3_ADDRESSING_STYLE", "")),
        verify=environ.get("S3_VERIFY_SSL", "1").lower() not in _NO,
    )


def normalise(text: str, use_https: bool = True) -> str:
    """A full URL of what may be a bare host; raises BadUrl.

    >>> normalise("obs.cn-north-4.myhuaweicloud.com/")
    'https://obs.cn-north-4.myhuaweicloud.com'
    """
    hint = "write S3_ENDPOINT=https://host[:port], without the bucket"
    full = text.strip() if "://" in text else f"{'https' if use_https else 'http'}://{text.strip()}"
    try:
        parts = urlsplit(full)
        port = parts.port
    except ValueError:
        raise BadUrl(f"{text!r} is no endpoint", hint) from None
    if parts.username or parts.password:
        raise BadUrl("the endpoint holds credentials: they belong in variables of their own", hint)
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname or re.search(r"\s", full):
        raise BadUrl(f"{text!r} is no endpoint", hint)
    if parts.path.strip("/") or parts.query:
        raise BadUrl(f"endpoint {text!r} has a path", hint)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme.lower()}://{host}" + (f":{port}" if port else "")


def without_bucket(url: str, bucket: str) -> str:
    """The endpoint of an URL that begins with the bucket, as consoles show it.

    >>> without_bucket("https://b1.obs.cn-north-4.myhuaweicloud.com", "b1")
    'https://obs.cn-north-4.myhuaweicloud.com'
    """
    return url.replace(f"://{bucket}.", "://", 1)


def _is_path_style(host: str, asked: str) -> bool:
    if asked.lower() in ("path", "virtual"):
        return asked.lower() == "path"
    if host == "localhost":
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False  # OBS refuses path style on its domain names
    return True


def worker_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """What workers need so that boto3 in a user's script can upload to OBS; nothing where none is used.

    boto3 1.36 and later sends checksums in trailers that OBS does not take.
    """
    text = next((environ[name] for name in _NAMES if environ.get(name)), "")
    wanted = ("AWS_REQUEST_CHECKSUM_CALCULATION", "AWS_RESPONSE_CHECKSUM_VALIDATION")
    try:
        host = urlsplit(normalise(text)).hostname or "" if text else ""
    except BadUrl:
        return {}
    return {name: "when_required" for name in wanted if name not in environ} if is_obs_host(host) else {}
