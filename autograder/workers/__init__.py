"""The workers that run submissions: processes of this machine or of a Dask cluster.

A worker gets a `job.Job` and gives back a `job.Outcome`. It holds no gradebook and no folder of the course; it starts
a learner's kernel and a judge, each in a sandbox, and carries bounded messages between them.
"""

from .pool import Workers, cluster, here, processes

__all__ = ["Workers", "cluster", "here", "processes"]
