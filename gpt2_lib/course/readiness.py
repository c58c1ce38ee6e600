"""The readiness assessment: five questions, their choices, and an explanation for each.

The header of the master's exercise has the right choices. This file has only their salted hashes: enough to tell a
wrong choice in the learner's own page, without showing the answers by accident.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from .facts import facts

LETTERS = "abcd"


@dataclass(frozen=True)
class Question:
    """A question with four choices, an explanation, and the fact that gives its source."""

    text: str
    choices: tuple[str, str, str, str]
    explanation: str
    fact: str
    seal: str  # of the right letter: salt, colon, hash

    def is_right(self, letter: str) -> bool:
        salt = self.seal.partition(":")[0]
        return self.seal == sealed(salt, self.text, letter)

    def why(self) -> str:
        """Return the explanation and its sources, as plain text."""
        fact = facts()[self.fact]
        sources = ", ".join(f"{name}, {address}" for name, address in fact.sources.items())
        return f"{self.explanation}\nSource: {sources} ({fact.year})"


def sealed(salt: str, text: str, letter: str) -> str:
    """Return the salted hash of a letter as the answer to a question's ``text``."""
    return f"{salt}:{hashlib.sha256(f'{salt} {text} {letter}'.encode()).hexdigest()[:16]}"


QUESTIONS = (
    Question(
        "Which pruning method does TensorRT use by default?",
        (
            "global magnitude pruning, to half of all the weights",
            "2:4 pruning of each linear layer that it can speed up",
            "none; if it is told to, it looks for weights in 2:4",
            "structured pruning of channels, and then calibration",
        ),
        "TensorRT does not prune. --sparsity=enable lets it consider sparse kernels for weights that are 2:4 already; "
        "force overwrites weights and is deprecated.",
        "tensorrt_sparsity",
        "6aa98cca:6bc6d27ac3b36988",
    ),
    Question(
        "Why do mobile deployments prefer structured pruning?",
        (
            "matrices get smaller, so the usual dense kernels do less",
            "it costs less accuracy than single weights at equal sparsity",
            "whole rows of zeros can be stored compactly, single ones not",
            "phones' NPUs want the same number of zeros in each channel",
        ),
        "Whole neurons and heads go, and what is left is a smaller dense model: no sparse kernel is needed. At equal "
        "sparsity single weights cost less accuracy, and they too can be stored compactly.",
        "units_or_entries",
        "efa9196a:410fbc6dc1a259d5",
    ),
    Question(
        "How does gradual pruning work in a training run such as Google's?",
        (
            "all is cut before the first step, and the rest is trained",
            "a penalty pulls weights to zero, and the small ones go last",
            "sparsity rises in equal steps, each to a new random choice",
            "sparsity rises along a cubic curve, masks renewed and held",
        ),
        "Zhu and Gupta (2017), equation 1: most is cut early, while there is much to spare, and training in between "
        "mends. Masks are made anew every 100 to 1,000 steps and hold between.",
        "cubic_schedule",
        "c759cdea:6598193965592aef",
    ),
    Question(
        "Local against global magnitude pruning: what is the difference?",
        (
            "local is exact, global works with an estimated threshold",
            "one ranking a layer or one for all: layers' shares differ",
            "local removes single weights, global removes whole neurons",
            "global cuts each layer by the same share, local need not",
        ),
        "One ranking over all layers trusts that size means the same everywhere: layers of small weights can empty "
        "out. A minimum kept in each layer guards.",
        "one_ranking",
        "c1d34ead:b95e3115ad9e8e39",
    ),
    Question(
        "Which accelerators gain most from structured pruning?",
        (
            "NVIDIA's from Ampere on, which have sparse tensor cores",
            "chips with a unit that skips the zeros as it multiplies",
            "all with dense kernels, be it phone CPUs, NPUs or GPUs",
            "CPUs alone, because GPUs are limited by their memory",
        ),
        "Smaller dense shapes help wherever dense kernels run, if they are still of a size that those kernels like. "
        "2:4 on Ampere and later is the semi-structured case.",
        "smaller_dense",
        "f33779bf:d237b6ae3f7bd1ba",
    ),
)

