"""boto3, set up for what OBS takes; nothing of it leaves the files s3*.py.

OBS takes neither the trailers with checksums of boto3 >= 1.36 nor signed payloads, so both are off; what is
sent carries its MD5. boto3's own retries are off as well: it knows neither budget nor clock.
"""

import os
import threading
from datetime import timedelta
from typing import Any

import boto3
import botocore.auth
import botocore.session
from botocore.compat import get_current_datetime
from botocore.config import Config
from botocore.exceptions import NoCredentialsError

from .credentials import HINT, Credentials, from_profile
from .endpoints import Endpoint, without_bucket
from .errors import NoCredentials
from .hosts import host_of

SIGNER = "ma-training-s3v4"
MOST_CONNECTIONS = 64


class ClockedAuth(botocore.auth.S3SigV4Auth):  # type: ignore[misc]  # it has no types
    """Signs with the server's time, where ours is known to be off. Otherwise the original's steps."""

    def add_auth(self, request: Any) -> None:
        if self.credentials is None:
            raise NoCredentialsError()
        offset = request.context["ma_training_host"].clock_offset
        now = get_current_datetime() + timedelta(seconds=offset)
        request.context["timestamp"] = now.strftime(botocore.auth.SIGV4_TIMESTAMP)
        self._modify_request_before_signing(request)
        text = self.string_to_sign(request, self.canonical_request(request))
        self._inject_signature_to_request(request, self.signature(text, request))


botocore.auth.AUTH_TYPE_MAPS.setdefault(SIGNER, ClockedAuth)

_clients: dict[Any, Any] = {}
_lock = threading.Lock()


def _after_fork() -> None:
    """A child makes connections of its own; a lock may have been held by a thread that it has not."""
    global _lock
    _lock = threading.Lock()
    _clients.clear()


os.register_at_fork(after_in_child=_after_fork)


def client_for(scheme: str, bucket: str, endpoint: Endpoint, credentials: Credentials | None) -> Any:
    """A client, shared by all stores of this process that want the same. Raises NoCredentials."""
    secret = (credentials.access_key, credentials.secret_key, credentials.token) if credentials else None
    key = (scheme, without_bucket(endpoint.url, bucket), endpoint, secret)
    with _lock:
        if key not in _clients:
            _clients[key] = _make(scheme, key[1], endpoint, credentials)
        return _clients[key]


def _make(scheme: str, url: str, endpoint: Endpoint, credentials: Credentials | None) -> Any:
    session = boto3.Session(region_name=endpoint.region)
    if credentials is None and session.get_credentials() is None:
        credentials = from_profile(os.environ)
        if credentials is None:
            raise NoCredentials(f"no credentials for {scheme}:// were found", HINT)
    client = session.client(
        "s3",
        endpoint_url=url or None,
        config=_config(endpoint),
        verify=None if endpoint.verify else False,
        aws_access_key_id=credentials.access_key if credentials else None,
        aws_secret_access_key=credentials.secret_key if credentials else None,
        aws_session_token=(credentials.token or None) if credentials else None,
    )
    host = host_of(endpoint.host)

    def choose_signer(context: dict[str, Any], **_: Any) -> str:
        context["ma_training_host"] = host
        return SIGNER

    client.meta.events.register_first("choose-signer.s3", choose_signer)
    return client


def _config(endpoint: Endpoint) -> Config:
    # On plain http a signature is all that protects the bytes; OBS takes none of them even there.
    unsigned = endpoint.url.startswith("https") or endpoint.is_obs
    return Config(
        signature_version="s3v4",
        retries={"total_max_attempts": 1, "mode": "standard"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=endpoint.connect_timeout,
        read_timeout=endpoint.read_timeout,
        max_pool_connections=MOST_CONNECTIONS,
        tcp_keepalive=True,
        user_agent_extra="ma-training",
        s3={
            "addressing_style": "path" if endpoint.path_style else "virtual",
            "payload_signing_enabled": not unsigned,
        },
    )
