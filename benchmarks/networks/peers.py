"""The peers by name, in the order in which a cell needs them."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.peers.environments import Environment

REFERENCE = "onnxruntime"
AGO, UNFUSED, WHOLE, HEURISTIC = "ago", "no-fusion", "no-reformer", "heuristic"
STOCK = ("stock-nhwc", "stock-nchw")


@dataclass(frozen=True)
class Peer:
    """Something that runs a model.

    Attributes:
        title: for people.
        module: in benchmarks.peers, that loads models.
        environment: that it runs in; None for this project's.
        ablation: of tuning (ago_core/tuning/settings.py); "" for a peer that does not tune.
        layout: that images lie in, where it tunes.
    """

    title: str
    module: str
    environment: Environment | None = None
    ablation: str = ""
    layout: str = "nhwc"

    @property
    def tunes(self) -> bool:
        return bool(self.ablation)


PEERS = {
    REFERENCE: Peer(
        "ONNX Runtime", "run_onnxruntime", Environment("onnxruntime", ("onnxruntime==1.32.0", "numpy==2.4.6"))
    ),
    "openvino": Peer("OpenVINO", "run_openvino", Environment("openvino", ("openvino==2026.4.1", "numpy==2.4.6"))),
    "iree": Peer(
        "IREE",
        "run_iree",
        Environment(
            "iree", ("iree-base-compiler[onnx]==3.13.0", "iree-base-runtime==3.13.0", "onnx==1.23.2", "numpy==2.4.6")
        ),
    ),
    "stock-nhwc": Peer("TVM, stock, NHWC", "run_tvm", ablation="stock"),
    "stock-nchw": Peer("TVM, stock, NCHW", "run_tvm", ablation="stock", layout="nchw"),
    HEURISTIC: Peer("TVM's partition, our spaces", "run_tvm", ablation="heuristic"),
    UNFUSED: Peer("AGO without fusion", "run_tvm", ablation="no-fusion"),
    WHOLE: Peer("AGO without reformer", "run_tvm", ablation="no-reformer"),
    AGO: Peer("AGO", "run_tvm", ablation="ago"),
}


def counts(name: str, trials: int) -> bool:
    """Whether a peer is compared after so many trials.

    Without one there is nothing to reform, and MetaSchedule's rules have no schedule: TVM then runs the loops as they
    are, 50 to 100 times as long, which no user would.
    """
    return trials > 0 or name not in (WHOLE, *STOCK)


def peers_of(trials: int) -> list[str]:
    """Those that are compared."""
    return [name for name in PEERS if counts(name, trials)]
