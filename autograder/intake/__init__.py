"""Intake of untrusted files: platforms' exports, folders, notebooks. Each is inspected before it is read.

The grader runs this as the instructor, but for ``notebook``, which runs in workers.
"""
