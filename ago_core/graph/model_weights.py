"""The weights of an ONNX model: loaded from files beside it, and checked against their declared shapes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
from onnx.external_data_helper import ExternalDataInfo, load_external_data_for_tensor, uses_external_data

from ago_core.errors import UserError
from ago_core.graph.model_checks import first_line, listed, quoted


def load_external(model: onnx.ModelProto, folder: Path, limit: int) -> list[onnx.TensorProto]:
    """Loads in place what lies in files under `folder`. Every reference is checked before the first byte is read.

    Args:
        model: changed in place.
        folder: where the model file lies; nothing outside it is read.
        limit: bytes that all tensors together may take.

    Returns:
        The tensors that were loaded, in the model's order.

    Raises:
        UserError: a file is missing, outside the folder, too short or too large.
    """
    tensors = [tensor for tensor in all_tensors(model) if uses_external_data(tensor)]
    places = [_place(tensor) for tensor in tensors]
    _check_files(folder, {place.location for place in places})
    total = sum(_length(tensor, place, folder) for tensor, place in zip(tensors, places))
    if total > limit:
        raise UserError(
            f"The model's weights take {total / 2**30:.1f} GiB in other files, which with the model itself is over the "
            "limit of 2 GiB; use a smaller model."
        )
    for tensor, place in zip(tensors, places):
        try:
            load_external_data_for_tensor(tensor, str(folder))
        except Exception as error:
            raise UserError(
                f"The file {quoted(place.location)} with the weights {quoted(tensor.name)} cannot be read: "
                f"{first_line(error)}."
            ) from error
    return tensors


def all_tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Initializers, and tensors in attributes."""
    yield from model.graph.initializer
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def check_tensors(model: onnx.ModelProto) -> None:
    """Every constant has exactly the elements that its shape declares; nothing is allocated for a shape alone."""
    for tensor in all_tensors(model):
        shape = "×".join(map(str, tensor.dims)) or "scalar"
        try:
            if min(tensor.dims, default=0) < 0:
                raise ValueError("a dimension is negative")
            onnx.numpy_helper.to_array(tensor)
        except Exception as error:
            raise UserError(
                f"The constant {quoted(tensor.name)} with the declared shape {shape[:80]} is damaged: "
                f"{first_line(error)}."
            ) from error


def _place(tensor: onnx.TensorProto) -> ExternalDataInfo:
    try:
        return ExternalDataInfo(tensor)
    except (ValueError, TypeError) as error:
        raise UserError(
            f"The weights {quoted(tensor.name)} lie in another file at a place that is not valid: {first_line(error)}."
        ) from error


def _check_files(folder: Path, locations: set[str]) -> None:
    outside = sorted(location for location in locations if not _is_inside(folder, location))
    if outside:
        raise UserError(
            f"The model wants to read weights outside its folder, which is refused: {listed(map(quoted, outside))}; "
            "put these files beside the model and export it with relative paths."
        )
    missing = sorted(location for location in locations if not (folder / location).is_file())
    if missing:
        raise UserError(
            f"Files with weights are missing beside the model: {listed(map(quoted, missing))}; put them into its "
            "folder."
        )


def _is_inside(folder: Path, location: str) -> bool:
    try:
        return bool(location) and (folder / location).resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError, TypeError):  # link loops, NUL characters, names that are not UTF-8
        return False


def _length(tensor: onnx.TensorProto, place: ExternalDataInfo, folder: Path) -> int:
    """Bytes that loading the tensor will read."""
    size, offset = (folder / place.location).stat().st_size, place.offset or 0
    length = size - offset if place.length is None else place.length
    if offset + length > size or length < 0:
        raise UserError(
            f"The file {quoted(place.location)} is too short: the weights {quoted(tensor.name)} need its bytes "
            f"{offset} to {offset + max(length, 0)}, and it has {size}; copy it again."
        )
    return length
