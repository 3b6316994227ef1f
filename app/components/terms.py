"""What the words mean, for the help beside them."""

TRIVIAL = (
    "A subgraph is a group of operators that is compiled into one function. It is trivial if it holds no convolution "
    "or matmul."
)
COMPLEX = "A convolution, a matmul or their like: operators that multiply and add over a reduction."
WEIGHT = "How hard a subgraph is to tune: the trials it is expected to need, the sum over its operators."
REGIONS = (
    "Loops that run on several threads, before tuning: starting and joining the threads costs time however little "
    "there is to compute. Fewer is better."
)

HELPS = {
    "Parameters": "Learned numbers.",
    "Multiply-adds": "Of all convolutions and matmuls, for one input.",
    "Activations": "Bytes that all operators write, were each one run by itself.",
    "Complex": COMPLEX,
    "TVM pattern": "How the output relates to the inputs, as TVM's fusion pass sees it.",
    "Work": "Floating-point operations; a multiply-add is two.",
    "Weight": WEIGHT,
    "Bytes in": "Read from other subgraphs or the model's input, and parameters.",
    "Bytes out": "Written for other subgraphs or as the model's output.",
    "ONNX nodes": "The nodes of the model file that this operator came from.",
}

REUSE_HELPS = {
    "Whole": "The intermediate's size were it written to memory.",
    "Re-read by": "Loops of the reader that do not index it: each of their iterations reads it again.",
    "Tile": "What of it has to be there at a time: shape and size.",
    "Computed": "How often an element is computed on average: more than once where the reader's windows overlap.",
    "Saves": "Memory traffic that keeping it in a tile saves.",
}
