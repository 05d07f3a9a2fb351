"""Runs the user's script inside the worker, and keeps an account of it in shared memory.

    python -u bootstrap.py script train.py --lr 0.1        python -u bootstrap.py module pkg.train

The script finds the interpreter as plain Python would leave it: ``__main__``, ``sys.argv``,
``sys.path[0]``, its own traceback and exit code. What is added: phases, a count of optimizer steps
(when torch is imported), a record of the exception that ends it, and two signals of the agent's.

The worker's interpreter may not have this package installed: nothing of it is imported here.
"""

import sys

if __name__ == "__main__" and sys.path[0] == __file__.rpartition("/")[0]:  # not so with PYTHONSAFEPATH
    del sys.path[0]  # our own directory: before any import looks into it

import atexit
import faulthandler
import mmap
import os
import signal
import time
from _thread import get_ident, start_new_thread

PAGE_SIZE = 65536
MAGIC = 0x4D41_5452_4149_4E31  # "MATRAIN1"
ERROR_AT = 4096  # the exception's record, JSON, to the end of the page
SECTION_AT = 1024  # the name of TrainingState's section, UTF-8, filled up with NUL
SECTION_SIZE = 64

# Real-time signals: SIGUSR1 and 2 are the user's, and kill a process that has no handler.
DUMP_SIGNAL = signal.SIGRTMAX - 3  # all threads' stacks to stderr, even while the GIL is held
RECORD_SIGNAL = signal.SIGRTMAX - 4  # record the exception in flight, if there is one
STACKS_SIGNAL = signal.SIGRTMAX - 5  # all threads' stacks behind the page, where no log is in the way
STACKS_FD = 200  # or above: out of the way of a script that closes, or takes, low numbers
RECORD_AT = 1 << 40  # of the same memory: the flight recorder's JSON, where it is asked for
RECORD_SIZE = 16 << 20
WORKER = "_launcher_worker"  # in sys.modules: what TrainingState tells of itself


class Slot:
    """Indices of the page's 64-bit words, native order."""

    MAGIC, PID, PHASE, EXIT_CODE, COUNTING, STEPS, ERROR_LENGTH, ERROR_NS, ANSWERED = range(9)
    STEP_NS, BEATS, BEAT_NS, SECTION_NS, THREAD, STACKS_FD = range(9, 15)  # ..._NS: the monotonic clock
    RECORDER_FD, RECORDER_PIPE, RECORDS, RECORD_LENGTH = range(15, 19)


class Phase:
    START, MAIN, ATEXIT, TEARDOWN = range(1, 5)


class Account:
    """The worker's end of the page."""

    def __init__(self, fd):
        self.map = mmap.mmap(fd, PAGE_SIZE)
        self.stacks_fd = _move_up(fd)
        self.stacks_file = os.fstat(self.stacks_fd)
        # Stacks are printed behind the page, one after another.
        os.lseek(self.stacks_fd, PAGE_SIZE, os.SEEK_SET)
        self.slots = memoryview(self.map).cast("Q")
        self.pid = self.slots[Slot.PID] = os.getpid()
        self.slots[Slot.PHASE] = Phase.START
        self.slots[Slot.THREAD] = get_ident()
        self.slots[Slot.STACKS_FD] = self.stacks_fd
        self.recording = False
        self.sections = []  # (name, when it was entered), outermost first
        # A process with one thread is to stay so: Python warns of forks from one with more.
        self.recorder = int(os.environ.get("WORLD_SIZE") or 1) > 1
        self.slots[Slot.MAGIC] = MAGIC

    def enter(self, phase):
        if os.getpid() == self.pid:  # a forked child shares the page, but it is not the worker
            self.slots[Slot.PHASE] = phase

    def step(self, *_):
        if os.getpid() == self.pid:
            self.slots[Slot.STEP_NS] = time.monotonic_ns()
            self.slots[Slot.STEPS] += 1
            if self.recorder:  # at the first step: torch has threads of its own by then
                self.recorder = False
                _serve_records(self)

    def beat(self):
        """TrainingState has committed a step."""
        if os.getpid() == self.pid:
            self.slots[Slot.BEAT_NS] = time.monotonic_ns()
            self.slots[Slot.BEATS] += 1

    def enter_section(self, name):
        self.sections.append((name.encode(errors="replace")[:SECTION_SIZE], time.monotonic_ns()))
        self.show_section()

    def leave_section(self):
        self.sections.pop()
        self.show_section()

    def show_section(self):
        if os.getpid() == self.pid:
            name, since = self.sections[-1] if self.sections else (b"", 0)
            self.slots[Slot.SECTION_NS] = since
            self.map[SECTION_AT : SECTION_AT + SECTION_SIZE] = name.ljust(SECTION_SIZE, b"\0")

    def record(self, error, in_flight=False):
        """Keeps ``error``, newest last; length is written after content, so a reader sees it whole."""
        if os.getpid() != self.pid or self.recording:
            return
        now = time.monotonic_ns()
        self.recording = True
        import json

        text = json.dumps(_describe(error, in_flight), ensure_ascii=False).encode(errors="backslashreplace")
        self.recording = False
        if len(text) > PAGE_SIZE - ERROR_AT:
            return
        self.slots[Slot.ERROR_LENGTH] = 0
        self.map[ERROR_AT : ERROR_AT + len(text)] = text
        self.slots[Slot.ERROR_NS] = now
        self.slots[Slot.ERROR_LENGTH] = len(text)


