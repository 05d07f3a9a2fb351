"""Runs a resolved job in this process: run directory, events, agent, verdict, exit code."""

import os
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launchers.platforms import service_log
from launchers.platforms.environment import Environment
from launchers.platforms.placement import Placement
from ma_training.agent.agent import Agent
from ma_training.agent.conductor import Conductor, OneNode
from ma_training.agent.ports import PortTakenError
from ma_training.agent.result import AttemptRecord, Result
from ma_training.events import EventLog, RunFiles
from ma_training.job import (
    ExitCode,
    Framework,
    JobSpec,
    RunDirectory,
    RunDirectoryError,
    make_job_id,
    make_name,
)
from ma_training.keeper.keeper import Keeper
from ma_training.keeper.plan import StatePlan, identity_of
from ma_training.observe.incident import Incident, build_incident
from ma_training.observe.verdict import verdict

from .cluster import Key, NotJoined
from .errors import NotReady, UsageError
from .job_precheck import JobPrecheck, PrecheckFailed
from .plan import plan_json
from .speaker import Speaker
from .transfer_options import checkpoints_of
from .unfit import end_unfit

if TYPE_CHECKING:
    from ma_training.coordination.node import Node
    from ma_training.transfer import TransferPlan

    from .copying import Copying

LAST_WORDS = 5.0  # seconds that the end waits for messages to other nodes
WRITTEN_AT_END = 10.0  # seconds that the end waits for a slow file system
SAID_AT_END = 10.0  # seconds that it waits for whoever reads stderr


def run_job(
    job: JobSpec,
    framework: Framework,
    placement: Placement,
    key: Key,
    notes: Sequence[str],
    precheck: JobPrecheck,
    plan: "TransferPlan | None" = None,
) -> int:
    """``key``: of the conversation with other nodes, where there are any. ``plan``: what is copied."""
    speaker = Speaker()
    copying = _copying(job, plan, speaker) if plan else None
    try:
        for text in notes:
            speaker.say(text)
        precheck.before(speaker.say)
        if copying:
            copying.prepare()  # before others are met: they wait for this node as for one that is late
        run, node = _begin(job, key, speaker)
        if copying:
            copying.claim(run, node)
        return _JobRun(job, framework, placement, run, node, speaker, precheck, copying).run()
    except PrecheckFailed as failed:
        return end_unfit(job, placement, precheck, failed, speaker)
    except NotReady as error:
        speaker.say(str(error))
        return placement.platform.contract.exit_code(error.exit_code)
    except NotJoined as error:
        if error.refused:
            raise UsageError(f"this node cannot join the job: {error}") from None
        speaker.say(str(error))
        return placement.platform.contract.exit_code(error.exit_code)
    finally:
        if copying:
            copying.close()
        speaker.close(SAID_AT_END)


def _copying(job: JobSpec, plan: "TransferPlan", speaker: Speaker) -> "Copying":
    from .copying import Copying  # its imports take 10 ms

    return Copying(job, plan, speaker.say)


def _begin(job: JobSpec, key: Key, speaker: Speaker) -> tuple[RunDirectory, "Node | None"]:
    """The run's directory, which is one for all nodes where they share a disk."""
    job_id = job.job_id or make_job_id(job.name, time.time())
    cluster = job.cluster
    try:
        if cluster is None:
            return RunDirectory.create(job.run_base, job_id), None
        own = RunDirectory.create(job.run_base, job_id) if cluster.leads else None
        if not key.secret:
            speaker.say("no LAUNCHER_TOKEN: whoever knows the job's name and reaches its port can join it")
        from .meeting import meet  # asyncio costs 50 ms

        try:
            node, run_id = meet(job, cluster, key.value, own.job_id if own else job_id, speaker.say)
        except BaseException:
            if own:
                own.discard()
            raise
        if own and own.job_id != run_id:
            own.discard()
        return RunDirectory.join(job.run_base, make_name(run_id)), node
    except RunDirectoryError as error:
        raise UsageError(str(error), "choose another with --run-dir DIR") from None


