"""Pictures of the worked examples. It may import what the course's other files may; the notebooks import it."""

from .worked_examples import (
    bits,
    cubic,
    head,
    int8,
    leak,
    momentum,
    neurons,
    probabilities,
    rankings,
    smallest,
    zeros,
)

__all__ = [
    "bits",
    "cubic",
    "head",
    "int8",
    "leak",
    "momentum",
    "neurons",
    "probabilities",
    "rankings",
    "smallest",
    "zeros",
]
