"""Reports on a graded class: feedback pages for learners, a page and tables for the instructor.

The grader runs them as the instructor. Everything that a learner wrote is shown as text.
"""
