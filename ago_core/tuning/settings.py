"""What a user chooses about a tuning session, as data that is written into its journal."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ago_core.errors import UserError
from ago_core.partition.settings import Rule, Settings

BATCH = 16
"""Trials proposed and measured together: pause and stop take effect between batches."""


class Spaces(enum.Enum):
    """Where candidates come from."""

    OURS = "ours"
    STOCK = "stock"


@dataclass(frozen=True)
class Ablation:
    """What of AGO is on.

    Attributes:
        partition: "ago", "heuristic", or "edited" for a partition that the user gives.
        fusion: whether a joined subgraph's space holds nests with several complex operators (intensive fusion).
        reformer: whether subgraphs are split into minis, tuned apart and joined; off, they are tuned whole at once.
        spaces: this project's, or the rules that MetaSchedule ships.
    """

    partition: str = "ago"
    fusion: bool = True
    reformer: bool = True
    spaces: Spaces = Spaces.OURS


ABLATIONS: Mapping[str, Ablation] = {
    "ago": Ablation(),
    "no-fusion": Ablation(fusion=False),
    "no-reformer": Ablation(reformer=False),
    "heuristic": Ablation("heuristic", fusion=False, reformer=False),
    "stock": Ablation("heuristic", fusion=False, reformer=False, spaces=Spaces.STOCK),
}
"""AGO; AGO without one of its parts; TVM's partition in this project's spaces; TVM's partition in TVM's spaces."""


@dataclass(frozen=True)
class LocalDevice:
    """This machine, with so many threads."""

    threads: int

    @property
    def name(self) -> str:
        return "local"


@dataclass(frozen=True)
class RemoteDevice:
    """The devices that a TVM RPC tracker lends under one key.

    Attributes:
        host, port: of the tracker.
        key: that the devices registered with.
        preset: the name of their target.
    """

    host: str
    port: int
    key: str
    preset: str

    @property
    def name(self) -> str:
        return f"{self.key} at {self.host}:{self.port}"


Device = LocalDevice | RemoteDevice


@dataclass(frozen=True)
class TuningSettings:
    """Of one session.

    Attributes:
        trials: measured candidates in all, failed ones included.
        device: that they are measured on.
        ablation: what of AGO is on.
        batch: candidates measured together.
        seed: of the search.
        clustering: of AGO's partition, where that is the one.
    """

    trials: int
    device: Device
    ablation: Ablation = ABLATIONS["ago"]
    batch: int = BATCH
    seed: int = 0
    clustering: Settings = Settings()

    @property
    def ablation_name(self) -> str:
        """The preset's name, or "custom"."""
        return next((name for name, preset in ABLATIONS.items() if preset == self.ablation), "custom")

    def with_trials(self, trials: int) -> TuningSettings:
        return replace(self, trials=trials)

    def to_json(self) -> dict[str, Any]:
        device = {"kind": "local" if isinstance(self.device, LocalDevice) else "rpc", **asdict(self.device)}
        ablation = asdict(self.ablation) | {"spaces": self.ablation.spaces.value}
        return {
            "trials": self.trials,
            "device": device,
            "ablation": ablation,
            "batch": self.batch,
            "seed": self.seed,
            "clustering": asdict(self.clustering) | {"rule": self.clustering.rule.value},
        }


def settings_from_json(data: Mapping[str, Any]) -> TuningSettings:
    """Reads what `TuningSettings.to_json` wrote.

    Raises:
        UserError: it is something else, such as settings of another version.
    """
    try:
        device = dict(data["device"])
        kind = {"local": LocalDevice, "rpc": RemoteDevice}[device.pop("kind")]
        ablation = Ablation(**data["ablation"] | {"spaces": Spaces(data["ablation"]["spaces"])})
        clustering = Settings(**data["clustering"] | {"rule": Rule(data["clustering"]["rule"])})
        trials, batch, seed = (int(data[name]) for name in ("trials", "batch", "seed"))
        return TuningSettings(trials, kind(**device), ablation, batch, seed, clustering)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"The session's settings are of another version of this tool: {error!r}.") from error
