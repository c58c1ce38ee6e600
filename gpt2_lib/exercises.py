"""``python -m gpt2_lib.exercises``: run Phase 2's reference solutions on gpt2-mini; see `gpt2_lib.course.exercises`."""

from .course.exercises import main
from .system.command import run

if __name__ == "__main__":
    run(main)
