"""Where object storage is and who asks: the environment's, with what ``set_auth`` laid over it."""

import os
from collections import ChainMap
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field, replace

from ma_training.storage import Endpoint, Store, Url, find_endpoint, open_store

TOKENS = ("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")


@dataclass(frozen=True, slots=True)
class Auth:
    """``variables`` stand for the environment's of the same name, and are kept out of it: they are secret."""

    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    is_secure: bool | None = None
    tries: int | None = None
    timeout: float | None = None  # seconds

    def environ(self) -> MutableMapping[str, str]:
        return ChainMap(dict(self.variables), os.environ)

    def endpoint(self, scheme: str) -> Endpoint:
        """Raises BadUrl."""
        found = find_endpoint(scheme, self.environ())
        if self.is_secure is not None and found.url:
            found = replace(found, url=f"{'https' if self.is_secure else 'http'}://{found.host}")
        if self.tries:
            found = replace(found, tries=self.tries)
        if self.timeout:
            found = replace(found, connect_timeout=self.timeout, read_timeout=self.timeout)
        return found


_auth = Auth()


def set_auth(
    ak: str | None = None,
    sk: str | None = None,
    server: str | None = None,
    port: int | None = None,
    is_secure: bool | None = None,
    ssl_verify: bool | None = None,
    long_conn_mode: bool | None = None,
    path_style: bool | None = None,
    retry: int | None = None,
    retry_wait: float | None = None,
    client_timeout: float | None = None,
    list_max_keys: int | None = None,
    timeout_config: Mapping[str, float | None] | None = None,
) -> None:
    """Changes what is given and leaves the rest, in this process and those that it forks.

    Without effect: long_conn_mode (connections are always kept), retry_wait (it adapts), list_max_keys.
    ``client_timeout`` and the longest of ``timeout_config`` are seconds for one answer. Raises ValueError.
    """
    global _auth
    variables = dict(_auth.variables) | _credentials(ak, sk) | _server(server, port, is_secure)
    if ssl_verify is not None:
        variables["S3_VERIFY_SSL"] = "1" if ssl_verify else "0"
    if path_style is not None:
        variables["S3_ADDRESSING_STYLE"] = "path" if path_style else "virtual"
    timeouts = [value for value in (client_timeout, *(timeout_config or {}).values()) if value]
    _auth = Auth(
        variables,
        _auth.is_secure if is_secure is None else is_secure,
        _auth.tries if retry is None else max(1, int(retry)),
        max(timeouts) if timeouts else _auth.timeout,
    )


def _credentials(ak: str | None, sk: str | None) -> dict[str, str]:
    if bool(ak) != bool(sk):
        raise ValueError("set_auth: ak and sk are given together\n    hint: set_auth(ak=..., sk=...)")
    if not (ak and sk):
        return {}
    return {"AWS_ACCESS_KEY_ID": ak, "AWS_SECRET_ACCESS_KEY": sk, **dict.fromkeys(TOKENS, "")}


def _server(server: str | None, port: int | None, is_secure: bool | None) -> dict[str, str]:
    if not server:
        if port:
            raise ValueError("set_auth: port without server\n    hint: set_auth(server=..., port=...)")
        return {}
    if "://" not in server:
        server = f"{'http' if is_secure is False else 'https'}://{server}"
    return {"S3_ENDPOINT": f"{server.rstrip('/')}:{int(port)}" if port else server}


def forget() -> None:
    """As if set_auth had never been called."""
    global _auth
    _auth = Auth()


def endpoint(scheme: str) -> Endpoint:
    """Raises BadUrl."""
    return _auth.endpoint(scheme)


def environ() -> Mapping[str, str]:
    return _auth.environ()


def open_at(url: Url) -> Store:
    """The store whose root is ``url``. Raises BadUrl, NoCredentials."""
    if url.is_local:
        return open_store(url)
    return open_store(url, _auth.environ(), _auth.endpoint(url.scheme))
