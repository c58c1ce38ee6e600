"""``python -m gpt2_lib.experiments``: measure Phase 1's table and curves; see `gpt2_lib.course.experiments`."""

from .course.experiments import main, sweep, sweep_gradually
from .system.command import run

__all__ = ["main", "sweep", "sweep_gradually"]

if __name__ == "__main__":
    run(main)
