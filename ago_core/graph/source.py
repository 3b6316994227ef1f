"""Opening a model: a file or a sample becomes a checked ONNX model with weights, static inputs and inferred shapes.

All that can be told without importing TVM's compiler is told here, in one sentence each, before any work is done.
"""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from ago_core.errors import UserError
from ago_core.graph import model_checks, model_shapes, model_weights
from ago_core.graph.model_checks import first_line, quoted

IMPORTER_VERSION = 2  # part of every model's hash: raise it when the same file gives another OpGraph
MAX_BYTES = 2 << 30  # file and external data together, and any single tensor


@dataclass(frozen=True)
class Source:
    """A model that is ready to be imported.

    Attributes:
        name: for people: the file's stem, or a sample such as "mobilenet_v2@224".
        model: weights loaded, symbolic dimensions bound, shapes inferred.
        sha256: of the file, its external data, the bound dimensions and the importer's version: `OpGraph.model_hash`.
        path: the model file.
        dims: the bound dimensions, sorted by name.
    """

    name: str
    model: onnx.ModelProto = field(repr=False, compare=False)
    sha256: str
    path: Path
    dims: tuple[tuple[str, int], ...]


def open_source(spec: str | Path, dims: Mapping[str, int] | None = None, *, name: str | None = None) -> Source:
    """Opens a model and checks all that can be checked before the import.

    Args:
        spec: path of an .onnx file, or a sample such as "mobilenet_v2@224". A `Path` is always a file.
        dims: a size for each of the model's `symbolic_dimensions`.
        name: what to call the model instead of the file's stem.

    Raises:
        UserError: the file cannot be read or is not a model, weights are missing, or it cannot be imported.
    """
    path, own_name = _locate(spec)
    data = _read(path)
    digest = hashlib.sha256(data)
    left = MAX_BYTES - len(data)
    model = _parse(path, data)
    del data
    _check(model)
    model_checks.check_operators(model, supported_operators())
    model_checks.check_structure(model)
    bound = tuple(sorted((dims or {}).items()))
    model_shapes.bind(model, dict(bound))
    for tensor in model_weights.load_external(model, path.parent, left):
        digest.update(tensor.raw_data)
    digest.update(json.dumps([IMPORTER_VERSION, bound]).encode())
    model_weights.check_tensors(model)
    model_shapes.infer_shapes(model, MAX_BYTES)
    return Source(name or own_name, model, digest.hexdigest(), path, bound)


def symbolic_dimensions(spec: str | Path) -> dict[str, list[str]]:
    """The input dimensions that `open_source` needs sizes for: symbol → where it is used, as "input x, axis 0".

    External data is not read.

    Raises:
        UserError: the file cannot be read, is not a model, or its inputs are not tensors.
    """
    path, _ = _locate(spec)
    model = _parse(path, _read(path))
    _check(model)
    return model_shapes.symbols(model)


@cache
def supported_operators() -> frozenset[str]:
    """Names of the operators that can be imported. The first call imports TVM."""
    from tvm.relax.frontend.onnx import onnx_frontend

    return frozenset(onnx_frontend._get_convert_map()) | {"Constant"}


def _locate(spec: str | Path) -> tuple[Path, str]:
    """(file, name). A sample is built into the cache on first use."""
    if isinstance(spec, Path):
        return spec, spec.stem
    import sample_models

    if sample_models.is_sample(spec):
        try:
            sample, size = sample_models.parse(spec)
            return sample_models.ensure(spec), f"{sample.name}@{size}"
        except sample_models.UnknownSample as error:
            raise UserError(str(error)) from error
        except OSError as error:
            raise UserError(
                f"The sample {spec} cannot be written to the cache: {first_line(error)}; set AGO_CACHE to a folder "
                "that can be written."
            ) from error
    path = Path(spec)
    if path.name == spec and path.suffix != ".onnx" and not path.exists():
        raise UserError(
            f"{quoted(spec)} is neither a file nor a sample model; the samples are {', '.join(sample_models.SAMPLES)}."
        )
    return path, path.stem


def _read(path: Path) -> bytes:
    """The file's bytes; its kind and size are looked at first."""
    shown = quoted(str(path), 200)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise UserError(f"{shown} is a folder, not a model; give the .onnx file in it.")
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"{shown} is not a regular file; give an .onnx file.")
        if status.st_size >= MAX_BYTES:
            raise UserError(
                f"{shown} takes {status.st_size / 2**30:.1f} GiB, and models up to 2 GiB are read; use a smaller model."
            )
        if status.st_size == 0:
            raise UserError(f"{shown} is empty; copy or export the model again.")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"There is no file {shown}; check the path.") from error
    except OSError as error:
        raise UserError(f"{shown} cannot be read: {error.strerror}; check its permissions.") from error
    except ValueError as error:
        raise UserError(f"{shown} is not a valid path: {first_line(error)}.") from error


def _parse(path: Path, data: bytes) -> onnx.ModelProto:
    shown = quoted(path.name)
    try:
        model = onnx.ModelProto.FromString(data)
    except DecodeError as error:
        if data[0] == 0x08:  # the tag of ir_version, with which exporters begin
            raise UserError(
                f"{shown} begins like an ONNX model but is damaged, cut short or of another kind; export it again."
            ) from error
        raise UserError(f"{shown} is not an ONNX model; export the network to ONNX and open that file.") from error
    if not model.HasField("graph"):
        raise UserError(f"{shown} has no graph in it: it is not an ONNX model, or it is cut short; export it again.")
    return model


def _check(model: onnx.ModelProto) -> None:
    model_checks.check_names(model)
    model_checks.check_header(model)
    model_checks.check_inputs(model)
