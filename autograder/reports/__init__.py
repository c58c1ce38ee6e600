"""Reports on a graded class: feedback pages for learners, a page and tables for the instructor.

The grader runs it as the instructor. All that a learner wrote is shown as text.
"""
