"""``gpt2-pruning export IN FILE``: export a model for another runtime, which the file's suffix names."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from ..system.command import output_file
from . import arguments

FORMATS = {  # ending: the module that writes it, its function
    ".onnx": ("deploy.onnx", "export_onnx"),
    ".mlpackage": ("deploy.coreml", "export_coreml"),
    ".pte": ("deploy.executorch", "export_executorch"),
    ".pack": ("storage.packed", "save_packed"),
}


def main(argv: Sequence[str]) -> None:
    """Run the command ``export``."""
    parser = arguments.parser_of("export", "Write a model for ONNX Runtime, Core ML or ExecuTorch, or packed.")
    parser.add_argument("model", metavar="IN", help=arguments.MODEL)
    parser.add_argument("out", metavar="FILE", type=_target, help=f"ends in {', '.join(FORMATS)}")
    parser.add_argument("--int8", action="store_true", help="matrices as 8-bit integers")
    given = parser.parse_args(argv)
    module, name = FORMATS[given.out.suffix]
    write: Callable[..., object] = getattr(import_module(f"..{module}", __package__), name)
    write(arguments.load(given.model), given.out, int8=given.int8)
    print(f"Written: {given.out}")


def _target(text: str) -> Path:
    path = Path(text)
    if path.suffix not in FORMATS:
        raise argparse.ArgumentTypeError(
            f"the file's suffix sets the format, one of {', '.join(FORMATS)}; got {text!r}"
        )
    return path if path.suffix == ".mlpackage" else output_file(text)  # Core ML's is a folder