def _move_up(fd):
    """The same file under a high number that is closed by exec."""
    import fcntl

    try:
        high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, STACKS_FD)
    except OSError:  # fewer are allowed (ulimit -n)
        high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(fd)
    return high


def _serve_records(account):
    """Hands out what PyTorch's flight recorder holds, from a thread: the main one may wait in a collective.

    Who asks opens the pipe by /proc and writes a byte.
    """
    asked, _ = os.pipe()  # the other end stays open: else the thread would read the pipe's end at once
    account.slots[Slot.RECORDER_PIPE] = os.fstat(asked).st_ino
    account.slots[Slot.RECORDER_FD] = asked

    def serve():
        try:
            while os.read(asked, 1):
                text = _flight_record()[:RECORD_SIZE]
                if not os.path.samestat(os.fstat(account.stacks_fd), account.stacks_file):
                    return  # the script has closed it, and opened another file under its number
                os.pwrite(account.stacks_fd, text, RECORD_AT)
                account.slots[Slot.RECORD_LENGTH] = len(text)
                account.slots[Slot.RECORDS] += 1
        except OSError:  # the script has closed one of them
            pass

    start_new_thread(serve, ())


def _flight_record():
    """JSON; empty where this torch has no recorder."""
    c10d = sys.modules.get("torch._C._distributed_c10d")
    dump = getattr(c10d, "_dump_fr_trace_json", None) or getattr(c10d, "_dump_nccl_trace_json", None)
    try:
        return dump() if dump else b""
    except Exception:  # noqa: BLE001  of torch's own; nothing is known then
        return b""


def _publish(account):
    """What TrainingState calls where it finds it; without a launcher it is not there."""
    worker = type(sys)(WORKER)
    worker.beat = account.beat
    worker.enter_section = account.enter_section
    worker.leave_section = account.leave_section
    sys.modules[WORKER] = worker


def _message(error):
    try:
        return str(error)
    except Exception as failure:  # noqa: BLE001  it is the user's __str__
        return f"<its __str__ raised {type(failure).__name__}>"


def _describe(error, in_flight):
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in frames if frame.filename != __file__]
    last = frames[-1] if frames else None
    lines = traceback.format_exception(type(error), error, _users_part(error.__traceback__))
    return {
        "type": type(error).__qualname__,
        "module": type(error).__module__,
        "message": _message(error)[:4000],
        "file": last and last.filename,
        "line": last and last.lineno,
        "function": last and last.name,
        "traceback": "".join(lines)[-8000:],  # with the message at most 48 KB of UTF-8: it fits the page
        "in_flight": in_flight,
    }


def _users_part(traceback):
    """The traceback without this file's frames and runpy's, which lead it."""
    while traceback is not None:
        filename = traceback.tb_frame.f_code.co_filename
        if filename != __file__ and "runpy" not in filename:
            break
        traceback = traceback.tb_next
    return traceback


