"""The six networks of the AGO paper (arXiv 2212.01005) as ONNX models that are built here, not downloaded.

A *spec* names one: ``mobilenet_v2@112`` or, at the default size, ``mobilenet_v2``. The structures are the published
ones; the weights are random but fixed, so latencies and partitions mean something and predictions do not.
"""

import os
import tempfile
from pathlib import Path

import onnx

from sample_models import bert_tiny, mnasnet, mobilenet_v2, mobilevit_xs, shufflenet_v2, squeezenet
from sample_models._sample import Sample

__all__ = ["SAMPLES", "Sample", "UnknownSample", "build", "ensure", "is_sample", "parse"]

_VERSION = 1  # part of the cached file's name: raise it when a builder's output changes

_MODULES = (mobilenet_v2, mnasnet, squeezenet, shufflenet_v2, mobilevit_xs, bert_tiny)
SAMPLES: dict[str, Sample] = {module.SAMPLE.name: module.SAMPLE for module in _MODULES}


class UnknownSample(ValueError):  # noqa: N818 - named as users see it: the sample is unknown
    """A spec names no sample, or a size that the sample does not have. The message lists what exists."""


def is_sample(spec: str) -> bool:
    """Tells whether `spec` names a sample rather than, say, a file. Its size is not looked at: `parse` reports that."""
    return spec.partition("@")[0] in SAMPLES


def parse(spec: str) -> tuple[Sample, int]:
    """Splits ``name@size``, or ``name`` for the default size.

    Raises:
        UnknownSample: If there is no such sample, or not in that size.
    """
    name, separator, size = spec.partition("@")
    sample = SAMPLES.get(name)
    if sample is None:
        specs = ", ".join(_offer(known) for known in SAMPLES.values())
        raise UnknownSample(f"There is no sample model {name!r}; choose one of {specs}.")
    if not separator:
        return sample, sample.default_size
    if size not in map(str, sample.sizes):
        raise UnknownSample(f"{sample.title} has no size {size!r}; choose {_offer(sample)} ({sample.size_unit}).")
    return sample, int(size)


def build(spec: str) -> onnx.ModelProto:
    """Builds a sample in memory; the same spec gives the same bytes.

    Raises:
        UnknownSample: As `parse`.
    """
    sample, size = parse(spec)
    return sample.builder(size)


def ensure(spec: str) -> Path:
    """Returns the path of a sample's ONNX file, which is built into the cache on first use.

    The cache is the folder ``models`` in ``$AGO_CACHE``, else in ``$XDG_CACHE_HOME/ago-explorer``, else in
    ``~/.cache/ago-explorer``. The file appears whole or not at all, also when several processes build it at once.

    Raises:
        UnknownSample: As `parse`.
        OSError: If the cache cannot be written.
    """
    sample, size = parse(spec)
    path = _cache_folder() / f"{sample.name}-{size}-v{_VERSION}.onnx"
    if not path.exists():
        _write_atomically(path, sample.builder(size).SerializeToString(deterministic=True))
    return path


def _offer(sample: Sample) -> str:
    return f"{sample.name}@{'|'.join(map(str, sample.sizes))}"


def _cache_folder() -> Path:
    if own := os.environ.get("AGO_CACHE"):
        return Path(own) / "models"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "ago-explorer" / "models"


def _write_atomically(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.stem}-", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(name, path)  # noqa: PTH105 - the word for what happens
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