# Measurements and claims to judge: practice with immediate answers, without points.
JUDGEMENTS = (
    Question(
        "“Our pruned file is 3.4 times smaller.” The original was counted as it lies in memory, the pruned file as "
        "zstd packed it. What is missing?",
        (
            "the time that it takes to unpack the file on a device",
            "the original's size, packed by the same program, too",
            "the sparsity of each layer, from which it would follow",
            "the perplexity of the file once it is unpacked again",
        ),
        "Packing alone makes gpt2-mini's file about half as large, and int8 half of that again. What pruning bought is "
        "what is left when both files are stored in the same way.",
        "structured_int8",
        "4520bcf5:e190217ea7b01e8b",
    ),
    Question(
        "A model is pruned to 60 % and trained for 600 steps. It is as accurate as the dense one was. What follows?",
        (
            "that 60 % of its weights have never been needed",
            "that pruning regularises, and so improves models",
            "nothing yet: the dense one was not trained as long",
            "nothing yet: accuracy is too coarse to show the loss",
        ),
        "The 600 steps may have done it. A dense model that is trained as long, and a small dense one of the same "
        "size, tell what pruning cost.",
        "dense_control",
        "2337b4aa:b2a86c265be6b0e2",
    ),
    Question(
        "On the same 40 windows model A has perplexity 30.6, model B 31.2; each has a standard error of 1.5. Is A "
        "better?",
        (
            "no, since the difference is smaller than each error",
            "that takes the error of their differences by window",
            "yes, A is lower, and both have seen the same windows",
            "no, 40 windows are never enough for two such models",
        ),
        "Windows that are hard are hard for both, so most of the 1.5 cancels out in the differences, window by window. "
        "Their mean and its standard error decide, and a run that is trained has its seed besides.",
        "paired_error",
        "65ac56e5:dead490bb9f04598",
    ),
    Question(
        "From weights in 2:4 an engine is built with sparse kernels allowed. It is as fast as the dense one. What do "
        "you look at first?",
        (
            "whether the builder has picked a sparse kernel at all",
            "whether the weights were calibrated for int8 as well",
            "whether its text was long enough to fill the KV caches",
            "whether more zeros in each group of four would do it",
        ),
        "Allowed is not chosen: the builder times both, and often a dense kernel wins. Its verbose log says which "
        "layers were eligible and what was picked.",
        "tensorrt_sparsity",
        "9f1e68f3:84a1ed6633fc9d14",
    ),
    Question(
        "Pruning raised the perplexity by 2 %. May the model replace the one that answers your customers' questions?",
        (
            "yes, since 2 % is what two seeds of training differ by",
            "yes, if it still guesses 98 % of the next tokens rightly",
            "no, it has to be trained until the perplexity is equal",
            "not known, it has to be measured on such questions too",
        ),
        "Perplexity is a mean over all tokens. Tasks that need knowledge can suffer from a sparsity of 25 to 30 % on, "
        "where perplexity has hardly moved.",
        "perplexity_hides",
        "c9a1ac3c:8424f8493f47e30e",
    ),
)


def assessment(questions: Sequence[Question] = QUESTIONS) -> str:
    """Return the questions with their choices, as Markdown."""
    lines = []
    for number, question in enumerate(questions, start=1):
        lines += [f"**{number}. {question.text}**", ""]
        lines += [f"- **{letter}** {choice}" for letter, choice in zip(LETTERS, question.choices, strict=True)] + [""]
    return "\n".join(lines)


def judge(number: int, answers: object, questions: Sequence[Question] = QUESTIONS) -> str:
    """Return the explanation for a correct answer to one of ``questions``.

    ``answers``: the result of the learner's function, {number of the question: letter}. Raises AssertionError where
    the answer is missing, is no letter, or is wrong.
    """
    if answers is None:
        raise AssertionError('Nothing came back (None): end the function with `return {1: "a", ...}`.')
    if not isinstance(answers, dict):
        raise AssertionError(f"A dict {{1: letter, ...}} was expected; a {type(answers).__name__} came back.")
    letter = answers.get(number)
    if letter is None and str(number) in answers:
        raise AssertionError(f'The keys are numbers, without quotes: {{{number}: "a"}}, not {{"{number}": "a"}}.')
    if letter is None:
        raise AssertionError(
            f"Question {number} is not answered yet: let readiness() return one of the letters a, b, c, d for it, "
            f'as in {{{number}: "a"}}.'
        )
    if not isinstance(letter, str) or letter.strip().lower() not in tuple(LETTERS):
        raise AssertionError(f"The answer to question {number} is one of the letters a, b, c, d; got {letter!r:.40}.")
    letter = letter.strip().lower()
    question = questions[number - 1]
    told = f"You chose {letter}: {question.choices[LETTERS.index(letter)]}."
    if not question.is_right(letter):
        raise AssertionError(f"{told}\nAnother choice is right. {question.why()}")
    return f"{told}\n{question.why()}"
