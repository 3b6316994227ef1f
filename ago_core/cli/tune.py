"""Commands about sessions: tune, resume, pause, stop, status, records, compare."""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import time
from pathlib import Path

from ago_core.cli.common import progress, read_json, show, threads
from ago_core.errors import UserError
from ago_core.tuning import control
from ago_core.tuning.control import Request, Status
from ago_core.tuning.events import STARTING, USER_PAUSE, Kind, State
from ago_core.tuning.journal import read_journal
from ago_core.tuning.records import write_csv
from ago_core.tuning.repair import repair
from ago_core.tuning.settings import ABLATIONS, Ablation, Device, LocalDevice, RemoteDevice, TuningSettings

POLL_SECONDS = 0.5
STOP_SECONDS = 600.0
LOST = ("quarantined", "lost")
"""Of a device, see `interfaces.DeviceState`."""
DEFAULT_TRACKER = ("127.0.0.1", 9190)


def tune_command(args: argparse.Namespace) -> int:
    folder = Path(args.session)
    control.create(folder, _request(args, args.ablation))
    return _start_and_follow(args, folder)


def resume_command(args: argparse.Namespace) -> int:
    folder = Path(args.session)
    if args.repair:
        progress(args)(f"{repair(folder)} trials saved")
    if args.extend:
        control.extend(folder, args.extend)
    control.resume(folder)
    return _followed(args, folder)


def pause_command(args: argparse.Namespace) -> int:
    control.pause(Path(args.session))
    return _told(args, (State.PAUSED,))


def stop_command(args: argparse.Namespace) -> int:
    control.stop(Path(args.session))
    return _told(args, ())


def status_command(args: argparse.Namespace) -> int:
    show(args, control.status(Path(args.session)).to_json(), _status_text)
    return 0


def records_command(args: argparse.Namespace) -> int:
    with read_journal(Path(args.session)) as journal:
        count = write_csv(journal, Path(args.csv))
    show(args, {"trials": count, "path": args.csv}, lambda data: f"{count} trials written to {args.csv}.")
    return 0


def compare_command(args: argparse.Namespace) -> int:
    """Each ablation in a session of its own, one after the other; those that have finished are not repeated."""
    folders = {name: Path(args.session) / name for name in ABLATIONS}
    for name, folder in folders.items():
        if not (folder / control.JOURNAL).exists():
            control.create(folder, _request(args, name))
        progress(args)(f"Tuning {name}")
        if not _is_finished(folder, args.trials):
            status = _follow(args, folder, start=True)
            if status.state is not State.FINISHED:
                raise UserError(f"{name} is {status.state.value}: {status.reason} Run the same command to go on.")
    show(args, {name: _result(folder) for name, folder in folders.items()}, _compare_text)
    return 0


def _is_finished(folder: Path, trials: int) -> bool:
    status = control.status(folder)
    if status.total != trials:
        raise UserError(f"The session in {folder} is for {status.total} trials; compare with as many, or elsewhere.")
    return status.state is State.FINISHED


def _request(args: argparse.Namespace, name: str) -> Request:
    """What the arguments ask for, with the ablation of that name."""
    from ago_core.partition.settings import Rule, Settings

    ablation, partition = ABLATIONS[name], None
    if getattr(args, "partition", None) is not None:
        partition = read_json(args.partition, "partition file")
        ablation = Ablation("edited", ablation.fusion, ablation.reformer, ablation.spaces)
    clustering = Settings(args.threshold, Rule(args.rule), not args.plain)
    settings = TuningSettings(args.trials, _device(args), ablation, args.batch, args.seed, clustering)
    reuse = getattr(args, "reuse", None)
    return Request(args.model, dict(args.dim), settings, partition, reuse and Path(reuse))


def _device(args: argparse.Namespace) -> Device:
    if args.device == "local":
        return LocalDevice(threads(args))
    if args.preset is None:
        raise UserError(f"The devices of key {args.device} need --preset: what to compile for, such as raspberry-pi-4.")
    host, port = args.tracker
    return RemoteDevice(host, port, args.device, args.preset)


