"""The workers that run submissions: processes of this machine or of a Dask cluster.

A worker gets a `job.Job` and returns a `job.Outcome`. It has no access to the gradebook or the course; it starts a
learner's kernel and a judge, each in a sandbox, and passes bounded messages between them.
"""

from .pool import Workers, cluster, here, processes

__all__ = ["Workers", "cluster", "here", "processes"]
