"""TVM's compiler and the devices of a session, behind the interfaces that a session uses."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import tvm
import tvm_ffi
from tvm import tirx

from ago_core.artifacts.linker import linker_for
from ago_core.devices.cores import cores_for
from ago_core.devices.local import host_target
from ago_core.devices.presets import preset_named
from ago_core.schedules.machine import machine_of
from ago_core.tuning import space
from ago_core.tuning.cost_model import CostModel, cut_features, store_features
from ago_core.tuning.interfaces import DeviceState, Measurer, Search, SearchTask
from ago_core.tuning.join import compose
from ago_core.tuning.measure import LocalMeasurer
from ago_core.tuning.measure_rpc import RemoteMeasurer
from ago_core.tuning.search import ScheduleSearch
from ago_core.tuning.settings import RemoteDevice, Spaces, TuningSettings


def make_backend(settings: TuningSettings) -> TvmBackend:
    """The backend of a session.

    Raises:
        UserError: this process may not use as many cores as the settings ask for, there is no such preset, or this
            machine has no linker for it.
    """
    device = settings.device
    if isinstance(device, RemoteDevice):
        target = preset_named(device.preset).target
        linker_for(target)
        return TvmBackend(settings, target)
    cores_for(device.threads)
    return TvmBackend(settings, tvm.target.Target(dict(host_target().export()) | {"num-cores": device.threads}))


class TvmBackend:
    """See `interfaces.Backend`. One cost model serves all tasks."""

    def __init__(self, settings: TuningSettings, target: tvm.target.Target):
        self.target = str(target)
        self._settings = settings
        self._target = target
        self._machine = machine_of(target)
        stock = settings.ablation.spaces is Spaces.STOCK
        self._cost_model = CostModel(store_features if stock else cut_features, settings.seed)

    def measurer(self, report: Callable[[DeviceState], None]) -> AbstractContextManager[Measurer]:
        device = self._settings.device
        if isinstance(device, RemoteDevice):
            return RemoteMeasurer(device, self._target, report)
        return LocalMeasurer(device.threads, self._target, report)

    def search(self, task: SearchTask) -> Search:
        name = str(tvm_ffi.structural_hash(task.function))
        seed = task.seed + 1  # MetaSchedule's are positive
        if self._settings.ablation.spaces is Spaces.STOCK:
            stock = space.stock_space(task.function, self._target, name, seed, self._cost_model)
            return ScheduleSearch([stock], [], set(), seed)
        seen: set[str] = set()
        variants = space.our_variants(task.function, self._machine, self._settings.ablation.fusion)
        composed = [
            space.proposal_of(label, compose(variant, self._machine, task.parts))
            for label, variant in variants.items()
            if task.parts
        ]
        spaces = [
            space.our_space(label, variant, self._machine, self._target, name, seed, self._cost_model, seen)
            for label, variant in variants.items()
        ]
        return ScheduleSearch(spaces, [*composed, *(each.estimate() for each in spaces)], seen, seed)

    def rebuild(self, function: tirx.PrimFunc, trace: str) -> tirx.PrimFunc:
        return space.rebuild(function, trace, self._machine)
