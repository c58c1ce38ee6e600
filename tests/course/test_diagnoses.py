"""Tests of what a failed check gives for the reason: for each usual mistake the right one, or none.

The mistakes are the answers in tests/course/answers.
"""

from __future__ import annotations

from functools import cache

import pytest
from answers import answers
from checks import Phase

PHASE_1 = ("sparsity", "perplexity")  # all other exercises here are Phase 2's

# exercise, answer, check: what is said
SAID = {
    ("sparsity", "compares the list, not its tensors", "sparsity_basics"): "Of a list, compare each tensor.",
    ("sparsity", "size without its brackets", "sparsity_pooled"): "A method without its brackets is no number.",
    ("sparsity", "shapes for numbers of entries", "sparsity_pooled"): "the number of entries is t.numel().",
    ("perplexity", "softmax, then log, as the formula reads", "perplexity_stable"): "a probability of 0 in float32",
    ("perplexity", "mean of each token's exp", "perplexity_stable"): "The mean is taken of each token's exp",
    ("perplexity", "sum instead of mean", "perplexity_stable"): "That is exp of the sum",
    ("perplexity", "softmax over the places", "perplexity_stable"): "yours goes over the places",
    ("perplexity", "one over the mean probability", "perplexity_basics"): "That is 1 over the mean probability",
    ("perplexity", "one over the mean probability", "perplexity_stable"): "That is 1 over the mean probability",
    ("perplexity", "forgets the minus", "perplexity_basics"): "The minus is missing.",
    ("magnitude_mask", "a threshold, and signed", "mask_count"): "does the first weight that may stay go too?",
    ("magnitude_mask", "each row on its own", "mask_count"): "Each row has lost its own share",
    ("magnitude_mask", "inverted: True is what goes", "mask_count"): "The mask is the other way round",
    ("magnitude_mask", "inverted: True is what goes", "mask_ties"): "The mask is the other way round",
    ("magnitude_mask", "inverted: True is what goes", "mask_care"): "The mask is the other way round",
    ("magnitude_mask", "a threshold: all ties go", "mask_ties"): "what happens to equals?",
    ("magnitude_mask", "returns the error", "mask_errors"): "`raise ValueError(...)`, not `return`",
    ("magnitude_mask", "an index beyond the end for an error", "mask_errors"): (
        "Sparsity 1.5 is no fraction from 0 to 1: a ValueError was expected, IndexError: index 6 is out of bounds"
    ),
    ("magnitude_mask", "an assert instead of a ValueError", "mask_errors"): "an assert stopped it",
    (
        "magnitude_prune",
        "returns after the first parameter",
        "prune_each",
    ): "does the loop go on",
    ("magnitude_prune", "returns after the first weight", "prune_each"): "does the loop go on",
    ("magnitude_prune", "prunes a copy", "prune_each"): "deepcopy(model) another model",
    ("magnitude_prune", "prunes a copy", "prune_writes"): "deepcopy(model) another model",
    (
        "magnitude_prune",
        "a new tensor that the model never hears of",
        "prune_each",
    ): "`p = p * mask` makes",
    ("magnitude_prune", "without the projections out of each part", "prune_each"): "all four go through",
    ("magnitude_prune", "forgets no_grad", "prune_each"): "write inside `with torch.no_grad():`",
    ("remove_neurons", "a list of tensors for an index", "neurons_shapes"): "a loop over keep.tolist()",
    ("remove_neurons", "a list of tensors for an index", "neurons_care"): "a loop over keep.tolist()",
    ("remove_neurons", "zeros in c_fc's rows: GELU(bias) leaks", "neurons_output"): "its bias leaks through",
    ("remove_neurons", "zeros in all three, the shapes as before", "neurons_output"): "4 neurons are there",
    ("remove_heads", "a loop whose indices are tensors", "heads_output"): "a loop over keep.tolist()",
    ("remove_heads", "a row and a column for a head, like neurons", "heads_care"): (
        "the shapes [(6, 4), (6,), (4, 2)] were expected; [(1, 4), (1,), (4, 1)] came back"
    ),
    ("train_step_with_masks", "all of it in no_grad", "step_learns"): "The loss carries no gradient",
    ("train_step_with_masks", "masks the gradients, not the weights", "step_care"): "no mask has reached the model",
    ("train_step_with_masks", "masks of weights only, not of biases", "step_care"): "May a bias have a mask?",
    ("train_step_with_masks", "the mask the other way round", "step_care"): "True in a mask means keep",
    ("train_step_with_masks", "masks between the gradient and the step", "step_learns"): "came back to life",
    ("train_step_with_masks", "backward and masks in no_grad, the step last", "step_learns"): "came back to life",
    ("train_step_with_masks", "the loss after the step", "step_learns"): "That is the loss after the step",
    ("cubic_sparsity", "integer division", "cubic_general"): "still the initial sparsity",
    ("cubic_sparsity", "divides by the steps without the start", "cubic_general"): "(step - start) / steps is 0.2 here",
    ("cubic_sparsity", "cubes what is done, not what is ahead", "cubic_general"): "still ahead",
    ("sparsity", "divides by the last tensor's size", "sparsity_pooled"): "the last tensor's 2 entries",
    ("perplexity", "softmax over the places", "perplexity_mean"): "over which does yours go?",
    ("perplexity", "softmax over the sequences", "perplexity_mean"): "yours goes over the sequences",
    ("remove_neurons", "the first neurons, whichever are to stay", "neurons_output"): "of the neurons [0, 1, 2]",
    ("remove_neurons", "~ of positions, which counts from the end", "neurons_output"): "of the neurons [3, 2, 0]",
    ("remove_neurons", "the first biases", "neurons_output"): "belong to the same neurons?",
    ("global_masks", "the average of the layers' thresholds", "global_choice"): "no place in the ranking of all twelve",
    (
        "global_masks",
        "empties whole layers, that of the smallest mean first",
        "global_choice",
    ): "All of small goes, 0.9 too.",
    ("global_masks", "each layer on its own", "global_choice"): "Each layer lost half of its own",
    ("global_masks", "the mask the other way round", "global_ties"): "The mask is the other way round",
    ("global_masks", "returns the error", "global_care"): "`raise ValueError(...)`, not `return`",
    ("global_masks", "an index beyond the end for an error", "global_care"): "Sparsity 1.5 is no fraction",
}
# ... and what is not
NOT_SAID = {
    ("perplexity", "softmax, then log, as the formula reads", "perplexity_stable"): "mean",
    ("perplexity", "one over the mean probability", "perplexity_stable"): "places",
    ("perplexity", "the mean probability", "perplexity_basics"): "minus",
    ("magnitude_mask", "a threshold, and signed", "mask_count"): "row",
    ("magnitude_mask", "inverted: True is what goes", "mask_ties"): "equals",
    ("magnitude_prune", "returns after the first parameter", "prune_each"): "p * mask",
    ("train_step_with_masks", "masks the gradients, not the weights", "step_care"): "loop",
    ("train_step_with_masks", "the mask the other way round", "step_care"): "no mask has reached",
    ("cubic_sparsity", "cubes what is done, not what is ahead", "cubic_general"): "pruning ends",
    ("remove_neurons", "the first neurons, whichever are to stay", "neurons_output"): "belong to the same",
    ("global_masks", "the mask the other way round", "global_ties"): "equals",
}


@cache
def phase(name: str) -> Phase:
    return Phase(name)


def told(exercise: str, answer: str, check: str) -> str:
    """Return what a learner reads of the visible part."""
    name = "phase1_overview" if exercise in PHASE_1 else "phase2_techniques"
    _, code = answers(name)[0][exercise][answer]
    (cell,) = (cell for cell in phase(name).checks[exercise] if cell.id == check)
    return str(phase(name).told(check, code, cell.visible()))


def as_text(value: object) -> str:
    return ", ".join(value) if isinstance(value, tuple) else ""


@pytest.mark.parametrize(("case", "words"), SAID.items(), ids=as_text)
def test_a_usual_mistake_is_told_its_reason(case: tuple[str, str, str], words: str) -> None:
    assert words in told(*case)


@pytest.mark.parametrize(("case", "words"), NOT_SAID.items(), ids=as_text)
def test_a_usual_mistake_is_told_no_reason_that_is_not_its_own(case: tuple[str, str, str], words: str) -> None:
    assert words not in told(*case).partition("\n")[0]
