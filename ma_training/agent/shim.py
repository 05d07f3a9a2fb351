"""The shim: a tiny resident process, one per rank, between the agent and a worker.

It runs as ``python -I -S shim.py AGENT_PID``, imports next to nothing (8 MB), stays through all
attempts, and exists for one promise: *when the agent or the attempt ends, nothing that the worker
started is left*. Being a subreaper it inherits whatever a worker's descendants orphan, daemonised
(double fork, setsid) or not, so "no children left" means that the whole tree is gone.

    agent ──fd 3, stream of frames──▶ spawn · signal · kill        shim ──▶ worker ──▶ ...
          ◀────────────────────────── spawned · failed · exited · gone

A frame is four bytes of length and fields joined by NUL, which neither arguments nor environment
can contain. End of file on the socket means that the agent is gone, however it died.

Nothing here may import the package: the module search path is the standard library alone.
"""

import ctypes
import os
import select
import sys

CONTROL_FD = 3
TELEMETRY_FD = 4  # the worker inherits it under the same number

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
PR_SET_CHILD_SUBREAPER = 36
PR_SET_PTRACER = 0x59616D61
SIGKILL = 9  # importing signal costs 4 ms a rank
SIG_IGN = 1
# Python ignores the first two; the others may be sent to a whole cgroup or session at once, and are
# the agent's to pass on: a shim that died of one would take its worker with it, without any grace.
SHRUGGED_OFF = (13, 25, 1, 2, 3, 10, 12, 15)  # PIPE, XFSZ, HUP, INT, QUIT, USR1, USR2, TERM
IDLE_MS = 5000  # adopted orphans are reaped, and the agent is checked, at least this often
LOG_LOST = "log"  # instead of an errno: the worker runs all the same
WORKER_OOM_SCORE = 600  # the OOM killer takes a worker before the agent, who can say so


def encode(*fields):
    body = b"\0".join(os.fsencode(str(field)) for field in fields)
    return len(body).to_bytes(4, "big") + body


def decode(buffer):
    """Takes the whole frames off the front of a bytearray: a list of lists of str."""
    frames = []
    while len(buffer) >= 4 and len(buffer) >= (end := 4 + int.from_bytes(buffer[:4], "big")):
        frames.append([os.fsdecode(field) for field in bytes(buffer[4:end]).split(b"\0")])
        del buffer[:end]
    return frames


