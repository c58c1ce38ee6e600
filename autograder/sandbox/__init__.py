"""Where strangers' code runs: bubblewrap, a seccomp filter, limits, and the processes that are forked into it.

``bubblewrap``, ``zygote`` and ``provisioner`` are used by workers; ``kernel`` runs inside, beside the learner's code,
and nothing that it says is believed.
"""
