"""Jobs run as processes on this machine: started by a fork server, watched, judged. No torch.

The stdlib's fork server keeps torch imported (and CUDA untouched), so a process starts in some 50
ms.
"""

import json
import math
import multiprocessing
import time
from collections.abc import Callable, Collection, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from suites.engine.failures import Failure, failure_of_exit, oom_kill_count
from suites.engine.host import available_cores
from suites.engine.job import Job, Outcome
from suites.engine.sweep.executors.child import enter
from suites.engine.sweep.executors.fork_server import start_fork_server

RUN_JOB = "suites.engine.measure.worker:run_job"
# A process that has sent its message has so long to end by itself before it is killed.
GRACE_S = 2.0
LONGEST_WAIT_S = 86_400.0  # the system cannot wait for years at once


class Running:
    """A fresh process calls `function` ("package.module:name") on `argument`.

    n_sharing: how many such processes share the memory that is available now.
    """

    def __init__(
        self,
        function: str,
        argument: Any,
        *,
        log: Path,
        timeout_s: float = math.inf,
        limit_memory: bool = True,
        n_sharing: int = 1,
    ) -> None:
        start_fork_server()
        context = multiprocessing.get_context("forkserver")
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log, self.timeout_s = log, timeout_s
        self.log_start = log.stat().st_size if log.exists() else 0
        self.oom_kills, self.started = oom_kill_count(), time.monotonic()
        self.receiver, sender = context.Pipe(duplex=False)
        share = 1 / n_sharing if limit_memory else math.inf
        self.process = context.Process(
            target=enter, args=(function, argument, sender, str(log), share), daemon=True
        )
        try:
            self.process.start()
        except (EOFError, ConnectionError) as error:
            raise OSError(
                "the fork server, from which the processes of jobs come, has ended; everything "
                "measured before is kept, and the same command goes on from there"
            ) from error
        # the first job waits until the fork server has imported torch: none of its own time
        self.deadline = time.monotonic() + timeout_s
        sender.close()

    def seconds_left(self) -> float:
        """Return the seconds until its timeout."""
        return self.deadline - time.monotonic()

    def is_done(self, seconds: float | None = 0.0) -> bool:
        """Return whether it has sent its message, or vanished.

        seconds: how long to wait for that; None: until then.
        """
        return bool(wait([self.receiver, self.process.sentinel], seconds))

    def outcome(self) -> Outcome:
        """Return its result, or how it failed, once it is done or its time is over.

        Ends the process.
        """
        vanished = False
        if self.is_done():
            try:
                kind, content = self.receiver.recv()
            except (EOFError, OSError):
                vanished = True
            self.process.join(GRACE_S)
        else:
            kind, content = "failure", ("timeout", f"not done after {self.timeout_s:g} s")
        self.kill()
        wall_s = time.monotonic() - self.started
        if vanished:
            kills = oom_kill_count() - self.oom_kills
            failure = failure_of_exit(self.process.exitcode, kills, self.log, self.log_start)
            return Outcome(failure=failure, wall_s=wall_s)
        if kind == "failure":
            return Outcome(failure=Failure(*content), wall_s=wall_s)
        return Outcome(result=json.loads(content), wall_s=wall_s)

    def kill(self) -> None:
        """End the process, whatever it does."""
        self.process.kill()
        self.process.join()
        self.receiver.close()


class Local:
    """This is the executor of this machine.

    Passes of timing and of memory run alone. Trainings run several at once on the CPU, with one
    thread each: that a second thread hardly helps is measured (at 2 layers of 128 and 512 to 1,024
    tokens), and so the curve of a seed does not depend on the number of cores. log_path: where the
    processes of a case print. run_job: "package.module:function", called in the job's process.
    n_trainings: how many at once; None for what `trainings_side_by_side` says. On a GPU several
    keep each other waiting: what they learn is kept, the seconds that it took are not.
    """

    n_sweeps = 1

    def __init__(
        self,
        device: str,
        log_path: Callable[[str], Path],
        timeout_s: float = math.inf,
        run_job: str = RUN_JOB,
        n_trainings: int | None = None,
    ) -> None:
        self.device, self.log_path = device, log_path
        self.timeout_s, self.run_job = timeout_s, run_job
        self.n_trainings = n_trainings or trainings_side_by_side(device)
        self.running: dict[Running, Job] = {}

    def fits(self, job: Job) -> bool:
        """Return whether nothing runs now, or only trainings do and there is room for one more."""
        if not self.running:
            return True
        trainings = all(other.kind == "quality" for other in (job, *self.running.values()))
        return trainings and len(self.running) < self.n_trainings

    def start(self, job: Job, waiting: Sequence[Job]) -> None:
        """Start a job in a process of its own; trainings share the memory with those to come."""
        n_trainings = sum(other.kind == "quality" for other in waiting)
        process = Running(
            self.run_job,
            job,
            log=self.log_path(job.case_id),
            timeout_s=self.timeout_s,
            limit_memory=self.device == "cpu",
            n_sharing=min(self.n_trainings, n_trainings) if job.kind == "quality" else 1,
        )
        self.running[process] = job

    def in_flight(self) -> list[Job]:
        """Return the jobs whose processes run now."""
        return list(self.running.values())

    def first_done(self) -> tuple[Job, Outcome]:
        """Wait for the first job that ends, and return it with its outcome.

        A process of this machine is never lost, so the outcome is never None.
        """
        done = first_done(self.running)
        job, outcome = self.running.pop(done), done.outcome()
        if job.kind == "quality" and self.device != "cpu" and self.n_trainings > 1:
            outcome.result.get("part", {}).pop("curve_s", None)
        return job, outcome

    def stop(self) -> None:
        """Kill the processes of all jobs that still run."""
        for process in self.running:
            process.kill()
        self.running.clear()


def trainings_side_by_side(device: str) -> int:
    """Return how many trainings run at once: one per core on the CPU, else one."""
    return available_cores() if device == "cpu" else 1


def first_done(running: Collection[Running]) -> Running:
    """Wait for the first of these that is done or whose time is over."""
    ends = [end for one in running for end in (one.receiver, one.process.sentinel)]
    while True:
        seconds = min(one.seconds_left() for one in running)
        wait(ends, min(max(0.0, seconds), LONGEST_WAIT_S))
        done = [one for one in running if one.is_done() or one.seconds_left() <= 0]
        if done:
            return done[0]


def run_in_process(
    function: str,
    argument: Any,
    *,
    log: Path,
    timeout_s: float = math.inf,
    limit_memory: bool = True,
) -> Outcome:
    """Run one job from start to outcome (Running)."""
    running = Running(function, argument, log=log, timeout_s=timeout_s, limit_memory=limit_memory)
    try:
        return first_done([running]).outcome()
    finally:
        running.kill()
