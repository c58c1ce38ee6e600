"""Deployment: one file a target, and `serving`. Each needs its extra only when it is called."""

import os

# ONNX Runtime reports its use to its makers from version 1.29 on; it looks for this before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
