"""What a journal tells: states of a session and numbered events, plain data that can be read without TVM."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

RESUMED = "Going on."
"""The reason that whoever resumes a session that had ended writes before there is a process."""
STARTING = "Starting."
"""The reason with which each process of a session begins."""
USER_PAUSE = "Paused by the user."
"""The reason of a pause that somebody asked for; for any other one the devices are gone."""


class State(enum.Enum):
    """Of a session: queued ⇄ running ⇄ paused, and the ends stopped, finished and failed, from which it can go on.

    QUEUED: created, or waiting for its turn on the device. INTERRUPTED is never written: readers see it where the
    last state written is not an end and no process holds the session.
    """

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    FINISHED = "finished"
    FAILED = "failed"
    INTERRUPTED = "interrupted"

    @property
    def ended(self) -> bool:
        return self in (State.STOPPED, State.FINISHED, State.FAILED, State.INTERRUPTED)


class Kind(enum.Enum):
    """Of an event, with the fields of its data. Seconds are floats; times of a batch's trials follow each other.

    SESSION: state, reason (one sentence or "").
    COMMAND: name, value; carried out by the session.
    TASK: task, phase (`plan.Phase`), trials, best (seconds or null).
    TRIAL: trial, task, latency (seconds or null), error, correct, device.
    BEST: task, trial, latency, before (seconds or null): a correct candidate that is faster than all before.
    JOIN: the fields of `plan.JoinVerdict`, and final: whether it is by the last check's figures. A join is judged by
        its trials first; of several verdicts the last one counts.
    DEVICE: the fields of `interfaces.DeviceState`.
    CHECK: after (number of the last trial before), contest and contests (how many of how many), bests (a list of
        [task, seconds, trial]): the last check's figures, which replace what came out of the trials (`settle`).
    END_TO_END: trials, summed, missing, measured (seconds or null), seconds (of each run), error, device; in the last
        check also chosen (the plan that this is of, see `settle`) and plans (seconds or null of each, by name).
    """

    SESSION = "session"
    COMMAND = "command"
    TASK = "task"
    TRIAL = "trial"
    BEST = "best"
    JOIN = "join"
    DEVICE = "device"
    CHECK = "check"
    END_TO_END = "end_to_end"


@dataclass(frozen=True)
class Event:
    """One event.

    Attributes:
        id: ascending without reuse; a reader asks for what came after the last one that it has.
        at: Unix time.
        elapsed: seconds that the session has been tuning, pauses and waiting not counted.
        kind: what happened.
        data: its fields, see `Kind`.
    """

    id: int
    at: float
    elapsed: float
    kind: Kind
    data: Mapping[str, Any]


class Command(enum.Enum):
    """What a session can be told while it runs. EXTEND has a value: how many trials more."""

    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"
    EXTEND = "extend"
