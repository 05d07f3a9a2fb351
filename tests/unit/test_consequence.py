"""What libraries say when another rank is gone, and what only sounds like it: real texts, shortened."""

import pytest

from ma_training.diagnosis import is_consequence

GLOO = "/w/third_party/gloo/gloo/transport/tcp"
NCCL = "NCCL error in: /pytorch/torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp"
NOT_LISTENING = "The server socket has failed to listen on any local network address."

LOST_PEERS = [
    # torch with gloo
    f"RuntimeError: [{GLOO}/pair.cc:553] Connection closed by peer [127.0.0.1]:2435",
    f"RuntimeError: [{GLOO}/pair.cc:537] Read error [127.0.0.1]:17334: Connection reset by peer",
    f"RuntimeError: [{GLOO}/unbound_buffer.cc:78] Timed out waiting 2000ms for recv operation",
    f"RuntimeError: Gloo connectFullMesh failed with [{GLOO}/pair.cc:144] no error",
    f"RuntimeError: Rank 1 failed to pass monitoredBarrier in 2000 ms\n[{GLOO}/pair.cc:553] closed",
    # torch with NCCL
    f"RuntimeError: {NCCL}:1191, unhandled system error, NCCL version 2.10.3",
    "DistBackendError: NCCL communicator was aborted on rank 1.",
    (
        f"DistBackendError: {NCCL}:1550, remote process exited or there was a network error\n"
        "ncclRemoteError: A call failed possibly due to a network error or a remote process exiting "
        "prematurely.\nLast error:\nsocketProgress: Connection closed by remote peer node1<41234>"
    ),
    (
        "DistBackendError: [1] is setting up NCCL communicator and retrieving ncclUniqueId from [0] via c10d "
        "key-value store by key '0', but store->get('0') got error: Connection reset by peer"
    ),
    # torch's store
    "DistNetworkError: The client socket has timed out after 60000ms while trying to connect to (h, 29500).",
    "DistNetworkError: Failed to recv, got 0 bytes. Connection was likely closed.",
    "DistNetworkError: Broken pipe",
    "DistStoreError: wait timeout after 2000ms, keys: /default_pg/0//cpu//0/1",
    "DistStoreError: Timed out after 3 seconds waiting for clients. 1/2 clients joined.",
    # Horovod
    "HorovodInternalError: Horovod has been shut down. This was caused by an exception on one of the ranks",
    f"HorovodInternalError: [{GLOO}/pair.cc:589] Read error [10.0.0.2]:12: Connection reset by peer",
    # Python's own sockets
    "ConnectionResetError: [Errno 104] Connection reset by peer",
    "BrokenPipeError: [Errno 32] Broken pipe",
    # torch_npu with HCCL
    (
        "RuntimeError: OPS function error: HcclAllreduce, error code is 6\nEI0006: Getting socket times out. "
        "Reason: Remote Rank did not send the data in time. Please check the reason for the rank being stuck"
    ),
    (
        "RuntimeError: NPU function error: AclrtSynchronizeDeviceWithTimeout, error code is 507048\n"
        "EI0002: The wait execution of the Notify register times out. "
        "Reason: The Notify register has not received the Notify record from remote rank: [1]."
    ),
]

OWN_FAILURES = [
    "ValueError: Connection closed by peer",
    "ValueError: unknown backend 'nccl', expected gloo or hccl",
    "KeyError: 'store timeout'",
    "AssertionError: NCCL error: remote process exited or there was a network error",
    "SystemExit: broken pipe",
    "RuntimeError: mat1 and mat2 shapes cannot be multiplied (4x8 and 9x2)",
    "RuntimeError: DataLoader worker (pid 4711) is killed by signal: Killed.",
    "RuntimeError: ncclient, glooey and my_nccl are modules of the user's",
    "OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB.",
    "ConnectionError: Couldn't reach https://example.org/data.csv",
    # The port is taken: nobody was lost.
    (
        f"DistNetworkError: {NOT_LISTENING} port: 29500, useIpv6: false, code: -98, name: EADDRINUSE, "
        "message: address already in use"
    ),
    (
        f"RuntimeError: {NOT_LISTENING} The server socket has failed to bind to [::]:29500 "
        "(errno: 98 - Address already in use)."
    ),
]

OWN_FAILURES_TOLD_BY_A_LIBRARY = [
    "RuntimeError: Distributed package doesn't have NCCL built in",
    f"RuntimeError: [enforce fail at {GLOO}/device.cc:84] ifa != nullptr. Unable to find address for: eth9",
    (
        f"DistNetworkError: {NOT_LISTENING} The server socket has failed to bind to [::]:98 "
        "(errno: 13 - Permission denied)."
    ),
    (
        f"DistBackendError: {NCCL}:1691, invalid usage\nncclInvalidUsage: This usually "
        "reflects invalid usage of NCCL library.\nLast error:\nDuplicate GPU detected : rank 0 and rank 1 "
        "both on CUDA device 1000"
    ),
    (
        f"DistBackendError: {NCCL}:1691, unhandled cuda error\nncclUnhandledCudaError: Call "
        "to CUDA function failed.\nLast error:\nCuda failure 2 'out of memory'"
    ),
]


def error(text: str) -> dict[str, str]:
    kind, _, message = text.partition(": ")
    return {"type": kind, "message": message}


def short(text: str) -> str:
    return text[:50]


@pytest.mark.parametrize("text", LOST_PEERS, ids=short)
def test_a_lost_peer_is_a_consequence(text: str) -> None:
    assert is_consequence(error(text))


@pytest.mark.parametrize("text", OWN_FAILURES, ids=short)
def test_a_failure_of_its_own_is_none(text: str) -> None:
    assert not is_consequence(error(text))


@pytest.mark.parametrize("text", OWN_FAILURES_TOLD_BY_A_LIBRARY, ids=short)
def test_a_failure_of_its_own_that_a_communication_library_tells_is_none(text: str) -> None:
    assert not is_consequence(error(text))


def test_an_unreachable_data_server_is_no_lost_peer() -> None:
    text = (
        "ConnectionError: Caught ConnectionError in DataLoader worker process 0.\nHTTPSConnectionPool("
        "host='example.org', port=443): Max retries exceeded with url: /data (Caused by NewConnectionError: "
        "[Errno 111] Connection refused)"
    )
    assert not is_consequence({**error(text), "module": "requests.exceptions"})


def test_no_record_of_an_exception_is_no_consequence() -> None:
    assert not is_consequence({})
    assert not is_consequence({"type": "RuntimeError"})


def test_a_lost_data_loader_is_the_ranks_own() -> None:
    """Batches come through a socket of the loader's: that connection leads to no other rank."""
    traceback = (
        '  File "/s/torch/utils/data/dataloader.py", line 1291, in _try_get_data\n'
        '  File "/l/multiprocessing/resource_sharer.py", line 86, in get_connection\n'
        "ConnectionResetError: [Errno 104] Connection reset by peer"
    )
    record = error("ConnectionResetError: [Errno 104] Connection reset by peer")
    assert is_consequence(record)
    assert not is_consequence({**record, "traceback": traceback})
