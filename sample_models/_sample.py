"""What the package says of one sample network: its name, its sizes and what was published about it."""

from collections.abc import Callable
from dataclasses import dataclass

import onnx


@dataclass(frozen=True)
class Sample:
    """One network that can be built at several input sizes.

    Attributes:
        name: Identifier used in specs, such as ``mobilenet_v2``.
        title: Name for people.
        sizes: Input sizes on offer, ascending.
        default_size: The size taken when a spec names none; one of `sizes`.
        size_unit: What a size counts: ``image side in pixels`` or ``tokens``.
        builder: Makes the model for one size. It also takes sizes that are not on offer.
        parameters: Published number of trainable parameters (batch normalisation's gamma and beta count, its running
            mean and variance do not).
        multiply_adds: Published multiply-adds for one input of size `multiply_adds_size`, or None where no figure was
            published. They count the convolutions and matrix products, unless the builder's module says otherwise.
        multiply_adds_size: The input size that `multiply_adds` holds for, or None with it.
        reference: The paper, and the upstream file whose structure the builder follows.
    """

    name: str
    title: str
    sizes: tuple[int, ...]
    default_size: int
    size_unit: str
    builder: Callable[[int], onnx.ModelProto]
    parameters: int
    multiply_adds: int | None
    multiply_adds_size: int | None
    reference: str
