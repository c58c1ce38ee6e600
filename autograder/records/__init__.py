"""A term's records: removing a learner, joining two ids, backup and restore.

Nothing is deleted: what is taken away is moved to ``submitted/.replaced/``, where neither nbgrader nor grading looks.
"""
