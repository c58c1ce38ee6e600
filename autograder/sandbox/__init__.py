"""The sandbox for untrusted code: bubblewrap, a seccomp filter, limits, and the processes forked into it.

Workers use ``bubblewrap``, ``zygote`` and ``provisioner``; ``privileges`` takes a process in. ``kernel`` runs
inside, beside the learner's code, and none of its messages is trusted.
"""
