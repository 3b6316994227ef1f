"""Commands that time parts of a model: profile, of one plan or of several in turns; and edit-times."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path

from ago_core.cli.common import load, partition_named, progress, show, threads
from ago_core.cli.run import compile_tuned
from ago_core.errors import UserError

NO_FUSION = ":no-fusion"
SLOWEST = 12
"""Subgraphs that the text names."""


def profile_command(args: argparse.Namespace) -> int:
    from ago_core.artifacts.profiler import measure_profiles

    model = load(args)
    entrants = [_entrant(model, plan, args) for plan in args.plans]
    profiles = measure_profiles(entrants, _threads(entrants, args), args.rounds, progress(args))
    if args.keep:
        for profile in profiles:
            _keep(Path(args.keep), profile)
    show(args, {"profiles": [profile.to_json() for profile in profiles]}, lambda _: "\n\n".join(map(_text, profiles)))
    return 0


def edit_times_command(args: argparse.Namespace) -> int:
    from ago_core.devices.local import host_target
    from ago_core.tuning.edit_bench import estimate_edit, measure_edit

    model = load(args)
    before, after = (partition_named(model, name, args) for name in (args.before, args.after))
    if before.subgraphs == after.subgraphs:
        raise UserError("The two partitions are the same: there is no edit to measure.")
    count = threads(args)
    target = host_target(count)
    estimate = estimate_edit(model, before, after, target)
    found = measure_edit(model, before, after, target, count, progress(args))
    if args.keep:
        _keep(Path(args.keep), found)
    data = {"estimate": asdict(estimate), "measured": found.to_json()}
    show(args, data, lambda _: _edit_text(estimate, found))
    return 0


def _entrant(model, plan: str, args: argparse.Namespace):
    """A plan by its name, compiled: a method or a saved partition, with `:no-fusion` or not, or a session's folder."""
    from ago_core.artifacts.profiler import Entrant
    from ago_core.devices.local import host_target
    from ago_core.lowering.executable import compile_model

    progress(args)(f"Compiling {Path(plan).name}")
    if Path(plan).is_dir():
        return Entrant(compile_tuned(model, Path(plan), args), tuned=str(Path(plan).resolve()))
    name, fusion = plan.removesuffix(NO_FUSION), not plan.endswith(NO_FUSION)
    partition = partition_named(model, name, args)
    return Entrant(compile_model(model, partition, host_target(threads(args)), progress(args), fusion=fusion), fusion)


def _threads(entrants: list, args: argparse.Namespace) -> int:
    """As many as all plans were compiled for, unless the arguments say otherwise."""
    found = {int(entrant.compiled.target.attrs["num-cores"]) for entrant in entrants}
    if len(found) > 1 and not args.threads:
        counts = " and ".join(map(str, sorted(found)))
        raise UserError(f"The plans are for {counts} threads: choose with --threads, so that they can be compared.")
    return args.threads or found.pop()


def _keep(folder: Path, found) -> None:
    """Writes what was found under its key, whole or not at all; an older one of the same goes."""
    path = folder / f"{found.key}.json"
    new = path.with_suffix(f".{os.getpid()}.new")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        new.write_text(json.dumps(found.to_json()))
        new.replace(path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from error


def _text(profile) -> str:
    whole, parts = profile.whole, [(part, k) for k, part in enumerate(profile.subgraphs) if part]
    plan = f"tuned by {profile.tuned}" if profile.tuned else "not tuned" if profile.fusion else "not tuned, no fusion"
    slowest = sorted(parts, key=lambda pair: -pair[0].median)[:SLOWEST]
    lines = [
        f"  S{k:<4d} {part.median * 1e6:10.1f} µs  {part.median / profile.sum_of_parts:6.1%}" for part, k in slowest
    ]
    rest = profile.whole.median - profile.sum_of_parts
    return "\n".join(
        [
            f"{profile.model}, {profile.method}, {plan}: {len(profile.groups)} subgraphs",
            f"  whole {whole.median * 1e3:.3f} ms (quartiles {whole.q1 * 1e3:.3f} to {whole.q3 * 1e3:.3f}), "
            f"sum of the parts {profile.sum_of_parts * 1e3:.3f} ms, between them {rest * 1e3:+.3f} ms",
            f"  {profile.runs} runs, {profile.threads} threads, on {profile.machine}",
            f"  relative error {profile.max_rel_error:.1e}; {profile.clock * 1e6:.2f} µs of timing taken off a call",
            f"  the slowest of {len(parts)}:",
            *lines,
        ]
    )


def _edit_text(estimate, found) -> str:
    def line(name: str, before: float, after: float, note: str) -> str:
        return f"  {name:9s} {before * 1e6:10.1f} → {after * 1e6:.1f} µs  ({after / before - 1:+.1%}), {note}"

    counts = f"{len(found.parts_before)} → {len(found.parts_after)} subgraphs"
    return "\n".join(
        [
            f"{counts}, not tuned, {found.threads} threads, on {found.machine}",
            line("estimated", estimate.before, estimate.after, f"at {estimate.hertz / 1e9:.2f} GHz; nothing was run"),
            line("measured", found.before.median, found.after.median, f"each by itself, {found.turns} turns"),
        ]
    )
