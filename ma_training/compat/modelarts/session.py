"""``modelarts.session.Session``: what of it concerns object storage, of SDK 1.1.1 and later."""

from collections.abc import Sequence
from typing import Any, NoReturn

from ma_training.compat.moxing import auth

from .obs import Obs
from .places import of_bucket_path


class Session:
    """With no arguments it takes credentials and endpoint from the environment, as mox.file does.

    Given keys hold for all of this process, mox.file too. Raises ValueError where half of them are given.
    """

    def __init__(
        self,
        access_key: str | None = None,
        secret_key: str | None = None,
        project_id: str | None = None,
        region_name: str | None = None,
        obs_endpoint: str | None = None,
        **others: Any,
    ) -> None:
        if {"username", "password", "account"} & others.keys():
            raise ValueError(
                "Session: object storage takes no password\n    hint: Session(access_key=..., secret_key=...)"
            )
        self.project_id, self.region_name = project_id, region_name
        server = obs_endpoint or (f"obs.{region_name}.myhuaweicloud.com" if region_name else None)
        auth.set_auth(ak=access_key, sk=secret_key, server=server)
        self.obs = Obs()

    # --- SDK 1.1.1 had these here ---

    def create_bucket(self, bucket: str) -> str:
        return self.obs.create_bucket(bucket)

    def delete_bucket(self, bucket: str) -> None:
        self.obs.delete_bucket(bucket)

    def create_directory(self, bucket: str, directory: str) -> None:
        self.obs.create_directory(bucket, directory)

    def upload_data(self, bucket_path: str, path: str | Sequence[str]) -> None:
        """Files or directories, to ``/bucket/directory/``."""
        for one in [path] if isinstance(path, str) else path:
            self.obs.copy(one, of_bucket_path(bucket_path))

    def download_data(self, bucket_path: str, path: str) -> None:
        """A file, which may get a new name, or a directory, to a local path."""
        self.obs.copy(of_bucket_path(bucket_path), path)

    def get_obs_client(self) -> NoReturn:
        raise NotImplementedError(
            "get_obs_client gives a client of Huawei's own SDK, which is not part of this\n"
            "    hint: pip install esdk-obs-python, or use session.obs.copy, or boto3"
        )

    def default_bucket(self) -> NoReturn:
        raise NotImplementedError(
            "default_bucket's name is made of the project's id by ModelArts\n    hint: name the bucket"
        )
