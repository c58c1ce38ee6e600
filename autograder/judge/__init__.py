"""The judge gives the verdict outside the learner's sandbox: its protocol with a worker, and both ends of it.

``client`` runs in a worker, ``process`` in the judge's own sandbox, ``transfer`` and ``wire`` also in the learner's.
The judge trusts the checks that it gets at its start, and nothing that it receives later.
"""
