"""One grading run over a class: from the submissions and the gradebook's checks to the points in the gradebook.

The grader runs this as the instructor. It reads no notebook of a learner's: ``prepare`` and what it calls do, in a
worker. ``check`` is a learner's own grading of their own work.
"""