def _start_and_follow(args: argparse.Namespace, folder: Path) -> int:
    try:
        control.start(folder)
        return _followed(args, folder)
    except UserError:
        _remove_unbegun(folder)
        raise


def _remove_unbegun(folder: Path) -> None:
    """A session that failed before there was anything to tune would only be in the way of the next attempt."""
    status = control.status(folder)
    if status.state is State.FAILED and not status.tasks:
        for file in control.files(folder):
            file.unlink(missing_ok=True)
        if not any(folder.iterdir()):
            shutil.rmtree(folder)


def _followed(args: argparse.Namespace, folder: Path) -> int:
    """Shows how it goes on to its end; detached, only that it was started."""
    status = control.status(folder) if args.detach else _follow(args, folder)
    show(args, status.to_json() | {"session": str(folder)}, _status_text)
    return 0


def _follow(args: argparse.Namespace, folder: Path, start: bool = False) -> Status:
    """Shows a progress line until the session ends. An interrupt from the keyboard stops it, a second one lets it be.

    Raises:
        UserError: it failed, or its process was killed.
    """
    if start:
        control.resume(folder)
    line = _ProgressLine(args)
    try:
        status = _until_ended(folder, line)
    except KeyboardInterrupt:
        line.note("Stopping after this batch; press again to leave it running")
        _stop(folder)
        status = _until_ended(folder, line)
    finally:
        line.close()
    if status.state in (State.FAILED, State.INTERRUPTED):
        raise UserError(status.reason)
    return status


def _stop(folder: Path) -> None:
    """Tells it to stop, unless it has ended by itself meanwhile."""
    try:
        control.stop(folder)
    except UserError:
        if not control.status(folder).state.ended:
            raise


def _until_ended(folder: Path, line: _ProgressLine) -> Status:
    while True:
        status = control.status(folder)
        line.show(status)
        line.show_loss(folder, status)
        if status.state.ended:
            return status
        time.sleep(POLL_SECONDS)


