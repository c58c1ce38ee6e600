"""Deployment: one file a target, and `serving`. Each needs its extra only when it is called."""

import os

# ONNX Runtime sends telemetry from version 1.29 on; this must be set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
