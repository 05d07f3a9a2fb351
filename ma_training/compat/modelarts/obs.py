"""``session.obs``: files and directories, from and to object storage. A directory keeps its last name."""

from pathlib import Path

from ma_training.compat.moxing import changing, copying
from ma_training.compat.moxing.exceptions import translated
from ma_training.storage import BadUrl, Url

from . import buckets
from .places import download_target, in_obs, locally


class Obs:
    """Each raises moxing's exceptions, which are OSErrors."""

    def copy(self, src_path: str, dst_path: str, keep_last_dir: bool = True) -> None:
        """A file or a directory, one of the two places in object storage.

        ``keep_last_dir``: a directory comes to be ``dst/<its name>``, not ``dst``.
        """
        with translated():
            source, target = Url.parse(src_path), Url.parse(dst_path)
            if source.is_local and target.is_local:
                raise BadUrl(f"{src_path} and {dst_path} are both local", "write obs://bucket/key for one")
            self._copy(source, target, keep_last_dir)

    def upload_file(self, src_local_file: str, dst_obs_dir: str) -> None:
        """To ``dst_obs_dir/<name>``, with a slash after the directory or not."""
        with translated():
            source, target = locally(src_local_file, "src_local_file"), in_obs(dst_obs_dir, "dst_obs_dir")
            self._copy_file(source, target.directory.child(source.name))

    def upload_dir(self, src_local_dir: str, dst_obs_dir: str) -> None:
        """To ``dst_obs_dir/<last name of src_local_dir>/``."""
        with translated():
            source, target = locally(src_local_dir, "src_local_dir"), in_obs(dst_obs_dir, "dst_obs_dir")
            self._copy_tree(source, target, True)

    def download_file(self, src_obs_file: str, dst_local_dir: str) -> None:
        """To ``dst_local_dir/<name>``; see ``download_target`` for what else users write."""
        with translated():
            source, target = in_obs(src_obs_file, "src_obs_file"), locally(dst_local_dir, "dst_local_dir")
            self._copy_file(source, download_target(source, target, Path(target.key).is_dir()))

    def download_dir(self, src_obs_dir: str, dst_local_dir: str) -> None:
        """To ``dst_local_dir/<last name of src_obs_dir>/``."""
        with translated():
            source, target = in_obs(src_obs_dir, "src_obs_dir"), locally(dst_local_dir, "dst_local_dir")
            self._copy_tree(source, target, True)

    def create_bucket(self, bucket: str) -> str:
        with translated():
            buckets.create_bucket(bucket)
        return bucket

    def delete_bucket(self, bucket: str) -> None:
        """Raises MoxFileRespException where something is in it."""
        with translated():
            buckets.delete_bucket(bucket)

    def create_directory(self, bucket: str, directory: str) -> None:
        changing.make_dirs(f"obs://{bucket}/{directory.strip('/')}/")

    def _copy(self, source: Url, target: Url, keep: bool) -> None:
        if not source.is_directory and copying.find_file(source):
            self._copy_file(source, target)
        else:
            self._copy_tree(source, target, keep)

    def _copy_file(self, source: Url, target: Url) -> None:
        if entry := copying.find_file(source):
            copying.one_file(source, entry, target)
        elif copying.is_directory(source):
            raise BadUrl(f"{source} is a directory", "copy, upload_dir and download_dir take directories")
        else:
            copying.raise_missing(source)

    def _copy_tree(self, source: Url, target: Url, keep: bool) -> None:
        if not copying.is_directory(source):
            copying.raise_missing(source)
        copying.tree(source, target.directory.child(source.name + "/") if keep else target)
