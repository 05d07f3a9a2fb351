"""What a server's or a connection's failure means: try again, or which StorageError it is."""

import re
from typing import Any

import botocore.exceptions as boto
import urllib3.exceptions as urllib3

from .credentials import HINT
from .errors import (
    Changed,
    Damaged,
    Exists,
    NoCredentials,
    NotFound,
    Refused,
    StorageError,
    Unavailable,
)

_AGAIN = (408, 429, 500, 502, 503, 504)
_AGAIN_CODES = (
    "RequestTimeout",
    "SlowDown",
    "InternalError",
    "ServiceUnavailable",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
    "RequestLimitExceeded",
    "BadDigest",  # the bytes were damaged on the way
    "IncompleteBody",
    "OperationAborted",
)
_REGION = ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301")
# Cut, reset, timed out, unreachable: on the way, or the server restarts.
CONNECTION = (
    boto.HTTPClientError,
    boto.ConnectionError,
    boto.ResponseStreamingError,
    boto.IncompleteReadError,
    urllib3.HTTPError,
    ConnectionError,
    TimeoutError,
)


def status_of(error: boto.ClientError) -> tuple[int, str]:
    """HTTP's status and S3's code; the code is the status again where an answer has no body, as for HEAD."""
    response: dict[str, Any] = error.response
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return int(status), str(response.get("Error", {}).get("Code", ""))


def date_of(error: boto.ClientError) -> str:
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return str(headers.get("date", ""))


def may_repeat(error: Exception) -> bool:
    if isinstance(error, boto.SSLError):
        return "CERTIFICATE" not in str(error).upper()
    if isinstance(error, boto.ClientError):
        status, code = status_of(error)
        return status in _AGAIN or code in _AGAIN_CODES
    return isinstance(error, CONNECTION)


def is_missing(error: Exception) -> bool:
    """No such key. A missing bucket is another matter, but for HEAD, which cannot tell."""
    return isinstance(error, boto.ClientError) and status_of(error)[1] in ("NoSuchKey", "404", "NotFound")


def explain(error: Exception, what: str, tries: int) -> StorageError:
    """``what``: "read obs://b/k". No text of the server's is shown in which keys or signatures could be."""
    if isinstance(error, boto.ClientError):
        return _of_server(error, what, tries)
    if isinstance(
        error, boto.NoCredentialsError | boto.PartialCredentialsError | boto.CredentialRetrievalError
    ):
        return NoCredentials(f"cannot {what}: no credentials were found", HINT)
    if isinstance(error, boto.SSLError) and not may_repeat(error):
        hint = "name the authority's file in AWS_CA_BUNDLE; S3_VERIFY_SSL=0 trusts anyone"
        return Refused(f"cannot {what}: the server's certificate is not trusted", hint)
    if isinstance(error, CONNECTION):
        hint = "is the endpoint right (S3_ENDPOINT), and can this machine reach it?"
        return Unavailable(f"cannot {what}: {_reason(error)}, {tries} times", hint)
    return StorageError(f"cannot {what}: {_first_line(error)}")


def _of_server(error: boto.ClientError, what: str, tries: int) -> StorageError:
    status, code = status_of(error)
    said = f"{code} ({status})" if code and code != str(status) else str(status)
    message = str(error.response.get("Error", {}).get("Message", ""))
    text = f"cannot {what}: the server says {said}"
    if code == "NoSuchBucket":
        return NotFound(text, "check the bucket's name, and that the endpoint is its region's")
    if status == 404:
        return NotFound(text)
    if status == 412:
        return Changed(text)
    if status == 409 and code == "ConditionalRequestConflict":
        return Exists(text)
    if code == "BadDigest":
        return Damaged(f"{text}, {tries} times: the bytes are damaged on the way")
    if status in (401, 403) or code in _REGION or "KMS" in code:
        return _refusal(text, status, code, message)
    if may_repeat(error):
        return Unavailable(f"{text}, {tries} times", "try again later, or with fewer workers")
    return StorageError(text)


def _refusal(text: str, status: int, code: str, message: str) -> Refused:
    if "KMS" in code.upper() or re.search(r"kms|encrypt", message, re.IGNORECASE):
        hint = "its key must be usable by this account, or choose a bucket that is not encrypted"
        return Refused(f"{text}: the bucket or object is encrypted", hint)
    if code in _REGION or status in (301, 307):
        hint = "the endpoint must be that of the bucket's region: S3_ENDPOINT=https://obs.<region>.myhuaweicloud.com"
        return Refused(f"{text}: the bucket is in another region than the endpoint", hint)
    hints = {
        "SignatureDoesNotMatch": "the secret key does not belong to the access key: set both anew",
        "InvalidAccessKeyId": "the access key is not known there: is it of this cloud and region?",
        "ExpiredToken": "the session's token has expired: get new credentials",
        "InvalidToken": "the session's token is not valid: get new credentials",
        "RequestTimeTooSkewed": "this machine's clock is wrong",
    }
    otherwise = "may this account do that there? does the key belong to this cloud? is the bucket encrypted?"
    return Refused(text, hints.get(code, otherwise))


def _reason(error: Exception) -> str:
    if isinstance(error, boto.ConnectTimeoutError | boto.ReadTimeoutError | TimeoutError):
        return "no answer in time"
    cause = str(getattr(error, "kwargs", {}).get("error", error))  # boto3's own text leaves it out
    if "NameResolution" in cause or "not known" in cause:
        return "the host's name is not known"
    if "refused" in cause:
        return "connection refused"
    return f"connection lost ({type(error).__name__})"


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
