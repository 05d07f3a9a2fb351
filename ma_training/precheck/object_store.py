"""A real write to object storage, and its removal: OBS answers HEAD for anything.

Credentials come from the environment alone, and are in no message.
"""

import uuid
from collections.abc import Mapping
from urllib.parse import urlparse

SCHEMES = ("s3", "obs")
_WITHIN = 5.0  # seconds for each request


def is_url(target: str) -> bool:
    return "://" in target


def write_and_remove(url: str, environ: Mapping[str, str]) -> str:
    """Why an object cannot be written, read and removed below ``url``; '' where it can."""
    parts = urlparse(url)
    if parts.scheme not in SCHEMES or not parts.netloc:
        return f"not one of {', '.join(f'{scheme}://bucket/...' for scheme in SCHEMES)}"
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        return "boto3 is not installed: pip install ma-training[storage]"
    endpoint = environ.get("S3_ENDPOINT", "")
    if endpoint and "://" not in endpoint:
        endpoint = ("http://" if environ.get("S3_USE_HTTPS") == "0" else "https://") + endpoint
    key = f"{parts.path.strip('/')}/.precheck-{uuid.uuid4().hex}".lstrip("/")
    try:
        client = boto3.client(
            "s3",
            endpoint_url=endpoint or None,
            aws_access_key_id=environ.get("AWS_ACCESS_KEY_ID"),
            aws_secret_access_key=environ.get("AWS_SECRET_ACCESS_KEY"),
            aws_session_token=environ.get("AWS_SESSION_TOKEN"),
            region_name=environ.get("AWS_REGION") or "us-east-1",
            verify=environ.get("S3_VERIFY_SSL") != "0",
            config=Config(connect_timeout=_WITHIN, read_timeout=_WITHIN, retries={"max_attempts": 1}),
        )
        client.put_object(Bucket=parts.netloc, Key=key, Body=b"precheck")
        client.delete_object(Bucket=parts.netloc, Key=key)
    except ClientError as error:
        return f"{error.response.get('Error', {}).get('Code', 'error')} on {error.operation_name}"
    except (BotoCoreError, ValueError) as error:
        return f"{type(error).__name__}: {str(error)[:160]}"
    return ""
