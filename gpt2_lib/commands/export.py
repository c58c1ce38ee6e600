"""``gpt2-pruning export IN FILE``: export a model for another runtime, which the file's suffix names."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from ..system.command import output_file, output_folder
from . import arguments

FORMATS = {  # ending: the module that writes it, its function
    ".onnx": ("deploy.onnx", "export_onnx"),
    ".mlpackage": ("deploy.coreml", "export_coreml"),
    ".pte": ("deploy.executorch", "export_executorch"),
    ".pack": ("storage.packed", "save_packed"),
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's options."""
    found = arguments.parser_of("export", "Write a model for ONNX Runtime, Core ML or ExecuTorch, or packed.")
    found.add_argument("model", metavar="IN", help=arguments.MODEL)
    found.add_argument("out", metavar="FILE", type=_target, help=f"ends in {', '.join(FORMATS)}")
    found.add_argument("--int8", action="store_true", help="matrices as 8-bit integers")
    return found


def main(argv: Sequence[str]) -> None:
    """Run the command ``export``."""
    given = parser().parse_args(argv)
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
    if path.suffix != ".mlpackage":
        return output_file(text)
    output_folder(str(path.parent))  # Core ML's is a folder itself
    return path
