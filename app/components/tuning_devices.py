"""Where a session measures: this machine, or devices behind a tracker, which can be started here."""

from __future__ import annotations

import os
from functools import cache

import streamlit as st

from ago_core.devices.cores import allowed_cores, physical_cores
from ago_core.devices.tracker import RemoteDevice as Listed
from ago_core.devices.tracker import list_devices, parse_address
from ago_core.errors import UserError
from ago_core.tuning.settings import Device, LocalDevice, RemoteDevice
from app.components.loading import POLL_SECONDS
from app.components.text import plain, table
from app.services.worker import Task, Worker
from visualizers.units import count

HERE, REMOTE = "This machine", "Behind a tracker"
WHERE_KEY, THREADS_KEY, TRACKER_KEY, DEVICE_KEY, PRESET_KEY = (
    f"tuning-{name}" for name in ("where", "threads", "tracker", "key", "preset")
)
TASK_KEY = "tuning-devices-task"
ASK_SECONDS = 1.0
"""In which a tracker must answer: the page waits for it."""
REFRESH_SECONDS = 2.0
MAX_SERVERS = 32


def choose_device() -> Device | None:
    """The device that is chosen; None where the choice is not complete, which is said on the page."""
    where = st.segmented_control("Where to measure", (HERE, REMOTE), default=HERE, required=True, key=WHERE_KEY)
    if where == HERE:
        most = len(allowed_cores())
        if THREADS_KEY not in st.session_state:
            st.session_state[THREADS_KEY] = physical_cores()
        threads = st.number_input(
            f"Threads (up to {most})",
            1,
            most,
            key=THREADS_KEY,
            width=180,
            help="That the model will run on: schedules are tuned for so many. Several sessions take turns.",
        )
        return LocalDevice(threads)
    return _remote()


def _remote() -> RemoteDevice | None:
    from ago_core.devices.presets import presets

    _take_over_started()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        address = st.text_input("Tracker (host:port)", key=TRACKER_KEY, placeholder="127.0.0.1:9190", width=200)
        _starting()
    found = _found(address)
    if not found:
        return None
    keys = sorted({device.key for device in found})
    with st.container(horizontal=True, gap="small"):
        key = st.selectbox("Key", keys, key=DEVICE_KEY, width=200, help="Devices of one key measure in parallel.")
        preset = st.selectbox(
            "What they are",
            list(presets()),
            format_func=lambda name: presets()[name].title,
            key=PRESET_KEY,
            width=300,
            help="The target that schedules are compiled for.",
        )
    st.fragment(_list, run_every=REFRESH_SECONDS)(address, key)
    tracker = parse_address(address)
    return RemoteDevice(tracker.host, tracker.port, key, preset)


def _found(address: str) -> tuple[Listed, ...]:
    """The devices of the tracker; where there are none, the page says why."""
    if not address:
        st.caption("Name a tracker that runs, or start one with devices on this machine.")
        return ()
    try:
        found = list_devices(parse_address(address), ASK_SECONDS)
    except UserError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return ()
    if not found:
        st.warning(
            "The tracker has no devices yet: start servers that register with it.", icon=":material/devices_off:"
        )
    return found


def _list(address: str, key: str) -> None:
    """The devices of the key, drawn again and again."""
    try:
        found = [one for one in list_devices(parse_address(address), ASK_SECONDS) if one.key == key]
    except UserError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    if found:
        table([_device_row(device) for device in found], wide="About")


def _device_row(device: Listed) -> dict[str, str]:
    about = device.about
    memory = f", {about['memory'] / 2**30:.1f} GiB" if "memory" in about else ""
    text = f"{about['machine']}, {count(about['threads'], 'thread')}{memory}" if "machine" in about else ""
    return {"Device": str(device.address), "State": device.state.value, "About": text}


# starting and stopping devices on this machine


@cache
def _worker() -> Worker:
    return Worker("devices")


def _starting() -> None:
    """Starts a tracker and servers on this machine, or stops those that were started."""
    task: Task | None = st.session_state.get(TASK_KEY)
    with st.popover("Devices on this machine", icon=":material/add_to_queue:"):
        if task is not None and not task.done:
            _follow(task)
            return
        if task is not None and task.error:
            st.error(plain(task.error), icon=":material/error:")
        _groups()
        _start_form()


@st.fragment(run_every=POLL_SECONDS)
def _follow(task: Task) -> None:
    if task.done:
        st.rerun()
    st.info(f"{plain(task.progress.current)} … {task.progress.seconds:.0f} s", icon=":material/hourglass_top:")


def _groups() -> None:
    from ago_core.devices.local_group import running_groups, stop_devices

    for group in running_groups():
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.caption(plain(f"{group.servers} × {group.key} at {group.tracker}, {group.threads} threads each"))
            st.button("Use", key=f"use-{group.pid}", on_click=_use, args=(str(group.tracker), group.key))
            if st.button("Stop", key=f"stop-{group.pid}", icon=":material/stop:"):
                _submit("Stopping the devices", lambda group=group: stop_devices(group))


def _use(tracker: str, key: str) -> None:
    st.session_state[TRACKER_KEY], st.session_state[DEVICE_KEY] = tracker, key


def _start_form() -> None:
    from ago_core.devices.local_group import LOOPBACK, exposure, start_devices

    with st.container(width=320, gap="small"):
        servers = st.number_input("Servers", 1, min(MAX_SERVERS, os.cpu_count() or 1), key="tuning-servers")
        key = st.text_input("Key", "local-rpc", key="tuning-new-key", help="By which sessions ask for them.")
        host = st.text_input(
            "Listen on", LOOPBACK, key="tuning-host", help="127.0.0.1: only this machine reaches them."
        )
        if warning := exposure(host):
            st.warning(plain(warning), icon=":material/warning:")
        if st.button("Start tracker and servers", type="primary", icon=":material/play_arrow:"):
            _submit("Starting a tracker and servers", lambda: start_devices(servers, key, host))


def _submit(what: str, do) -> None:
    def work(progress):
        progress(what)
        return do()

    task = Task(work)
    st.session_state[TASK_KEY] = task
    _worker().submit(task.run)
    st.rerun()


def _take_over_started() -> None:
    """What was just started is what is used; at first, the first tracker that runs here."""
    from ago_core.devices.local_group import running_groups

    task: Task | None = st.session_state.get(TASK_KEY)
    if task is not None and task.done and not task.error:
        del st.session_state[TASK_KEY]
        if task.result is not None:
            _use(str(task.result.tracker), task.result.key)
    if TRACKER_KEY not in st.session_state:
        groups = running_groups()
        st.session_state[TRACKER_KEY] = str(groups[0].tracker) if groups else ""