class _JobRun:
    def __init__(
        self,
        job: JobSpec,
        framework: Framework,
        placement: Placement,
        run: RunDirectory,
        node: "Node | None",
        speaker: Speaker,
        precheck: JobPrecheck,
        copying: "Copying | None" = None,
    ) -> None:
        self._job, self._framework, self._placement, self._run = job, framework, placement, run
        self._node, self._precheck = node, precheck
        self._say, self._speaker = speaker.say, speaker
        self._files = RunFiles(speaker.say)
        name = job.topology.node_name
        self._events = EventLog(run.job_id, name, lambda line: self._files.append(run.events(name), line))
        self._incident: Incident | None = None
        self._copying = copying
        if copying:
            copying.transfers.emit = self._events.emit

    def run(self) -> int:
        job, run = self._job, self._run
        self._make_outputs()
        self._serve([*service_log.at_start(Environment()), *self._precheck.lines()])
        if self._node is None or self._node.leads:
            self._files.replace(run.plan, plan_json(job, self._framework, run.job_id, self._transfers()))
        self._announce()
        workers = job.topology.nproc_per_node
        host = os.uname().nodename
        self._events.emit("job.started", name=job.name, nproc_per_node=workers, pid=os.getpid(), host=host)
        self._precheck.emit(self._events)
        conductor: Conductor = OneNode(self._on_failed, self._examine)
        if self._node is not None:
            from ma_training.agent.many_nodes import ManyNodes

            conductor = ManyNodes(self._node, self._on_failed, self._examine)
        keeper = Keeper(_state_plan(job, self._copying), run.job_id, self._events, self._say)
        helpers = self._copying.transfers.pids_of if self._copying else tuple
        agent = Agent(job, self._framework, run, self._events, self._say, conductor, keeper, helpers)
        self._precheck.beside(agent, self._events)
        try:
            result = agent.run()
        except PortTakenError as error:
            self._end("failed", ExitCode.USAGE, 0)
            raise UsageError(str(error), "leave the option out on one node: a free port is chosen") from None
        except Exception:  # noqa: BLE001  workers are gone by now; what is left is to say so
            self._say(traceback.format_exc())
            self._say(f"this is a defect of the launcher; the job was ended, and its files are in {run.path}")
            self._end("failed", ExitCode.INTERNAL, 0)
            return ExitCode.INTERNAL
        self._files.replace(self._result_path(), result.to_json())
        self._end(result.outcome, result.exit_code, result.restarts)
        if self._copying and not self._copying.finish(agent) and result.outcome == "succeeded":
            self._not_uploaded(result)
        if self._node is not None:
            self._node.close(LAST_WORDS)
        agent.close()
        sys.stdout.flush()
        self._serve(service_log.at_end(int(result.exit_code)))
        self._say(self._verdict(result))
        code = int(result.exit_code)
        return self._placement.platform.contract.exit_code(code) if result.ours else code

    def _transfers(self) -> "dict[str, Any] | None":
        return self._copying.plan.to_record() if self._copying else None

    def _not_uploaded(self, result: Result) -> None:
        """Who started the job must not take it for done: results may go with this machine."""
        result.exit_code, result.ours = ExitCode.NOT_UPLOADED, True
        result.reason = "not all results could be uploaded"
        self._say(f"exit code {int(result.exit_code)}: all workers ended well, but {result.reason}")
        files = RunFiles(self._say)
        files.replace(self._result_path(), result.to_json())
        files.close(WRITTEN_AT_END)

    def _on_failed(self, record: AttemptRecord, decision: str, last: bool) -> None:
        """Looks into it in the background: logs may be on a file system that hangs."""

        def make() -> str:
            incident = build_incident(self._job, self._run, record, decision)
            if last:
                self._incident = incident
            return incident.to_json()

        self._files.run(self._run.incident(record.index), make)

    def _examine(self) -> str:
        """The hardware, after a failure. Called in a thread of its own."""
        return self._precheck.after_failure(self._run.job_id, self._say, self._events)

    def _end(self, outcome: str, exit_code: int, restarts: int) -> None:
        self._events.emit("job.ended", outcome=outcome, exit_code=int(exit_code), restarts=restarts)
        if not self._files.close(WRITTEN_AT_END):
            self._say(f"{self._run.path} did not take all within {WRITTEN_AT_END:g} s: its file system hangs")

    def _verdict(self, result: Result) -> str:
        try:
            return verdict(result, self._run, self._job, self._incident)
        except Exception as error:  # noqa: BLE001  the job's own exit code matters more than our words
            return f"{result.job} {result.outcome} (exit code {result.exit_code}); no verdict: {error!r}"

    def _make_outputs(self) -> None:
        """As the platform does: scripts take it for granted that the directory is there."""
        for path in self._placement.starting.outputs:
            if not path.exists():
                try:
                    path.mkdir(parents=True)
                    self._say(f"made the output directory {path}")
                except OSError as error:
                    self._say(f"cannot make the output directory {path}: {error.strerror}")

    def _result_path(self) -> Path:
        """The leader's word on the job is the one that counts."""
        if self._node is None or self._node.leads:
            return self._run.result
        return self._run.path / f"result-{self._job.topology.node_name}.json"

    def _serve(self, lines: Sequence[str]) -> None:
        """The platform's own lines, where its users look for them."""
        names = self._job.log_names
        if not self._placement.platform.contract.service_lines:
            return
        self._speaker.print("".join(f"{line}\n" for line in lines))
        if names is not None:
            path = (names.directory or self._run.path / "log") / names.everything(self._run.job_id)
            try:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with path.open("a") as log:
                    log.writelines(f"{line}\n" for line in lines)
            except OSError as error:
                self._say(f"cannot write {path}: {error.strerror}; the job goes on without it")

    def _announce(self) -> None:
        job, run = self._job, self._run
        count, nodes = job.topology.nproc_per_node, job.topology.nnodes
        workers = f"{count} worker{'s' if count > 1 else ''}"
        where = f"{job.topology.node_name} of {nodes}, " if self._node is not None else ""
        path = os.path.relpath(run.path, job.cwd) if run.path.is_relative_to(job.cwd) else run.path
        self._say(f"{run.job_id}: {where}{workers}; everything about this run is in {path}")


def _state_plan(job: JobSpec, copying: "Copying | None") -> StatePlan:
    checkpoints = checkpoints_of(job)
    identity = copying.plan.identity if copying else ""
    return StatePlan(job.snapshot, checkpoints, identity or identity_of(job.name, checkpoints))
