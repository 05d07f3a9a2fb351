"""One real server for the session."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from .rgw import Rgw, missing

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.storage)


@pytest.fixture(scope="session")
def rgw() -> Iterator[Rgw]:
    if why := missing():
        pytest.skip(why)
    server = Rgw(Path(tempfile.mkdtemp(prefix="rgw-")))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def bucket(rgw: Rgw, request: pytest.FixtureRequest) -> Iterator[str]:
    """A bucket of the test's own, emptied and removed afterwards."""
    client = boto3.client(
        "s3",
        endpoint_url=rgw.environ["S3_ENDPOINT"],
        region_name="us-east-1",
        aws_access_key_id=rgw.access_key,
        aws_secret_access_key=rgw.secret_key,
    )
    name = f"b{abs(hash(request.node.nodeid)):x}"
    client.create_bucket(Bucket=name)
    yield name
    for upload in client.list_multipart_uploads(Bucket=name).get("Uploads", ()):
        client.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
    pages = client.get_paginator("list_objects").paginate(Bucket=name)
    for found in [found for page in pages for found in page.get("Contents", ())]:
        client.delete_object(Bucket=name, Key=found["Key"])
    client.delete_bucket(Bucket=name)
