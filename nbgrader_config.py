"""The nbgrader course. `nbgrader` run in this folder and `python -m autograder` both read it."""

c = get_config()  # noqa: F821  (nbgrader defines it)

# The gradebook is nbgrader's default: gradebook.db beside this file, not in git.
c.CourseDirectory.course_id = "gpt2-pruning"

# source/ holds the percent scripts with all solutions: never copy them to learners.
c.CourseDirectory.ignore = ["*.py", "*.pyc", "__pycache__", ".ipynb_checkpoints", "feedback"]

# What stands in the learner's notebook in place of the answer.
c.ClearSolutions.code_stub = {
    "python": "# YOUR CODE HERE\n"
    'raise NotImplementedError("Nothing here yet: write your code in place of this line, then run the cell again.")'
}

# Points are for answers, not for silence: nbgrader would give 0 to a check that prints a warning.
c.IgnorePattern.enabled = True
c.IgnorePattern.pattern = "^"  # all of stderr; errors are no stderr

# Seconds for one cell. Generous: a busy machine must not cost points.
c.Execute.timeout = 600
c.Execute.extra_arguments = ["--log-level=ERROR"]  # no kernel warnings about TCP between the progress lines
c.Execute.shutdown_kernel = "immediate"  # a polite shutdown takes 1.6 s longer

# A learner who deleted a check gets it back before grading.
c.OverwriteCells.add_missing_cells = True
