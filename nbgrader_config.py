"""The nbgrader course. `nbgrader` run in this folder and `python -m autograder` both read it."""

c = get_config()  # noqa: F821  # pyright: ignore[reportUndefinedVariable]  # nbgrader defines it

# The gradebook is nbgrader's default: gradebook.db beside this file, not in git.
c.CourseDirectory.course_id = "gpt2-pruning"

# source/ holds the percent scripts with all solutions, and their order: never copy them to learners.
# autograded/ holds what the grader notes for the instructor, which is not for learners either.
c.CourseDirectory.ignore = ["*.py", "*.pyc", "*.toml", "__pycache__", ".*", "feedback", "grading.json"]

# What stands in the learner's notebook in place of the answer.
c.ClearSolutions.code_stub = {
    "python": "# YOUR CODE HERE\n"
    'raise NotImplementedError("Nothing here yet: write your code in place of this line, then run the cell again.")'
}

# Points are for answers, not for silence: nbgrader would give 0 to a check that prints a warning.
c.IgnorePattern.enabled = True
c.IgnorePattern.pattern = "^"  # all of stderr; errors are no stderr

# What the grader has to know of this course (autograder/course.py): what its notebooks import, so that it need be
# loaded only once (torch._dynamo comes with the first optimiser step); that its demonstrations do nothing but make
# names and show something, so that most need not run; the rule on whose work an answer is; and where the checks are.
c.Rules.warm = ["torch._dynamo", "matplotlib.pyplot", "ipywidgets"]
c.Rules.warm += ["gpt2_lib.course.checks", "gpt2_lib.course.demos", "gpt2_lib.course.widgets"]
c.Rules.skip = True
c.Rules.own_work = "gpt2_lib.course.own_work:borrowed"
c.Rules.checks = "gpt2_lib.course.checks"

# Submissions run in a sandbox, with plain `nbgrader autograde` as well (`python -m autograder grade` is faster).
c.Autograde.autograde_preprocessors = [
    "autograder.workers.preprocessor.SandboxedExecute",  # in the place of nbgrader's Execute
    "nbgrader.preprocessors.IgnorePattern",
    "nbconvert.preprocessors.ClearMetadataPreprocessor",
    "nbgrader.preprocessors.LimitOutput",
    "nbgrader.preprocessors.SaveAutoGrades",
    "nbgrader.preprocessors.AssignLatePenalties",
    "nbgrader.preprocessors.CheckCellMetadata",
]

# Feedback pages without the hidden tests, from plain nbgrader and the formgrader's button as well.
c.GenerateFeedback.exporter_class = "autograder.reports.feedback.FeedbackExporter"

# The formgrader shows what learners wrote on the instructor's own page: none of their HTML may run there.
c.HTMLExporter.preprocessors = ["nbconvert.preprocessors.sanitize.SanitizeHTML"]

# A learner who deleted a check gets it back before grading.
c.OverwriteCells.add_missing_cells = True
