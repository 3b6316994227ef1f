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
