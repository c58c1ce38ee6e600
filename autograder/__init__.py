"""From percent sources to learners' notebooks, and from notebooks to points, on top of nbgrader.

``python -m autograder release | check-release | check | grade | feedback``
"""
