"""A real S3 server of one machine, Ceph's RGW from Debian's packages: http and TLS, path and virtual-host."""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "monmaptool", "openssl")
STARTS = 3  # now and then the daemons do not find each other
READY = 60.0  # seconds
CONF = """\
[global]
fsid = {fsid}
mon_host = v1:127.0.0.1:{mon}
mon_initial_members = a
public_network = 127.0.0.0/8
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_msgr2 = false
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_data_avail_crit = 0
mon_data_avail_warn = 0
run_dir = {folder}/run
log_file = {folder}/log/$name.log
admin_socket = {folder}/run/$name.asok
pid_file = {folder}/run/$name.pid
[mon.a]
mon_data = {folder}/mon
mon_addr = 127.0.0.1:{mon}
[osd.0]
osd_data = {folder}/osd
osd_objectstore = memstore
memstore_device_bytes = 4294967296
osd_op_num_shards = 2
osd_class_load_list = *
osd_class_default_list = *
[client.rgw]
rgw_data = {folder}/rgw
rgw_frontends = beast endpoint=127.0.0.1:{http} ssl_endpoint=127.0.0.1:{tls} {certificate} tcp_nodelay=1
rgw_dns_name = localhost
rgw_enable_usage_log = false
rgw_enable_ops_log = false
"""


class Rgw:
    """``folder`` must be short: sockets are in it. Its keys are those of ``environ``."""

    access_key, secret_key = "test-access", "test-canary-secret"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificate = folder / "s.pem"
        self.http = self.tls = 0
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def environ(self) -> dict[str, str]:
        return {
            "S3_ENDPOINT": f"http://127.0.0.1:{self.http}",
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_CA_BUNDLE": str(self.certificate),
        }

    def start(self) -> None:
        for left in reversed(range(STARTS)):
            try:
                self._start()
                return
            except (TimeoutError, subprocess.SubprocessError):
                self.stop()
                if not left:
                    raise

    def _start(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in ("mon", "osd", "rgw", "log", "run"):
            (self.folder / name).mkdir(parents=True)
        self._make_certificate()
        mon, self.http, self.tls = _free_ports(3)
        fsid = str(uuid.uuid4())
        certificate = f"ssl_certificate={self.certificate}"
        conf = CONF.format(
            fsid=fsid, mon=mon, folder=self.folder, http=self.http, tls=self.tls, certificate=certificate
        )
        (self.folder / "ceph.conf").write_text(conf)
        monmap = self.folder / "monmap"
        _run(["monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v1:127.0.0.1:{mon}]", str(monmap)])
        self._ceph("ceph-mon", "-i", "a", "--mkfs", "--monmap", str(monmap))
        self._daemon("ceph-mon", "-i", "a", "-f")
        osd = str(uuid.uuid4())
        self._ceph("ceph", "osd", "new", osd)
        self._ceph("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self._daemon("ceph-osd", "-i", "0", "-f")
        self._ceph("ceph", "osd", "crush", "add-bucket", "h", "host")
        self._daemon("radosgw", "-n", "client.rgw", "-f")
        self._wait()
        user = ("user", "create", "--uid=t", "--display-name=t")
        self._ceph(
            "radosgw-admin", *user, f"--access-key={self.access_key}", f"--secret-key={self.secret_key}"
        )

    def _make_certificate(self) -> None:
        key, crt = self.folder / "s.key", self.folder / "s.crt"
        names = "subjectAltName=DNS:localhost,DNS:*.localhost,IP:127.0.0.1"
        _run(
            [
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=localhost",
            ]
            + ["-addext", names, "-keyout", str(key), "-out", str(crt)]
        )
        self.certificate.write_text(key.read_text() + crt.read_text())

    def _ceph(self, program: str, *words: str) -> bytes:
        return _run([program, "-c", str(self.folder / "ceph.conf"), *words])

    def _daemon(self, program: str, *words: str) -> None:
        with open(self.folder / "log" / f"{program}.out", "wb") as out:
            self._processes.append(
                subprocess.Popen(
                    [program, "-c", str(self.folder / "ceph.conf"), *words],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    preexec_fn=_die_with_parent,
                )
            )

    def _wait(self) -> None:
        deadline = time.monotonic() + READY
        while time.monotonic() < deadline:
            if any(process.poll() is not None for process in self._processes):
                raise TimeoutError("a daemon has ended: see its log")
            try:
                socket.create_connection(("127.0.0.1", self.http), 1).close()
                return
            except OSError:
                time.sleep(0.1)
        raise TimeoutError(f"RGW does not answer after {READY:g} s")

    def memory(self) -> int:
        """Bytes that the daemons hold."""
        pages = (
            int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) for process in self._processes
        )
        return sum(pages) * os.sysconf("SC_PAGE_SIZE")

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()
        self._processes.clear()
        shutil.rmtree(self.folder, ignore_errors=True)


def missing() -> str:
    """Why it cannot run here, or ''."""
    if os.geteuid() != 0:
        return "needs root"
    absent = [name for name in PROGRAMS if not shutil.which(name)]
    return f"needs {', '.join(absent)}" if absent else ""


def _run(words: Sequence[str]) -> bytes:
    return subprocess.run(
        words, check=True, capture_output=True, timeout=READY, stdin=subprocess.DEVNULL
    ).stdout


def _die_with_parent() -> None:
    """Also where pytest is killed: nothing of it stays."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [made.getsockname()[1] for made in sockets]
    for made in sockets:
        made.close()
    return ports
