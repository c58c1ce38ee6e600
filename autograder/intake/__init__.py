"""Files from strangers: exports of learning platforms, folders, notebooks. All is looked at before it is read.

The grader runs this as the instructor, but for ``notebook``, which runs in workers.
"""
