"""One grading run over a class: from the submissions and the gradebook's checks to the points in the gradebook.

The grader runs this as the instructor. It reads no learner's notebook: ``prepare`` and the modules that it calls do
that, in a worker. With ``check`` learners grade their own work.
"""
