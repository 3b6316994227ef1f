"""What pages and reports say about a session: sentences, and rows of tables. Every latency comes with its method."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ago_core.tuning.control import Status
from ago_core.tuning.events import STARTING, Kind, State
from app.services.tuning import ABLATION_NAMES, Row
from app.services.tuning_feed import Feed
from visualizers.tuning_history import (
    APART,
    JOIN,
    JOINED,
    TUNED,
    UNTUNED,
    DeviceUse,
    History,
    Point,
    Run,
    Unit,
    devices,
    efforts,
    rate,
    runs,
    summed,
    verdicts,
)
from visualizers.units import count, duration, milliseconds

WHY = "Why"
SO_FAR = " so far"
QUARANTINED = "quarantined"
"""State of a device, see `interfaces.DeviceState`."""
PLAN_TEXTS = {
    "": "Now: the best so far, joined or by its parts.",
    TUNED: "Kept by the last check: each subgraph as tuned, joined or by its parts.",
    JOINED: "Kept by the last check, as the whole model was fastest so: every subgraph joined.",
    APART: "Kept by the last check, as the whole model was fastest so: every subgraph by its parts.",
    UNTUNED: "Kept by the last check, as the whole model was fastest so: no tuned function. "
    "The paler bars are the best that were found.",
}
"""What the bars of the subgraphs show, by the plan that was kept."""


@dataclass(frozen=True)
class Standing:
    """A session at one moment: now, or the one that is replayed.

    Attributes:
        trials, total: measured and asked for.
        elapsed: seconds of tuning.
        rate: trials a second lately, or None.
        runs: measurements of the whole model.
        summed: sums of the subgraphs' bests.
    """

    trials: int
    total: int
    elapsed: float
    rate: float | None
    runs: Sequence[Run]
    summed: Sequence[Point]

    @property
    def measured(self) -> list[Run]:
        return [run for run in self.runs if run.median is not None]

    @property
    def best(self) -> Run | None:
        """What the last check chose, or the fastest so far."""
        if self.measured and self.measured[-1].chosen:
            return self.measured[-1]
        return min(self.measured, key=lambda run: run.median, default=None)

    @property
    def left(self) -> float | None:
        """Seconds until the trials are spent, at that rate."""
        return (self.total - self.trials) / self.rate if self.rate else None

    @property
    def gain(self) -> str:
        """What tuning gave, in a few words: beside no tuning once both ran in turns, else since the first run."""
        best = self.best
        untuned = best.plans.get(UNTUNED) if best and best.chosen else None
        if untuned and best.chosen == UNTUNED:
            return "not faster than untuned"
        if untuned:
            return f"{untuned / best.plans[best.chosen]:.2f}× as fast as untuned"
        return f"{self.measured[0].median / best.median:.2f}× since the first" if len(self.measured) > 1 else ""


def standing(feed: Feed, history: History) -> Standing:
    """Of a session, as far as `history` goes."""
    trials = len(history.of(Kind.TRIAL))
    total = feed.total if feed.meta else trials
    sums = summed(feed.units, history)
    if sums:  # it still holds
        sums.append(Point(trials, history.elapsed, sums[-1].seconds))
    return Standing(trials, total, history.elapsed, rate(history), runs(history), sums)


def method(run: Run, device: str) -> str:
    """How a latency was measured."""
    return (
        f"median of {count(len(run.runs), 'run')} on {device}, quartiles {milliseconds(run.low)} to "
        f"{milliseconds(run.high)}, after {count(run.trials, 'trial')}"
    )


def end_to_end_text(stand: Standing, device: str) -> str:
    """The main plot in words."""
    parts = []
    if stand.best:
        parts.append(f"End to end {milliseconds(stand.best.median)} at best ({method(stand.best, device)})")
    if len(stand.measured) > 1:
        first = stand.measured[0]
        parts.append(f"at first {milliseconds(first.median)} (after {count(first.trials, 'trial')})")
    if stand.best and len(stand.best.plans) > 1:
        parts.append(plans_text(stand.best.plans, stand.best.chosen))
    if stand.summed:
        which = " as tuned" if stand.best and stand.best.chosen not in ("", TUNED) else ""
        parts.append(f"sum of the subgraphs{which} {milliseconds(stand.summed[-1].seconds)}, an estimate")
    if failed := [run for run in stand.runs if run.error]:
        parts.append(f"{count(len(failed), 'measurement')} of the whole model failed: {failed[-1].error.rstrip('.')}")
    return "; ".join(parts) + "." if parts else ""


def plans_text(plans: Mapping[str, float | None], chosen: str) -> str:
    """What the last check found, in turns."""
    found = ", ".join(f"{name} {milliseconds(seconds) if seconds else 'failed'}" for name, seconds in plans.items())
    return f"in the last check, in turns, {found}: {chosen} is kept"


def doing(feed: Feed, stand: Standing) -> str:
    """One sentence about what the session is doing, or why it is not."""
    if feed.state is State.QUEUED and not feed.planned:
        return "Starting: the compiler, the devices, and the plan of what to tune."
    if feed.state is State.QUEUED:
        return "Going on: loading the model again." if feed.reason == STARTING else feed.reason or "Waiting."
    if feed.state is not State.RUNNING:
        return feed.reason
    return _running(feed, stand) + _left_alone(feed.history)


def _running(feed: Feed, stand: Standing) -> str:
    if not stand.trials:
        return f"Building the first candidates of {count(len(feed.tasks), 'task')}."
    if not stand.summed:
        first = zip(feed.tasks, efforts(feed.tasks, feed.history))
        missing = sum(effort.best is None and task.kind != JOIN for task, effort in first)
        return f"Measuring a first schedule of each task; {missing} to go, then the whole model."
    if stand.trials >= stand.total:
        return _checking(feed.history)
    joins = [task for task in feed.tasks if task.kind == JOIN]
    tuning = [effort.phase for effort in efforts(feed.tasks, feed.history)]
    begun = sum(tuning[join.id] != "waiting" for join in joins)
    if joins and not begun:
        return "Tuning the parts of the subgraphs; they are joined once they stop improving."
    if joins:
        return f"Tuning joins: {begun} of {len(joins)} begun, {len(verdicts(feed.history))} judged."
    return "Tuning whole subgraphs."


def share_done(feed: Feed, stand: Standing) -> float:
    """Of the trials, in [0, 1]; while the last check runs, of its groups and the whole models after them."""
    checks = [event.data for event in feed.history.of(Kind.CHECK)]
    if feed.state is State.RUNNING and stand.trials >= stand.total and stand.trials:
        return checks[-1]["contest"] / (checks[-1]["contests"] + 1) if checks else 0.0
    return min(1.0, stand.trials / max(1, stand.total))


def _checking(history: History) -> str:
    """Where the last check is."""
    checks = [event.data for event in history.of(Kind.CHECK)]
    if not checks or checks[-1]["after"] < history.of(Kind.TRIAL)[-1].data["trial"]:
        return "The last check: compiling the finalists, which are then measured in turns."
    last = checks[-1]
    if last["contest"] < last["contests"]:
        return f"The last check: finalists in turns, {last['contest']} of {last['contests']} groups."
    return "The last check: whole models in turns."


def join_rows(feed: Feed, history: History) -> list[dict[str, str]]:
    """A row for each join: what was tried, what won, by how much, and why."""
    judged, now = verdicts(history), efforts(feed.tasks, history)
    return [_join_row(unit, judged.get(unit.join), now, history) for unit in feed.units if unit.join is not None]


def _join_row(unit: Unit, data: Mapping[str, Any] | None, now, history: History) -> dict[str, str]:
    join = now[unit.join]
    if data is None:
        apart = [now[part].best for part in unit.minis]
        found = join.best, sum(apart) if None not in apart else None
        verdict, why = ("being tuned" if join.trials else "waiting"), "Not judged yet."
        tried = join.trials, sum(now[part].trials for part in set(unit.minis))
    else:
        found = data["joined"], data["parts"]
        verdict = ("kept" if data["kept"] else "dropped") + ("" if data["final"] else SO_FAR)
        why = data["reason"].split(" (joined ")[0].rstrip(".") + "."
        tried = data["trials"], data["parts_trials"]
    joined, apart = found
    gain = f"{apart / joined:.2f}×" if joined and apart else "–"
    return {
        "Subgraph": unit.title,
        "Joined": milliseconds(joined) if joined else "–",
        "Apart": milliseconds(apart) if apart else "–",
        "Gain": gain,
        "Trials": f"{tried[0]} + {tried[1]}",
        "Verdict": verdict,
        WHY: why,
    }


def join_text(rows: Sequence[Mapping[str, str]], plan: str) -> str:
    """How many joins were kept; `plan` is what `kept_plan` gives."""
    found = [row["Verdict"] for row in rows]
    kept, dropped = (sum(verdict.startswith(word) for verdict in found) for word in ("kept", "dropped"))
    text = f"{count(len(rows), 'join')}: {kept} kept, {dropped} dropped"
    if rest := len(rows) - kept - dropped:
        text += f", {rest} not judged yet"
    if any(verdict.endswith(SO_FAR) for verdict in found):
        text += " (by their trials; the last check decides)"
    uses = {APART: "none of them", UNTUNED: "no tuned function", JOINED: "every join that runs"}.get(plan)
    return f"{text}." + (f" But the whole model is fastest “{plan}”, with {uses}." if uses else "")


def device_rows(found: Iterable[DeviceUse], elapsed: float) -> list[dict[str, str]]:
    return [
        {
            "Device": use.device,
            "State": _device_state(use),
            "Busy": f"{use.busy / elapsed:.0%}" if elapsed and use.spans else "–",
            "Trials": str(use.trials),
            "Failed": str(use.failed),
            "Lost": f"{len(use.troubles)} ×",
            WHY: use.reason or (f"Last time: {use.troubles[-1][2]}" if use.troubles else ""),
        }
        for use in found
    ]


def _device_state(use: DeviceUse) -> str:
    if use.state == QUARANTINED and use.until:
        return f"left alone for {use.until:.3g} s"
    return use.state or "not reported"


def _left_alone(history: History) -> str:
    """A sentence about devices that have failed and are left alone, or ""."""
    remote = [use for use in devices(history) if use.state]
    out = sum(use.state == QUARANTINED for use in remote)
    if not out:
        return ""
    return f" {out} of {count(len(remote), 'device')} left alone after failures, see Devices."


def compare_rows(stands: Mapping[str, tuple[Feed, Standing]]) -> list[dict[str, str]]:
    """A row for each session of a comparison."""
    return [_compare_row(name, feed, stand) for name, (feed, stand) in stands.items()]


def _compare_row(name: str, feed: Feed, stand: Standing) -> dict[str, str]:
    best = stand.best
    kept = sum(data["kept"] for data in verdicts(feed.history).values())
    joins = sum(unit.join is not None for unit in feed.units)
    return {
        "Session": name,
        "State": feed.state.value,
        "Trials": f"{stand.trials:,} of {stand.total:,}",
        "Best": milliseconds(best.median) if best else "–",
        "Quartiles": f"{milliseconds(best.low)} to {milliseconds(best.high)}" if best else "–",
        "First": milliseconds(stand.measured[0].median) if best else "–",
        "Summed": milliseconds(stand.summed[-1].seconds) if stand.summed else "–",
        "Joins kept": f"{kept} of {joins}" if joins else "–",
        "Time": duration(stand.elapsed),
        "Device": feed.device,
    }


def list_facts(row: Row) -> tuple[str, str, str]:
    """Of a session in the list: what it tunes, how far it is, and its best."""
    status = row.status
    if status is None:
        return "", "", ""
    what = f"{status.model} · {ABLATION_NAMES[status.ablation]} · {_where(row)}"
    return what, f"{status.trials:,} of {status.total:,} trials", _best(status)


def _where(row: Row) -> str:
    return f"this machine, {count(row.threads, 'thread')}" if row.threads else row.status.device


def _best(status: Status) -> str:
    if status.end_to_end is None:
        return "not measured yet"
    return f"best {milliseconds(status.end_to_end)} end to end (first {milliseconds(status.first)})"


def plan_text(sessions: int, trials: int, speed: float | None) -> str:
    """What will happen, and how long it takes where earlier sessions tell."""
    each = f"{trials:,} schedules are built, run and timed"
    text = f"{each}." if sessions == 1 else f"{sessions} sessions take turns on the device; in each, {each}."
    if speed is None:
        return text
    return f"{text} About {duration(sessions * trials / speed)}, at the {speed:.1f} trials/s of earlier sessions here."


def about_rows(feed: Feed) -> list[tuple[str, str]]:
    """What a session tunes, with what, and how to do it again."""
    meta, settings = feed.meta, feed.settings
    clustering = settings["clustering"]
    used = meta.get("versions", {}) | {"code of this tool": meta.get("code", "not recorded")}
    versions = ", ".join(f"{name} {version}" for name, version in used.items())
    partition = f"{meta['method']}, {count(len(meta['partition']['subgraphs']), 'subgraph')}"
    limit = f", limit {clustering['threshold']:g}, test by {clustering['rule']}" if meta["method"] == "ago" else ""
    joins = sum(task.kind == JOIN for task in feed.tasks)
    taken = f"; schedules of {meta['taken_over']} taken over from {meta['reuse']}" if meta.get("taken_over") else ""
    return [
        ("Model", f"{feed.model} (hash {meta['model_hash'][:16]}…)"),
        ("Partition", partition + limit),
        ("Setting", feed.ablation),
        ("Tasks", f"{len(feed.tasks)}, {joins} of them joins{taken}"),
        ("Device", feed.device),
        ("Target", meta["target"]),
        ("Search", f"seed {settings['seed']}, batches of {settings['batch']}"),
        ("Begun", time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(meta["created"]))),
        ("Versions", versions),
        ("Folder", str(feed.folder)),
        ("Again", command(feed)),
    ]


def command(feed: Feed) -> str:
    """The command line that begins such a session."""
    settings, model = feed.settings, feed.meta["model"]
    words = ["python -m ago_core tune", model.get("sample") or model["path"], f"--trials {feed.total}"]
    words += [f"--dim {name}={size}" for name, size in feed.meta["dims"].items()]
    device = settings["device"]
    if device["kind"] == "local":
        words.append(f"--threads {device['threads']}")
    else:
        words.append(
            f"--device {device['key']} --tracker {device['host']}:{device['port']} --preset {device['preset']}"
        )
    edited = feed.meta.get("partition") and settings["ablation"]["partition"] == "edited"
    words.append("--partition FILE" if edited else f"--ablation {ablation_key(feed)}")
    words += [f"--reuse {feed.meta['reuse']}"] if feed.meta.get("reuse") else []
    clustering = settings["clustering"]
    words.append(f"--threshold {clustering['threshold']:g} --rule {clustering['rule']}")
    words += [] if clustering["aware"] else ["--plain"]
    words.append(f"--batch {settings['batch']} --seed {settings['seed']} --session FOLDER")
    return " ".join(words)


def ablation_key(feed: Feed) -> str:
    """As the command line calls it."""
    return next(key for key, name in ABLATION_NAMES.items() if name == feed.ablation)
