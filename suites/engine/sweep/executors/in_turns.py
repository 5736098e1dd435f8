"""A sweep beside that of another checkout starts a job only when its turn has come. No torch.

The command `ab` holds the far end of a channel to each of the two sweeps, and deals out the turns
(suites.engine.sweep.pair). Messages are lines of JSON: the sweep asks, the command answers.
"""

import json
import os
import socket
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from select import select
from typing import Any

from suites.engine.job import Job
from suites.engine.sweep.executors.child import die_when_closed
from suites.engine.sweep.executors.local import Local

# Raised whenever messages change: two checkouts that do not understand each other say so.
PROTOCOL = 1


class Channel:
    """A channel is a sweep's end of its connection to the command `ab`.

    It is given by `run --in-turns SOCKET,PIPE`, two file descriptors: when the pipe closes, because
    the command has ended, be it by SIGKILL, this process and its jobs end at once. Raises
    ValueError if they are no such descriptors.
    """

    def __init__(self, text: str) -> None:
        try:
            descriptors = [int(part) for part in text.split(",")]
            connection, lifeline = descriptors
            modes = [os.fstat(one).st_mode for one in descriptors]
        except (ValueError, OSError):
            modes = [0, 0]
        if not (stat.S_ISSOCK(modes[0]) and stat.S_ISFIFO(modes[1])):
            raise ValueError("--in-turns is what the command ab tells the sweeps that it starts")
        die_when_closed(lifeline)
        if select([lifeline], [], [], 0)[0]:
            os._exit(1)
        self.lines = socket.socket(fileno=connection).makefile("rw")

    def ask(self, message: Mapping[str, Any]) -> Any:
        """Send a message and wait for the answer. Raises OSError if the command has ended."""
        self.tell(message)
        answer = self.lines.readline()
        if not answer:
            raise OSError("the command ab, which deals out the turns, has ended")
        return json.loads(answer)

    def tell(self, message: Mapping[str, Any]) -> None:
        """Send a message that has no answer."""
        self.lines.write(json.dumps(message) + "\n")
        self.lines.flush()


class InTurns(Local):
    """This is the executor of this machine for one of two sweeps that take turns job by job.

    A sweep that asks for the next turn gives back its last one: jobs run alone, trainings too, and
    what a job found is on disk before the other sweep goes on.
    """

    n_sweeps = 2

    def __init__(
        self, channel: Channel, device: str, log_path: Callable[[str], Path], timeout_s: float
    ) -> None:
        super().__init__(device, log_path, timeout_s)
        self.channel, self.n_trainings = channel, 1

    def start(self, job: Job, waiting: Sequence[Job]) -> None:
        """Wait for the turn, then start the job. Raises OSError if the command ab has ended."""
        self.channel.ask({"job": job.key})
        super().start(job, waiting)
