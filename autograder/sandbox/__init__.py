"""The sandbox for untrusted code: bubblewrap, a seccomp filter, limits, and the processes forked into it.

``bubblewrap``, ``zygote`` and ``provisioner`` are used by workers; ``privileges`` is the way in. ``kernel`` runs
inside, beside the learner's code, and nothing that it says is believed.
"""
