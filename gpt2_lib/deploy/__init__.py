"""From a pruned model to where it runs: one file a target, and `serving`. None needs its extra until it is called."""

import os

# ONNX Runtime reports its use to its makers from version 1.29 on; it looks for this before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
