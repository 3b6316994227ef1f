"""Commands about devices: devices, devices start, stop, presets, probe."""

from __future__ import annotations

import argparse
import sys

from ago_core.cli.common import progress, show
from ago_core.errors import UserError


def add_devices(commands, command) -> None:
    """Adds `devices` and its own commands; `command` makes a subparser as for every other command."""
    top = command(commands, "devices", devices_command, "List devices, start and stop those of this machine, ask them.")
    _takes_tracker(top)
    own = top.add_subparsers(metavar="COMMAND")
    sub = _under(own, "start", start_command, "Start devices on this machine: servers, and a tracker for them.")
    sub.add_argument("--servers", type=int, default=1, metavar="N", help="default: 1; 0 for a tracker alone")
    sub.add_argument("--key", default="local-rpc", metavar="K", help="that clients ask for (default: local-rpc)")
    host = "address of this machine to listen on (default: 127.0.0.1, which only this machine reaches)"
    sub.add_argument("--host", default="127.0.0.1", metavar="ADDR", help=host)
    sub.add_argument("--threads", type=int, metavar="N", help="of each server (default: the cores are shared out)")
    port = "of the tracker (default: 9190, or any other where that is taken)"
    sub.add_argument("--port", type=int, metavar="P", help=port)
    _takes_tracker(sub, "register with this tracker instead of starting one")
    sub = _under(own, "stop", stop_command, "Stop what `devices start` has started.")
    _takes_tracker(sub, "only those of this tracker")
    _under(own, "presets", presets_command, "List the targets that have a name.")
    sub = _under(own, "probe", probe_command, "Ask a device what it is, and compare it with a preset.")
    _takes_tracker(sub)
    sub.add_argument("--key", required=True, metavar="K")
    sub.add_argument("--preset", default="host", metavar="NAME", help="default: host")


def devices_command(args: argparse.Namespace) -> int:
    from ago_core.devices.tracker import list_devices

    trackers = _trackers(args)
    devices = [device.to_json() | {"tracker": str(tracker)} for tracker in trackers for device in list_devices(tracker)]
    show(args, {"trackers": [str(tracker) for tracker in trackers], "devices": devices}, _devices_text)
    return 0


def _devices_text(data: dict) -> str:
    if not data["trackers"]:
        return "No tracker: `devices start` starts one on this machine, `--tracker HOST:PORT` names another."
    lines = []
    for tracker in data["trackers"]:
        rows = [device for device in data["devices"] if device["tracker"] == tracker]
        keys = sorted({device["key"] for device in rows})
        lines.append(f"tracker {tracker}: {_count(len(rows), 'device')}")
        for key in keys:
            states = [device["state"] for device in rows if device["key"] == key]
            lines.append(f"  {key}: {states.count('free')} of {len(states)} free")
            lines.extend(_device_text(device) for device in rows if device["key"] == key)
    return "\n".join(lines)


def _device_text(device: dict) -> str:
    about = ""
    if "machine" in device:
        memory = f"{device['memory'] / 2**30:.1f} GiB"
        about = f"{device['machine']} ({device['architecture']}), {_count(device['threads'], 'thread')}, {memory}"
    return f"    {device['address']:24s} {device['state']:8s} {about}".rstrip()


def start_command(args: argparse.Namespace) -> int:
    progress(args)("Starting devices")
    from ago_core.devices.local_group import exposure, start_devices
    from ago_core.devices.tracker import parse_address

    if warning := exposure(args.host):
        print(f"Warning: {warning}", file=sys.stderr)
    tracker = parse_address(args.tracker) if args.tracker else None
    group = start_devices(args.servers, args.key, args.host, tracker, args.threads, args.port)
    show(args, group.to_json(), _start_text)
    return 0


def _start_text(data: dict) -> str:
    where = f"  logs in {data['folder']}; `devices stop` ends it all"
    if not data["servers"]:
        return f"a tracker at {data['tracker']}, with which devices can register\n{where}"
    devices = f"{_count(data['servers'], 'device')} {data['key']!r}, {_count(data['threads'], 'thread')} each"
    return f"{devices}, at the tracker {data['tracker']}\n{where}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def stop_command(args: argparse.Namespace) -> int:
    from ago_core.devices.local_group import running_groups, stop_devices
    from ago_core.devices.tracker import parse_address

    only = parse_address(args.tracker) if args.tracker else None
    groups = [group for group in running_groups() if only in (None, group.tracker)]
    for group in groups:
        stop_devices(group)
    show(args, {"stopped": [group.to_json() for group in groups]}, _stop_text)
    return 0


def _stop_text(data: dict) -> str:
    if not data["stopped"]:
        return "Nothing to stop: `devices start` has started nothing that still runs."
    return "\n".join(
        f"stopped {_count(group['servers'], 'device')} {group['key']!r} of {group['tracker']}"
        for group in data["stopped"]
    )


def presets_command(args: argparse.Namespace) -> int:
    from ago_core.devices.presets import presets

    show(args, [preset.to_json() for preset in presets().values()], _presets_text)
    return 0


def _presets_text(rows: list[dict]) -> str:
    return "\n".join(
        f"{row['name']:20s} {row['title']}: {' '.join((row['processor'], *row['features']))}, {row['cores']} cores"
        for row in rows
    )


def probe_command(args: argparse.Namespace) -> int:
    from ago_core.devices.presets import preset_named

    preset = preset_named(args.preset)
    from ago_core.devices.probe import mismatches, probe
    from ago_core.devices.remote import DeviceLost, open_session

    trackers = _trackers(args)
    if len(trackers) != 1:
        raise UserError(f"Name the tracker with --tracker HOST:PORT; {len(trackers)} run on this machine.")
    try:
        with open_session(trackers[0], args.key) as session:
            found = probe(session, preset)
    except DeviceLost as lost:
        raise UserError(f"{lost} Its log may say why.") from lost
    data = found.to_json() | {"preset": preset.name, "mismatches": mismatches(found, preset)}
    show(args, data, _probe_text)
    return 0


def _probe_text(data: dict) -> str:
    features = "features not known" if data["features"] is None else " ".join(data["features"])
    head = (
        f"{data['address']}: {data['processor'] or 'processor not named'}, {_count(data['cores'], 'core')}, "
        f"{_count(data['threads'], 'thread')}, {data['memory'] / 2**30:.1f} GiB, {features}"
    )
    verdict = data["mismatches"] or [f"It fits the preset {data['preset']}."]
    return "\n  ".join((head, *verdict))


def _trackers(args: argparse.Namespace) -> list:
    """The one that is named, or those that serve the groups of this machine."""
    from ago_core.devices.tracker import parse_address

    if args.tracker:
        return [parse_address(args.tracker)]
    from ago_core.devices.local_group import running_groups

    return sorted({group.tracker for group in running_groups()})


def _under(commands, name: str, command, text: str) -> argparse.ArgumentParser:
    """Its options stand behind it, so those of `devices` keep what was said before where they are not repeated."""
    sub = commands.add_parser(name, help=text, description=text)
    sub.set_defaults(command=command)
    sub.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="report as JSON")
    return sub


def _takes_tracker(sub: argparse.ArgumentParser, text: str = "default: those that `devices start` has started") -> None:
    default = None if sub.prog.endswith(" devices") else argparse.SUPPRESS
    sub.add_argument("--tracker", metavar="HOST:PORT", default=default, help=text)