class _ProgressLine:
    """One line that is written over, at a terminal; JSON lines with --progress; else nothing."""

    def __init__(self, args: argparse.Namespace):
        self._terminal = sys.stderr.isatty() and not args.progress and not args.json
        self._json_lines = args.progress
        self._say = progress(args) if args.progress else lambda text: None
        self._last = ""
        self._lost = False

    def show(self, status: Status) -> None:
        text = progress_text(status)
        if text == self._last:
            return
        self._last = text
        self._say(text)
        if self._terminal:
            print(f"\r\x1b[K{text[: shutil.get_terminal_size().columns - 1]}", end="", file=sys.stderr, flush=True)

    def show_loss(self, folder: Path, status: Status) -> None:
        """Says once, also where no progress is shown, that the session waits for devices, and what to do."""
        lost = status.state is State.PAUSED and status.reason != USER_PAUSE
        if lost and not self._lost:
            text = f"{folder} is paused: {status.reason} Bring a device back, then: python -m ago_core resume {folder}"
            self._say(text)
            if not self._json_lines:
                print(f"\n{text}" if self._terminal else text, file=sys.stderr, flush=True)
        self._lost = lost

    def note(self, text: str) -> None:
        self._say(text)
        if self._terminal:
            print(f"\n{text}…", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._terminal and self._last:
            print(file=sys.stderr)


def progress_text(status: Status) -> str:
    """Trials, the best end-to-end latency, rate and time left."""
    parts = [f"{status.trials}/{status.total} trials"]
    if status.end_to_end is not None:
        parts.append(f"best {status.end_to_end * 1e3:.2f} ms end to end (first {status.first * 1e3:.2f})")
    if status.state is State.RUNNING:
        if status.rate:
            parts.append(f"{status.rate:.1f} trials/s, {_duration(status.left)} left")
    else:
        parts.append(" ".join(filter(None, (status.state.value, status.reason))))
    return " · ".join(parts)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _told(args: argparse.Namespace, states: tuple[State, ...]) -> int:
    """Waits until a command has taken effect, at the end of a batch."""
    folder = Path(args.session)
    progress(args)("Waiting for the end of the batch")
    control.wait(folder, (*states, *(state for state in State if state.ended)), STOP_SECONDS)
    return status_command(args)


def _status_text(data: dict) -> str:
    lines = [
        f"{data['model']}, {data['ablation']} on {data['device']}: {data['state']}. {data['reason']}".rstrip(),
        f"  {data['trials']} of {data['total']} trials over {data['tasks']} tasks in {_duration(data['elapsed'])}",
    ]
    if data["runs"]:
        low, middle, high = _quartiles(data["runs"])
        spread = f"median, quartiles {low:.2f} to {high:.2f}, {len(data['runs'])} runs"
        lines.append(f"  end to end {middle:.2f} ms ({spread}); first {data['first'] * 1e3:.2f} ms")
        lines.append(f"  sum of the best functions {data['summed'] * 1e3:.2f} ms")
    if data["plans"]:
        found = ", ".join(f"{name} {_milliseconds(seconds)}" for name, seconds in data["plans"].items())
        lines.append(f"  last check, in turns: {found}; {data['chosen']} is kept")
    if data["joins_kept"] + data["joins_dropped"]:
        by = "by the last check" if data["chosen"] else "so far"
        lines.append(f"  joins: {data['joins_kept']} kept, {data['joins_dropped']} dropped {by}")
    return "\n".join(lines)


def _milliseconds(seconds: float | None) -> str:
    return "failed" if seconds is None else f"{seconds * 1e3:.2f} ms"


def _quartiles(seconds: list[float]) -> tuple[float, float, float]:
    """(first quartile, median, third quartile) in milliseconds."""
    if len(seconds) == 1:
        return (seconds[0] * 1e3,) * 3
    low, middle, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return low * 1e3, middle * 1e3, high * 1e3


def _result(folder: Path) -> dict:
    """What an ablation came to: its final code, measured; and what came between."""
    status = control.status(folder)
    with read_journal(folder) as journal:
        joins = [event.data for event in journal.events(kinds=[Kind.JOIN])]
        devices = [event.data["state"] for event in journal.events(kinds=[Kind.DEVICE])]
        states = [State(event.data["state"]) for event in journal.events(kinds=[Kind.SESSION])]
        starts = sum(event.data["reason"] == STARTING for event in journal.events(kinds=[Kind.SESSION]))
    pauses = sum(one is State.PAUSED and not after.ended for one, after in zip(states, states[1:]))
    return status.to_json() | {
        "verdicts": list({join["task"]: join for join in joins}.values()),
        "device_losses": sum(state in LOST for state in devices),
        "resumed": max(0, starts - 1) + pauses,
    }


def _compare_text(data: dict) -> str:
    first = next(iter(data.values()))
    lines = [
        f"{first['model']} on {first['device']}, {first['total']} trials each; end to end in ms, the final code",
        f"  {'':14s}{'median':>9s}{'quartiles':>18s}{'first':>9s}{'summed':>9s}{'joins kept':>12s}{'time':>12s}",
    ]
    for name, row in data.items():
        if not row["runs"]:
            lines.append(f"  {name:14s}  the whole model could not be measured")
            continue
        low, middle, high = _quartiles(row["runs"])
        joins = f"{row['joins_kept']} of {row['joins_kept'] + row['joins_dropped']}"
        lines.append(
            f"  {name:14s}{middle:9.2f}{f'{low:.2f} to {high:.2f}':>18s}{row['first'] * 1e3:9.2f}"
            f"{row['summed'] * 1e3:9.2f}{joins:>12s}{_duration(row['elapsed']):>12s}"
        )
    for name, row in data.items():
        if row["device_losses"] or row["resumed"]:
            lines.append(
                f"  {name}: devices lost {row['device_losses']} ×, session resumed {row['resumed']} ×; what was being "
                "measured then was measured again"
            )
    return "\n".join(lines)
