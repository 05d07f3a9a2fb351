"""Makes and removes buckets, which storage itself never does."""

from typing import Any

from ma_training.compat.moxing import auth
from ma_training.storage import BadUrl, Url
from ma_training.storage.credentials import find_credentials
from ma_training.storage.s3_calls import Calls


def create_bucket(name: str) -> None:
    """Nothing happens where it is ours already. Raises StorageError."""
    client, calls, region = _client(name)
    where: dict[str, Any] = {"Bucket": name}
    if region not in ("", "us-east-1"):
        where["CreateBucketConfiguration"] = {"LocationConstraint": region}
    try:
        calls.do(f"make the bucket {name}", lambda: client.create_bucket(**where))
    except Exception as error:
        if "BucketAlreadyOwnedByYou" not in str(error):
            raise


def delete_bucket(name: str) -> None:
    """It must be empty. Raises StorageError."""
    client, calls, _ = _client(name)
    calls.do(f"delete the bucket {name}", lambda: client.delete_bucket(Bucket=name))


def _client(name: str) -> tuple[Any, Calls, str]:
    from ma_training.storage.s3_client import client_for

    url = Url.parse(f"obs://{name}")
    if url.key or url.bucket != name:
        raise BadUrl(f"{name!r} is no name of a bucket")
    endpoint = auth.endpoint("obs")
    client = client_for("obs", name, endpoint, find_credentials("obs", auth.environ()))
    return client, Calls(endpoint), endpoint.region
