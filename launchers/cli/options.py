"""The options of ``launcher run``, as a table; from it come the parser, the help and `config show`.

A value is taken from the first of: command line, LAUNCHER_* variable, torchrun's PET_* variable,
``launcher.toml``, default.
"""

import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ma_training.job import StreamChoice, parse_duration, parse_prefix, parse_size

from .values import (
    backend,
    compat,
    filters,
    inputs,
    nothing_but,
    nproc,
    one_of,
    outputs,
    pairs,
    ranks,
    refused,
    signals,
    switch,
    text,
    variables,
    whole,
)


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


WHAT, NODES, SURVIVE, OUTPUT, OTHER = "what to run", "where", "survival", "output", "other"
NO_EFFECT = "accepted for torchrun, without effect: "

OPTIONS = (
    Option("module", "the script is a Python module, as in python -m", switch, short="m", group=WHAT),
    Option("no-python", "the script is a program, not Python", switch, group=WHAT),
    Option("run-path", NO_EFFECT + "a script always runs in the worker's interpreter", switch, group=WHAT),
    Option(
        "nproc-per-node",
        "workers on each node: a number, gpu, npu, cpu, or auto (the first of these that there is); "
        "by default one per GPU or NPU, or one",
        nproc,
        "N",
        group=WHAT,
    ),
    Option(
        "env",
        "a variable for the workers, before what is set here; may be repeated",
        variables,
        "NAME=VALUE",
        group=WHAT,
        repeats=True,
    ),
    Option(
        "compat",
        "packages that the script imports and that are rebuilt here, of moxing and modelarts "
        "(docs/moxing.md); an installed one comes first, unless NAME=ours is written",
        compat,
        "LIST",
        group=WHAT,
    ),
    Option("role", "name of the workers' role", text, "NAME", "default", group=WHAT),
    Option("virtual-local-rank", "each worker sees its own GPU alone, as device 0", switch, group=WHAT),
    Option(
        "bootstrap",
        "off: plain Python in the workers; steps stay unknown",
        switch,
        "on|off",
        True,
        group=WHAT,
    ),
    Option(
        "start-method",
        NO_EFFECT + "workers are programs",
        nothing_but("spawn", "fork", "forkserver"),
        "NAME",
        group=WHAT,
    ),
    Option(
        "numa-binding",
        "not supported",
        refused("start the script with --no-python numactl ..."),
        "NAME",
        group=WHAT,
    ),
    Option(
        "platform",
        "take the environment for this one's (launcher env shows which were recognised); local ignores it",
        text,
        "NAME",
        group=NODES,
    ),
    Option(
        "engine",
        "how ModelArts starts it: torchrun, msrun or ascend (a process a card), pytorch or tensorflow "
        "(one a node, with --init_method or --task_name); by default as the script's options ask for",
        nothing_but("torchrun", "msrun", "ascend", "pytorch", "tensorflow"),
        "NAME",
        group=NODES,
    ),
    Option(
        "nnodes",
        "number of nodes, or MIN:MAX: the job shrinks and grows within",
        text,
        "N",
        "1",
        group=NODES,
    ),
    Option("spare-nodes", "nodes more that wait to take a lost one's place", whole(0), "N", 0, group=NODES),
    Option(
        "node-rank",
        "which node this is, from 0; by default the leader says it",
        whole(0),
        "N",
        0,
        group=NODES,
    ),
    Option("master-addr", "address of node 0", text, "HOST", group=NODES),
    Option(
        "master-port",
        "port of the rendezvous on node 0; on one node a free one by default",
        whole(1, 65535),
        "PORT",
        group=NODES,
    ),
    Option("local-addr", "this node's address; node 0's is the rendezvous's", text, "HOST", group=NODES),
    Option("standalone", "one node, and nothing else to be asked", switch, group=NODES),
    Option("rdzv-backend", "static or c10d, which are the same here", backend, "NAME", group=NODES),
    Option(
        "rdzv-endpoint",
        "HOST:PORT where the leading agent, or a launcher coordinator, is found; by default node 0",
        text,
        "HOST:PORT",
        group=NODES,
    ),
    Option(
        "join-timeout", "how long missing nodes are waited for", parse_duration, "TIME", 600.0, group=NODES
    ),
    Option(
        "token-file",
        "file with the job's secret, the same on all nodes (or LAUNCHER_TOKEN)",
        text,
        "FILE",
        group=NODES,
    ),
    Option("rdzv-id", "id of the job; by default its name and the time", text, "ID", group=NODES),
    Option("rdzv-conf", NO_EFFECT + "there is no backend to configure", pairs, "K=V,...", group=NODES),
    Option(
        "precheck",
        "look at this node first: on (before the workers; a fault ends the job with 69), warn (beside "
        "them), off; auto is on where a platform or scheduler started this, else warn",
        one_of("auto", "on", "warn", "off"),
        "WHEN",
        "auto",
        group=SURVIVE,
    ),
    Option(
        "precheck-limits",
        "other thresholds for it, as root=16GB,shm=512MB (launcher check --help)",
        text,
        "LIST",
        group=SURVIVE,
    ),
    Option("max-restarts", "restarts that the whole job may use", whole(0), "N", 3, group=SURVIVE),
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
        signals,
        "LIST",
        (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT),
        group=SURVIVE,
    ),
    Option(
        "signals-to-forward",
        "passed on to the workers that handle them; the job goes on",
        signals,
        "LIST",
        (signal.SIGUSR1, signal.SIGUSR2),
        group=SURVIVE,
    ),
    Option(
        "monitor-interval", NO_EFFECT + "deaths are noticed at once", parse_duration, "TIME", group=SURVIVE
    ),
    Option(
        "on-hang",
        "restart, stop (exit code 77), dump (explain it, touch nothing), warn (a word), or off",
        one_of("restart", "stop", "dump", "warn", "off"),
        "WHAT",
        "restart",
        group=SURVIVE,
    ),
    Option(
        "hang-timeout",
        "time without a step after which a hang is suspected; by default learned from the job itself",
        parse_duration,
        "TIME",
        group=SURVIVE,
    ),
    Option(
        "collective-timeout",
        "when the framework itself gives up: what the script gives init_process_group(timeout=)",
        parse_duration,
        "TIME",
        600.0,
        group=SURVIVE,
    ),
    Option(
        "input",
        "bring this from object storage before the workers start; may be repeated",
        inputs,
        "URL=DIR",
        group=OUTPUT,
        repeats=True,
    ),
    Option(
        "output",
        "upload what changes in this directory; what is there already is brought first; may be repeated",
        outputs,
        "DIR=URL",
        group=OUTPUT,
        repeats=True,
    ),
    Option("log-url", "upload logs and events, to a directory of the run's name", text, "URL", group=OUTPUT),
    Option(
        "sync",
        "on: copy what MA_INPUTS and MA_OUTPUTS name, too; ModelArts does so itself",
        switch,
        "on|off",
        False,
        group=OUTPUT,
    ),
    Option("name", "name of the job; by default the script's", text, "NAME", group=OUTPUT),
    Option("run-dir", "where runs are kept, one directory each", text, "DIR", "runs", group=OUTPUT),
    Option(
        "snapshot",
        "where training state is kept in memory: auto, shm, disk or off",
        one_of("auto", "shm", "disk", "off"),
        "WHERE",
        "auto",
        group=OUTPUT,
    ),
    Option(
        "checkpoint-dir",
        "where checkpoints are kept (default: RUN-DIR/checkpoints/NAME)",
        text,
        "DIR",
        group=OUTPUT,
    ),
    Option(
        "checkpoint-url",
        "copy checkpoints to object storage as well, and go on from the newest there",
        text,
        "URL",
        group=OUTPUT,
    ),
    Option("log-dir", "keep the workers' logs here, in torchrun's layout", text, "DIR", group=OUTPUT),
    Option(
        "log-limit",
        "size at which a log's beginning is moved away, to .1",
        parse_size,
        "SIZE",
        1 << 30,
        group=OUTPUT,
    ),
    Option(
        "local-ranks-filter", "local ranks whose output is shown; by default 0", ranks, "LIST", group=OUTPUT
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
        filters,
        "LIST",
        group=OUTPUT,
    ),
    Option(
        "duplicate-stderr-filters",
        "the same of stderr, to filtered_stderr.log",
        filters,
        "LIST",
        group=OUTPUT,
    ),
    Option(
        "logs-specs", "not supported", refused("logs are always files, see --log-dir"), "NAME", group=OUTPUT
    ),
    Option(
        "event-log-handler",
        NO_EFFECT + "events are in the run directory",
        nothing_but("null", instead=": events are in runs/<job>/events"),
        "NAME",
        group=OUTPUT,
    ),
    Option("config", "read this file instead of ./launcher.toml", text, "FILE", group=OTHER),
    Option("dry-run", "print the resolved plan as JSON, start nothing", switch, group=OTHER),
)

BY_NAME = {option.name: option for option in OPTIONS}
BY_SHORT = {option.short: option for option in OPTIONS if option.short}
