"""A term's records: removing a learner, joining two ids, backup and restore.

Nothing is deleted: removed files move to ``submitted/.replaced/``, which nbgrader and grading ignore.
"""
