"""Exports: what is to be made, where it can be made, and artifacts that were opened, kept for a reload of the page."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, fields
from functools import cache
from hashlib import file_digest, sha256
from pathlib import Path

from ago_core.artifacts.inspect import Opened, open_artifact
from ago_core.artifacts.records import session_record
from ago_core.devices.tracker import Address
from ago_core.errors import UserError
from app.services.jobs import Work
from app.services.kept import Kept
from app.services.uploads import store
from visualizers.layout import layout
from visualizers.partition_svg import partition_svg

HOST = "host"
ASPECT = 1.9
"""Width by height of an artifact's picture."""
KEPT_ARTIFACTS, KEY_DIGITS = 8, 16


@dataclass(frozen=True)
class Export(Work):
    """`Work` of the command export.

    Attributes:
        preset: name of the target.
        device: key of the device that checks it, and its tracker; None where there is none.
        with_model: whether the ONNX model goes into the artifact.
    """

    preset: str = HOST
    device: tuple[str, Address] | None = None
    with_model: bool = False

    @classmethod
    def of(
        cls, work: Work, preset: str = HOST, device: tuple[str, Address] | None = None, with_model: bool = False
    ) -> Export:
        """What `work` compiles, exported."""
        same = {field.name: getattr(work, field.name) for field in fields(Work)}
        return cls(**same, preset=preset, device=device, with_model=with_model)

    def arguments(self, folder: Path) -> list[str]:
        return [*super().arguments(folder), *self._options()]

    def command(self) -> str:
        """For a person, who gives the files' own names."""
        dims = [part for name, size in self.choice.dims for part in ("--dim", f"{name}={size}")]
        made = ["--tuned", str(self.tuned[0])] if self.tuned else ["--partition", f"{self.method}.json"]
        words = ["export", self.choice.name, *dims, *made, *self._options(), "--output", self.file_name]
        return f"python -m ago_core {shlex.join(words)}"

    def _options(self) -> list[str]:
        target = [] if self.preset == HOST else ["--preset", self.preset]
        checked = ["--device", self.device[0], "--tracker", str(self.device[1])] if self.device else []
        return [*target, *checked, *(["--include-model"] if self.with_model else [])]

    @property
    def file_name(self) -> str:
        """Of the artifact, such as "squeezenet-56-ago-raspberry-pi-5.zip"."""
        stem = Path(self.choice.name).stem if self.choice.path else self.choice.name.replace("@", "-")
        return "-".join([stem, self.method, *([] if self.preset == HOST else [self.preset])]) + ".zip"


def tuned_preset(folder: Path) -> str:
    """The only target that a session's schedules are for. Raises UserError where it cannot be read."""
    return session_record(folder)["settings"]["device"].get("preset", HOST)


def obstacle(preset: str) -> str:
    """One sentence that says why an artifact for a target cannot be made here, or ""."""
    from ago_core.artifacts.linker import linker_for
    from ago_core.devices.presets import preset_named

    try:
        linker_for(preset_named(preset).target)
    except UserError as error:
        return str(error)
    return ""


def targets() -> dict[str, str]:
    """Every target's title by its name."""
    from ago_core.devices.presets import presets

    return {name: preset.title for name, preset in presets().items()}


class Shelf:
    """Artifacts that were opened last, by a key that stands in the address."""

    def __init__(self, kept: int = KEPT_ARTIFACTS):
        self._kept: Kept[str, Opened] = Kept(kept)
        self._pictures: Kept[str, str] = Kept(kept)

    def take(self, name: str, content: bytes | memoryview) -> str:
        """Opens an uploaded artifact. Returns its key. Raises UserError where it is refused."""
        upload = store(name, content)
        return self._put(upload.sha256, upload.path)

    def take_file(self, path: Path) -> str:
        """Opens an artifact that lies here. Returns its key. Raises UserError where it is refused."""
        with path.open("rb") as file:
            return self._put(file_digest(file, "sha256").hexdigest(), path)

    def _put(self, digest: str, path: Path) -> str:
        key = sha256(f"{path.name}:{digest}".encode()).hexdigest()[:KEY_DIGITS]  # one content may have several names
        self._kept.get(key, lambda: open_artifact(path))
        return key

    def find(self, key: str) -> Opened | None:
        """None where it is not kept any more."""
        return self._kept.find(key)

    def picture(self, key: str) -> str:
        """The partition of one that `find` gives, as SVG; some hundred milliseconds the first time, or seconds."""
        found = self._kept.find(key)

        def draw() -> str:
            return partition_svg(found.graph, found.partition, layout(found.graph, found.partition, ASPECT))

        return self._pictures.get(key, draw)


@cache
def shelf() -> Shelf:
    """The server's."""
    return Shelf()
