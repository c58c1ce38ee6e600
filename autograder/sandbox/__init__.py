"""Where strangers' code runs: bubblewrap, a seccomp filter, limits, and the processes that are forked into it.

``bubblewrap``, ``zygote`` and ``provisioner`` are used by workers; ``privileges`` is the way in. ``kernel`` runs
inside, beside the learner's code, and nothing that it says is believed.
"""