class _OptimizerFinder:
    """Counts optimizer steps without a line of the user's: hooks torch.optim when it is imported."""

    WATCHED = "torch.optim.optimizer"

    def __init__(self, account):
        self.account = account

    def find_spec(self, name, path=None, target=None):
        if name != self.WATCHED:
            return None
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                self.wrap(spec.loader)
                return spec
        return None

    def wrap(self, loader):
        execute = loader.exec_module

        def exec_module(module):
            execute(module)
            register = getattr(module, "register_optimizer_step_post_hook", None)
            if register is not None:  # torch >= 2.0
                register(self.account.step)
                self.account.slots[Slot.COUNTING] = 1

        loader.exec_module = exec_module


def _arm(account):
    """Makes the worker answer the agent, whatever it is doing."""
    # Off only where the user's environment says so: a crash in C prints where it was.
    if not faulthandler.is_enabled():
        faulthandler.enable()
    faulthandler.register(DUMP_SIGNAL, all_threads=True)
    faulthandler.register(STACKS_SIGNAL, file=account.stacks_fd, all_threads=True)

    def record_in_flight(*_):
        # In a `finally` or `except` of the main thread, the exception that it handles.
        error = sys.exc_info()[1]
        ordinary = (StopIteration, StopAsyncIteration, GeneratorExit)
        if error is not None and not isinstance(error, ordinary) and not account.slots[Slot.ERROR_LENGTH]:
            try:
                account.record(error, in_flight=True)
            except (ImportError, AttributeError):
                account.recording = False  # interrupted an import of what it needs: recorded at the top then
        if os.getpid() == account.pid:
            account.slots[Slot.ANSWERED] = 1

    signal.signal(RECORD_SIGNAL, record_in_flight)
    signal.siginterrupt(RECORD_SIGNAL, False)


def _fresh_main(filename):
    import types

    main = types.ModuleType("__main__")
    main.__builtins__ = sys.modules["builtins"]
    main.__annotations__ = {}
    if filename is not None:
        main.__file__ = filename
        main.__cached__ = None
        from importlib.machinery import SourceFileLoader

        main.__loader__ = SourceFileLoader("__main__", filename)
    sys.modules["__main__"] = main
    return main


def _put_first(directory):
    if not getattr(sys.flags, "safe_path", False):
        sys.path.insert(0, directory)


def _run_script(path):
    path = os.path.join(os.getcwd(), path)  # as the interpreter itself does, not normalised
    main = _fresh_main(path)
    _put_first(os.path.dirname(os.path.realpath(path)))
    with open(path, "rb") as source:
        code = compile(source.read(), path, "exec", dont_inherit=True)
    exec(code, main.__dict__)


def _run_module(name):
    import runpy

    _put_first(os.getcwd())
    _fresh_main(None)
    runpy._run_module_as_main(name, alter_argv=True)  # what `python -m` itself calls


def _exit_code(request):
    """What ``sys.exit(request)`` exits with."""
    if request is None:
        return 0
    return request & 0xFF if isinstance(request, int) else 1


def main():
    kind, target = sys.argv[1:3]
    sys.argv[:] = [target, *sys.argv[3:]]
    account = Account(int(os.environ["LAUNCHER_WORKER_TELEMETRY"]))
    # Registered before anything else, so it runs after every handler of the user's.
    atexit.register(account.enter, Phase.TEARDOWN)
    sys.meta_path.insert(0, _OptimizerFinder(account))
    _publish(account)
    _arm(account)
    account.enter(Phase.MAIN)
    code = 0
    try:
        (_run_module if kind == "module" else _run_script)(target)
    except SystemExit as request:
        code = _exit_code(request.code)
        if code:
            account.record(request)
        raise
    except KeyboardInterrupt as interrupt:
        code = 130
        account.record(interrupt)
        raise
    except BaseException as error:  # noqa: BLE001  whatever it is, it ends the script
        code = 1
        try:
            account.record(error)
        except Exception:  # noqa: BLE001  raised by a signal handler: torch's of SIGCHLD does, wherever it strikes
            account.recording = False
            account.record(error)
        sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__
        # As the interpreter would print it, without our frames.
        sys.excepthook(
            type(error),
            error.with_traceback(_users_part(error.__traceback__)),
            _users_part(error.__traceback__),
        )
        raise SystemExit(1) from None
    finally:
        account.slots[Slot.EXIT_CODE] = code + 1
        account.enter(Phase.ATEXIT)


if __name__ == "__main__":
    main()
