"""The options of ``launcher run``, as a table; from it come the parser, the help and `config show`.

A value is taken from the first of: command line, LAUNCHER_* variable, torchrun's PET_* variable,
``launcher.toml``, default.
"""

import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ma_training.job import StreamChoice, parse_duration, parse_prefix, parse_size, signal_name


@dataclass(frozen=True, slots=True)
class Option:
    name: str  # as on the command line, without dashes in front
    help: str
    parse: Callable[[str], Any]
    metavar: str = ""  # '' for a switch
    default: Any = None
    short: str = ""
    group: str = ""
    also: str = ""  # a variable that torchrun reads besides its PET_*
    repeats: bool = False  # given several times, it takes a line for each

    @property
    def is_switch(self) -> bool:
        return not self.metavar

    @property
    def variable(self) -> str:
        return self.name.replace("-", "_").upper()


def _text(text: str) -> str:
    if not text.strip():
        raise ValueError("it is empty")
    return text


def _switch(text: str) -> bool:
    words = {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
    }
    try:
        return words[text.strip().lower()]
    except KeyError:
        raise ValueError(f"{text!r} is neither on nor off") from None


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"{text!r} is none of {', '.join(words)}")
        return text

    return parse


def _whole(least: int, most: int | None = None) -> Callable[[str], int]:
    wanted = (
        f"a whole number of at least {least}" if most is None else f"a whole number from {least} to {most}"
    )

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise ValueError(f"{text!r} is not {wanted}") from None
        if number < least or (most is not None and number > most):
            raise ValueError(f"{text} is not {wanted}")
        return number

    return parse


def _nproc(text: str) -> int | str:
    if text in ("auto", "cpu", "gpu", "npu"):
        return text
    if text == "xpu":
        raise ValueError("xpu: such devices are not counted here, give their number")
    try:
        return _whole(1)(text)
    except ValueError:
        raise ValueError(f"{text!r} is none of auto, cpu, gpu, npu or a number of at least 1") from None


def _nothing_but(*words: str, instead: str = "") -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"{text!r} is not one of {', '.join(words)}{instead}")
        return text

    return parse


