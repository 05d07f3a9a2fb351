"""What requests are signed with: found in variables, in ma-cli's profile, or by boto3's own chain."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import NoCredentials

# Each: key, secret, and names of a session's token.
_VARIABLES = (
    ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", ("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")),
    ("S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY", ("S3_SESSION_TOKEN", "S3_SECURITY_TOKEN")),
    ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", ("SECURITY_TOKEN", "SESSION_TOKEN")),  # moxing's
    ("OBS_ACCESS_KEY_ID", "OBS_SECRET_ACCESS_KEY", ("OBS_SECURITY_TOKEN",)),
)
_KEYS = ("access_key", "access_key_id", "ak")
_SECRETS = ("secret_key", "secret_access_key", "sk")
_TOKENS = ("security_token", "session_token", "token")
PROFILE = Path("~/.modelarts/ma-cli-profile.yaml")


@dataclass(frozen=True, slots=True)
class Credentials:
    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)


def find_credentials(scheme: str, environ: Mapping[str, str]) -> Credentials | None:
    """None: it is left to boto3's chain. ma-cli's profile comes before that for obs, after it for s3.

    Raises NoCredentials where half of them are there.
    """
    if found := from_variables(environ):
        return found
    return from_profile(environ) if scheme == "obs" else None


def from_variables(environ: Mapping[str, str]) -> Credentials | None:
    for key, secret, tokens in _VARIABLES:
        if bool(environ.get(key)) != bool(environ.get(secret)):
            missing, there = (secret, key) if environ.get(key) else (key, secret)
            raise NoCredentials(f"{there} is set, and {missing} is not", "set both, or neither")
        if environ.get(key):
            token = next((environ[name] for name in tokens if environ.get(name)), "")
            return Credentials(environ[key], environ[secret], token)
    return None


def from_profile(environ: Mapping[str, str]) -> Credentials | None:
    """Those of ``ma-cli configure --auth AKSK``, in the profile that MA_CLI_PROFILE names, or DEFAULT."""
    path = Path(environ.get("MA_CLI_PROFILE_FILE") or PROFILE).expanduser()
    name = environ.get("MA_CLI_PROFILE", "DEFAULT")
    try:
        text = path.read_text()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise NoCredentials(
            f"cannot read {path}: {type(error).__name__}", "ma-cli configure --auth AKSK"
        ) from None
    import yaml

    try:
        profile = yaml.safe_load(text)
    except yaml.YAMLError:  # its text would show what is in the file
        raise NoCredentials(f"{path} is not YAML", "write it anew: ma-cli configure --auth AKSK") from None
    section = profile.get(name, profile) if isinstance(profile, dict) else {}
    values = dict(_leaves(section))
    key, secret, token = (
        next((values[n] for n in names if values.get(n)), "") for names in (_KEYS, _SECRETS, _TOKENS)
    )
    return Credentials(key, secret, token) if key and secret else None


def _leaves(section: Any) -> Iterator[tuple[str, str]]:
    """All texts in it, at any depth, by their own key: the file's form differs between versions of ma-cli."""
    if isinstance(section, dict):
        for name, value in section.items():
            if isinstance(value, str):
                yield str(name).lower().replace("-", "_"), value
            yield from _leaves(value)


HINT = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or ACCESS_KEY_ID and SECRET_ACCESS_KEY), "
    "or run ma-cli configure --auth AKSK"
)
