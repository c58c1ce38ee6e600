"""What is kept of a term: to take a learner out of it, to join two ids, to back it up and bring it back.

Nothing is deleted: what is taken away is moved to ``submitted/.replaced/``, where neither nbgrader nor grading looks.
"""
