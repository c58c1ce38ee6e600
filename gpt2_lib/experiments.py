"""``python -m gpt2_lib.experiments``: Phase 1's table and curves; see `gpt2_lib.course.experiments`."""

from .course.experiments import main

if __name__ == "__main__":
    main()
