"""Benchmark results as Markdown: a table, and a section of a page between two markers."""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
import transformers

TITLE = "# Benchmarks\n\nWritten by the scripts in `benchmarks/`; run one again with `--out docs/benchmarks.md`.\n"


def arguments(script: str | None) -> argparse.Namespace:
    """The command line that every benchmark has: ``--out PAGE`` also writes its section of PAGE.

    ``script``: its docstring; the first line is its description.
    """
    parser = argparse.ArgumentParser(description=first_line(script))
    parser.add_argument("--out", type=Path, help="Markdown page whose section is rewritten")
    return parser.parse_args()


def first_line(text: str | None) -> str:
    return (text or "").partition("\n")[0]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; every column but the first is aligned to the right."""
    rule = ["-", *("-:" for _ in header[1:])]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, rule, *rows))


def missed_note(missed: Sequence[str]) -> str:
    """Return the paragraph on the bars that were missed, a sentence each; "" if none was."""
    return f"\n\n**Bar missed:** {'; '.join(missed)}." if missed else ""


def publish(name: str, text: str, page: Path | None, missed: Sequence[str] = ()) -> None:
    """Print ``text`` and the bars that were missed; with a ``page``, write both between its markers for ``name``.

    Exits with an error if a bar was missed.
    """
    text = text.strip() + missed_note(missed)
    print(text)
    if page is not None:
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        old = page.read_text(encoding="utf-8") if page.is_file() else TITLE
        before, found, rest = old.partition(begin)
        after = rest.partition(end)[2] if found else ""
        page.write_text(f"{before.rstrip()}\n\n{begin}\n{text}\n{end}\n{after.lstrip()}", encoding="utf-8")
    stop_if(missed)


def stop_if(missed: Sequence[str]) -> None:
    """Exit with an error if a bar was missed."""
    if missed:
        sys.exit(f"Missed: {'; '.join(missed)}. If it is a speed: is the machine busy with something else?")


# Products of 8-bit integers take an instruction of their own where there is VNNI.
VECTORS = {"avx512_vnni": "AVX-512 VNNI", "avx_vnni": "AVX2 VNNI", "avx512f": "AVX-512", "avx2": "AVX2"}


def environment() -> str:
    """The versions and the processor that a measurement was taken with, in one line."""
    return (
        f"PyTorch {torch.__version__}, transformers {transformers.__version__}, "
        f"Python {platform.python_version()}, {processor()}"
    )


def processor() -> str:
    """The processor's name and the widest of its vector instructions that matter here, as far as the system tells."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.is_file():
        return platform.processor() or platform.machine()
    told = dict(line.split(":", 1) for line in cpuinfo.read_text().splitlines() if ":" in line)
    told = {name.strip(): value.strip() for name, value in told.items()}
    flags = told.get("flags", "").split()
    widest = next((name for flag, name in VECTORS.items() if flag in flags), "")
    return " with ".join(filter(None, [told.get("model name", platform.machine()), widest]))