def _refused(why: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        raise ValueError(f"is not supported: {why}")

    return parse


def _backend(text: str) -> str:
    if text not in ("static", "c10d"):
        raise ValueError(f"{text!r} is not needed: agents meet at --rdzv-endpoint, with no other service")
    return text


def _pairs(text: str) -> dict[str, str]:
    """torchrun's KEY=VALUE,KEY=VALUE."""
    pairs = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = part.partition("=")
        if not (key and equals):
            raise ValueError(f"{part!r} is not KEY=VALUE")
        pairs[key.strip()] = value.strip()
    return pairs


def _variables(text: str) -> dict[str, str]:
    """KEY=VALUE, one a line."""
    pairs = {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        name, equals, value = line.partition("=")
        if not (equals and name.isidentifier()):
            raise ValueError(f"{line!r} is not NAME=VALUE")
        pairs[name] = value
    return pairs


def _ranks(text: str) -> frozenset[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() for part in parts):
        raise ValueError(f"{text!r} is not a list of local ranks: write 0,2")
    return frozenset(map(int, parts))


def _filters(text: str) -> tuple[str, ...]:
    """Comma-separated; a comma of a filter's own is written twice."""
    parts = text.replace(",,", "\0").split(",")
    return tuple(part.replace("\0", ",").strip() for part in parts if part.strip())


def _signals(text: str) -> tuple[int, ...]:
    numbers = []
    for word in filter(None, (part.strip().upper() for part in text.split(","))):
        name = word if word.startswith("SIG") else f"SIG{word}"
        number = getattr(signal, name, None)
        if not isinstance(number, signal.Signals) or number in (signal.SIGKILL, signal.SIGSTOP):
            raise ValueError(f"{word} is not a signal that can be handled")
        numbers.append(int(number))
    return tuple(numbers)


def show(value: Any) -> str:
    """A value as it would be written on the command line."""
    if isinstance(value, frozenset):
        return ",".join(map(str, sorted(value)))
    if isinstance(value, tuple):
        return ",".join(part if isinstance(part, str) else signal_name(part) for part in value)
    if isinstance(value, dict):
        return ",".join(f"{key}={part}" for key, part in value.items())
    if isinstance(value, bool):
        return "on" if value else "off"
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


WHAT, NODES, SURVIVE, OUTPUT, OTHER = "what to run", "where", "survival", "output", "other"
NO_EFFECT = "accepted for torchrun, without effect: "

OPTIONS = (
    Option("module", "the script is a Python module, as in python -m", _switch, short="m", group=WHAT),
    Option("no-python", "the script is a program, not Python", _switch, group=WHAT),
    Option("run-path", NO_EFFECT + "a script always runs in the worker's interpreter", _switch, group=WHAT),
    Option(
        "nproc-per-node",
        "workers on each node: a number, gpu, npu, cpu, or auto (the first of these that there is); "
        "by default one per GPU or NPU, or one",
        _nproc,
        "N",
        group=WHAT,
    ),
    Option(
        "env",
        "a variable for the workers, before what is set here; may be repeated",
        _variables,
        "NAME=VALUE",
        group=WHAT,
        repeats=True,
    ),
    Option("role", "name of the workers' role", _text, "NAME", "default", group=WHAT),
    Option("virtual-local-rank", "each worker sees its own GPU alone, as device 0", _switch, group=WHAT),
    Option(
        "bootstrap",
        "off: plain Python in the workers; steps stay unknown",
        _switch,
        "on|off",
        True,
        group=WHAT,
    ),
    Option(
        "start-method",
        NO_EFFECT + "workers are programs",
        _nothing_but("spawn", "fork", "forkserver"),
        "NAME",
        group=WHAT,
    ),
    Option(
        "numa-binding",
        "not supported",
        _refused("start the script with --no-python numactl ..."),
        "NAME",
        group=WHAT,
    ),
    Option(
        "platform",
        "take the environment for this one's (launcher env shows which were recognised); local ignores it",
        _text,
        "NAME",
        group=NODES,
    ),
    Option(
        "engine",
        "how ModelArts starts it: torchrun, msrun or ascend (a process a card), pytorch or tensorflow "
        "(one a node, with --init_method or --task_name); by default as the script's options ask for",
        _nothing_but("torchrun", "msrun", "ascend", "pytorch", "tensorflow"),
        "NAME",
        group=NODES,
    ),
    Option(
        "nnodes",
        "number of nodes, or MIN:MAX: the job shrinks and grows within",
        _text,
        "N",
        "1",
        group=NODES,
    ),
    Option("spare-nodes", "nodes more that wait to take a lost one's place", _whole(0), "N", 0, group=NODES),
    Option(
        "node-rank",
        "which node this is, from 0; by default the leader says it",
        _whole(0),
        "N",
        0,
        group=NODES,
    ),
    Option("master-addr", "address of node 0", _text, "HOST", group=NODES),
    Option(
        "master-port",
        "port of the rendezvous on node 0; on one node a free one by default",
        _whole(1, 65535),
        "PORT",
        group=NODES,
    ),
    Option("local-addr", "this node's address; node 0's is the rendezvous's", _text, "HOST", group=NODES),
    Option("standalone", "one node, and nothing else to be asked", _switch, group=NODES),
    Option("rdzv-backend", "static or c10d, which are the same here", _backend, "NAME", group=NODES),
    Option(
        "rdzv-endpoint",
        "HOST:PORT where the leading agent, or a launcher coordinator, is found; by default node 0",
        _text,
        "HOST:PORT",
        group=NODES,
    ),
    Option(
        "join-timeout", "how long missing nodes are waited for", parse_duration, "TIME", 600.0, group=NODES
    ),
    Option(
        "token-file",
        "file with the job's secret, the same on all nodes (or LAUNCHER_TOKEN)",
        _text,
        "FILE",
        group=NODES,
    ),
    Option("rdzv-id", "id of the job; by default its name and the time", _text, "ID", group=NODES),
    Option("rdzv-conf", NO_EFFECT + "there is no backend to configure", _pairs, "K=V,...", group=NODES),
    Option("max-restarts", "restarts that the whole job may use", _whole(0), "N", 3, group=SURVIVE),
    Option(
        "shutdown-timeout",
        "each worker's time between SIGTERM and SIGKILL",
        parse_duration,
        "TIME",
        30.0,
        group=SURVIVE,
        also="TORCH_ELASTIC_SHUTDOWN_TIMEOUT",
    ),
    Option(
        "signals-to-handle",
        "end the job: passed on to the workers, which then have the shutdown timeout",
        _signals,
        "LIST",
        (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT),
        group=SURVIVE,
    ),
    Option(
        "signals-to-forward",
        "passed on to the workers that handle them; the job goes on",
        _signals,
        "LIST",
        (signal.SIGUSR1, signal.SIGUSR2),
        group=SURVIVE,
    ),
    Option(
        "monitor-interval", NO_EFFECT + "deaths are noticed at once", parse_duration, "TIME", group=SURVIVE
    ),
    Option("name", "name of the job; by default the script's", _text, "NAME", group=OUTPUT),
    Option("run-dir", "where runs are kept, one directory each", _text, "DIR", "runs", group=OUTPUT),
    Option(
        "snapshot",
        "where training state is kept in memory: auto, shm, disk or off",
        _one_of("auto", "shm", "disk", "off"),
        "WHERE",
        "auto",
        group=OUTPUT,
    ),
    Option(
        "checkpoint-dir",
        "where checkpoints are kept (default: RUN-DIR/checkpoints/NAME)",
        _text,
        "DIR",
        group=OUTPUT,
    ),
    Option("log-dir", "keep the workers' logs here, in torchrun's layout", _text, "DIR", group=OUTPUT),
    Option(
        "log-limit",
        "size at which a log's beginning is moved away, to .1",
        parse_size,
        "SIZE",
        1 << 30,
        group=OUTPUT,
    ),
    Option(
        "local-ranks-filter", "local ranks whose output is shown; by default 0", _ranks, "LIST", group=OUTPUT
    ),
    Option(
        "redirects",
        "streams that go to files alone: 1 stdout, 2 stderr, 3 both, or RANK:STREAMS,...; others are shown",
        StreamChoice.parse,
        "STREAMS",
        short="r",
        group=OUTPUT,
    ),
    Option(
        "tee",
        "streams that are shown as well, written likewise",
        StreamChoice.parse,
        "STREAMS",
        short="t",
        group=OUTPUT,
    ),
    Option(
        "log-prefix-template",
        "mark of each line shown, of ${node} ${rank} ${local_rank} ${role_name} ${attempt}; "
        "by default '${node}:${rank} | ' where several ranks are shown",
        parse_prefix,
        "TEXT",
        group=OUTPUT,
        also="TORCHELASTIC_LOG_LINE_PREFIX_TEMPLATE",
    ),
    Option(
        "duplicate-stdout-filters",
        "copy stdout lines holding one of these to filtered_stdout.log",
        _filters,
        "LIST",
        group=OUTPUT,
    ),
    Option(
        "duplicate-stderr-filters",
        "the same of stderr, to filtered_stderr.log",
        _filters,
        "LIST",
        group=OUTPUT,
    ),
    Option(
        "logs-specs", "not supported", _refused("logs are always files, see --log-dir"), "NAME", group=OUTPUT
    ),
    Option(
        "event-log-handler",
        NO_EFFECT + "events are in the run directory",
        _nothing_but("null", instead=": events are in runs/<job>/events"),
        "NAME",
        group=OUTPUT,
    ),
    Option("config", "read this file instead of ./launcher.toml", _text, "FILE", group=OTHER),
    Option("dry-run", "print the resolved plan as JSON, start nothing", _switch, group=OTHER),
)

BY_NAME = {option.name: option for option in OPTIONS}
BY_SHORT = {option.short: option for option in OPTIONS if option.short}
