"""Ports of rendezvous: one that all nodes derive alike where none is told, and whether one is free."""

import errno

from launchers.cli.errors import UsageError

FIRST, COUNT = 20000, 10000  # below what kernels give out to clients (32768 on)


def port_from(job: str) -> int:
    """The same for all nodes of a job; another for most other jobs on the same machines."""
    import zlib

    return FIRST + zlib.crc32(job.encode()) % COUNT


def check_free(port: int) -> None:
    """Raises UsageError where rank 0 could not listen on it."""
    from ma_training.agent.ports import HeldPort

    try:
        HeldPort(port).close()
    except OSError as error:
        if error.errno == errno.EACCES:
            raise UsageError(
                f"--master-port {port}: not permitted: ports below 1024 need privileges"
            ) from None
        raise UsageError(
            f"--master-port {port}: something{_whose(port)} listens on that port",
            "leave the option out on one node: a free port is chosen for each attempt",
        ) from None


def _whose(port: int) -> str:
    """' (python3, pid 12)' where that can be found out."""
    import psutil

    try:
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                return (
                    f" ({psutil.Process(connection.pid).name()}, pid {connection.pid})"
                    if connection.pid
                    else ""
                )
    except (psutil.Error, OSError):
        pass
    return ""
