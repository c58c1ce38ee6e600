"""One run over a class: what is handed in, what the gradebook wants, and what comes out of it into the gradebook.

The grader runs this as the instructor. It reads no notebook of a learner's: ``prepare`` and what it calls do, in a
worker. ``check`` is a learner's own grading of their own work.
"""