def children_of(pid):
    """Direct children of all of a process's threads; none where it is gone."""
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", "rb", buffering=0) as listing:
                while chunk := listing.read(1 << 16):
                    found += map(int, chunk.split())
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def children_by_scan(pid):
    """The same where the kernel was built without CONFIG_PROC_CHILDREN."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as stat:
                    if int(stat.read().rpartition(b") ")[2].split()[1]) == pid:
                        found.append(int(entry))
            except (FileNotFoundError, ProcessLookupError):
                pass
    return found


if not os.path.exists(f"/proc/self/task/{os.getpid()}/children"):
    children_of = children_by_scan


def descendants_of(pid):
    found, queue = [], [pid]
    while queue:
        children = children_of(queue.pop())
        found += children
        queue += children
    return found


class Shim:
    def __init__(self, agent_pid):
        self.agent_pid = agent_pid
        self.libc = ctypes.CDLL(None)
        self.libc.signal.restype = ctypes.c_void_p
        self.libc.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
        self.dispositions = {number: self.libc.signal(number, SIG_IGN) for number in SHRUGGED_OFF}
        self.main_pid = 0  # the worker, until it is reaped
        self.main_pidfd = -1
        self.active = False  # between "spawned" and "gone"
        self.killing = False
        self.group_signals = False
        self.inbox = bytearray()

    def run(self):
        self.libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.libc.prctl(PR_SET_NAME, b"launcher-shim", 0, 0, 0)
        wait_ms = 1
        while True:
            poller = select.poll()
            poller.register(CONTROL_FD, select.POLLIN)
            if self.main_pidfd >= 0:
                poller.register(self.main_pidfd, select.POLLIN)
            # A worker that has ended may leave children that are just ending too.
            waiting = self.killing or (self.active and not self.main_pid)
            ready = poller.poll(wait_ms if waiting else IDLE_MS)
            for fd, _ in ready:
                if fd == CONTROL_FD:
                    self.receive()
            if os.getppid() != self.agent_pid:
                self.end()
            self.reap()
            if self.killing:
                self.kill_tree()
            # A worker with much memory takes a second to be torn down: look less often.
            wait_ms = min(wait_ms * 2, 20) if waiting else 1

    # --- from the agent ---

    def receive(self):
        try:
            data = os.read(CONTROL_FD, 1 << 16)
        except OSError:  # ECONNRESET: the agent died with a frame of ours unread
            data = b""
        if not data:
            self.end()
        self.inbox += data
        for verb, *fields in decode(self.inbox):
            if verb == "spawn":
                self.spawn(fields)
            elif verb == "signal":
                self.signal(int(fields[0]), fields[1])
            elif verb == "kill":
                self.killing = self.active

    def send(self, *fields):
        try:
            data = encode(*fields)
            while data:
                data = data[os.write(CONTROL_FD, data) :]
        except OSError:  # the agent is gone
            self.end()

    def end(self):
        """The agent is gone: so is everything else, within milliseconds, and then the shim."""
        wait_ms = 1
        while True:
            for pid in descendants_of(os.getpid()):
                self.kill(pid, SIGKILL)
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                os._exit(0)
            select.poll().poll(wait_ms)
            wait_ms = min(wait_ms * 2, 100)

    # --- the worker ---

    def spawn(self, fields):
        """fields: cwd, stdin, stdout, stderr ('' inherits), 'group' or '', argc, argv..., K=V..."""
        cwd, stdin, stdout, stderr, group, argc = fields[:6]
        argv, environ = fields[6 : 6 + int(argc)], fields[6 + int(argc) :]
        self.group_signals = group == "group"
        parent = os.getpid()
        try:
            told, tell = os.pipe()  # closed by a successful exec; carries what went wrong otherwise
            pid = os.fork()
        except OSError as error:  # EAGAIN: the container's limit of processes
            self.send("failed", error.errno, f"starting a process: {error.strerror}")
            return
        if pid == 0:
            os.close(told)
            step = "setting the worker up"
            try:
                self.become_worker(parent)
                step = f"changing to directory {cwd}"
                os.chdir(cwd)
                step = "opening its log file"
                variables = dict(item.split("=", 1) for item in environ)
                self.redirect(stdin, stdout, stderr, variables.get("TORCHELASTIC_ERROR_FILE", ""), tell)
                step = f"executing {argv[0]}"
                os.execvpe(argv[0], argv, variables)
            except OSError as error:
                os.write(tell, f"{error.errno}\0{step}: {error.strerror}".encode())
            except BaseException as error:  # noqa: BLE001  the child must say so, and end
                os.write(tell, f"0\0{step}: {error!r}".encode())
            finally:
                os._exit(126)
        os.close(tell)
        self.active, self.killing, self.main_pid = True, False, pid
        self.main_pidfd = os.pidfd_open(pid)
        failure = b""
        while chunk := os.read(told, 4096):
            failure += chunk
        os.close(told)
        if failure.startswith(LOG_LOST.encode()):
            self.send("unlogged", failure.decode().split("\0")[1])
            failure = failure.partition(b"\0\0")[2]
        if failure:
            os.waitpid(pid, 0)
            self.forget_main()
            self.active = False
            number, _, text = failure.decode().partition("\0")
            self.send("failed", number, text)
        else:
            self.send("spawned", pid)

    def become_worker(self, parent):
        os.setsid()
        self.libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before the line above took effect
            os._exit(126)
        self.libc.prctl(PR_SET_PTRACER, self.agent_pid, 0, 0, 0)  # stacks, where Yama restricts ptrace
        for number, before in self.dispositions.items():
            # What the launcher was started with (nohup), but for Python's own choices.
            self.libc.signal(number, None if number in SHRUGGED_OFF[:2] else before)
        os.set_inheritable(TELEMETRY_FD, True)
        try:
            with open("/proc/self/oom_score_adj", "r+") as score:
                if int(score.read()) < WORKER_OOM_SCORE:
                    score.write(str(WORKER_OOM_SCORE))
        except OSError:
            pass  # no /proc, or a sandbox that forbids it: only the preference is lost

    @staticmethod
    def redirect(stdin, stdout, stderr, error_file, tell):
        """A log that cannot be opened is no reason not to train: it is said, and output is dropped."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        if stdin:
            os.dup2(os.open(stdin, os.O_RDONLY), 0)
        try:
            umask = os.umask(0o077)  # makedirs' mode is for the last directory alone
            for path in {stdout, stderr, error_file} - {""}:
                os.makedirs(os.path.dirname(path), exist_ok=True)
            os.umask(umask)
            outputs = [path and os.open(path, flags, 0o600) for path in (stdout, stderr)]
        except OSError as error:
            os.write(tell, f"{LOG_LOST}\0{error.filename}: {error.strerror}\0\0".encode())
            outputs = [path and os.open(os.devnull, os.O_WRONLY) for path in (stdout, stderr)]
        if stdout:
            os.dup2(outputs[0], 1)
        if stderr:
            os.dup2(1 if stderr == stdout else outputs[1], 2)

    def signal(self, number, target):
        """target: 'tree'; 'worker' alone; or 'main', the worker, of a program not ours its process group."""
        if target == "tree":
            done = set()
            for _ in range(2):  # twice: a process may have forked while the list was made
                for pid in set(descendants_of(os.getpid())) - done:
                    done.add(pid)
                    self.kill(pid, number)
        elif self.main_pid and target == "worker":
            self.kill(self.main_pid, number)
        elif self.main_pid:
            self.kill(-self.main_pid if self.group_signals else self.main_pid, number)

    @staticmethod
    def kill(pid, number):
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            pass  # gone; or set-uid to someone else, which the agent reports when it stays

    def kill_tree(self):
        if self.active:
            for pid in descendants_of(os.getpid()):
                self.kill(pid, SIGKILL)

    def reap(self):
        """Collects the dead. Reports the worker's end, and the end of its whole tree."""
        while self.active:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self.active = self.killing = False
                self.send("gone")
                return
            if pid == 0:
                return
            if pid == self.main_pid:
                self.forget_main()
                self.send("exited", os.waitstatus_to_exitcode(status))

    def forget_main(self):
        os.close(self.main_pidfd)
        self.main_pid, self.main_pidfd = 0, -1


if __name__ == "__main__":
    os.set_inheritable(CONTROL_FD, False)
    os.set_inheritable(TELEMETRY_FD, False)
    Shim(int(sys.argv[1])).run()
