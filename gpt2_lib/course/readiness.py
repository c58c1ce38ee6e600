"""The readiness assessment: five questions, their choices, and what is explained once a learner has answered.

Which choice is right is not in here, since learners read this: the header of the master's exercise knows it.
"""

from __future__ import annotations

from dataclasses import dataclass

LETTERS = "abcd"


@dataclass(frozen=True)
class Question:
    """A question with four choices, and a line that explains it."""

    text: str
    choices: tuple[str, str, str, str]
    explanation: str


QUESTIONS = (
    Question(
        "Which pruning method does TensorRT use by default?",
        (
            "global magnitude pruning to 50 %",
            "2:4 pruning of every linear layer",
            "none: its sparsity is off, and once on it uses weights that are 2:4 already",
            "structured pruning of channels, then fine-tuning",
        ),
        "TensorRT does not prune. --sparsity=enable looks for weights that are 2:4 already; force overwrites weights "
        "and is deprecated.",
    ),
    Question(
        "Why do mobile deployments prefer structured pruning?",
        (
            "the matrices get smaller, so that the dense kernels which every chip has do less",
            "it loses less accuracy than unstructured pruning at the same sparsity",
            "phones have fast kernels for matrices with scattered zeros",
            "app stores require files without zeros",
        ),
        "Whole neurons and heads go, and what is left is a smaller dense model: no sparse kernel is needed.",
    ),
    Question(
        "How does gradual pruning work in a training run such as Google's?",
        (
            "all weights are cut before the first step, and the rest are trained",
            "the loss has a penalty that pulls weights to zero; nothing is ever cut",
            "a random tenth of the weights is cut after every epoch",
            "sparsity rises along a cubic curve, masks are updated every so many steps, and applied after each step "
            "of the optimiser",
        ),
        "Zhu and Gupta (2017), equation 1: most is cut early, while there is much to spare; training in between mends.",
    ),
    Question(
        "Local against global magnitude pruning: what is the difference?",
        (
            "local is exact, global works with an estimated threshold",
            "local has a ranking for each layer, global one for all: then layers' sparsities differ, and layers of "
            "small weights can empty out",
            "local prunes weights, global prunes neurons",
            "global leaves every layer with the same sparsity, local does not",
        ),
        "One ranking over all layers trusts that size means the same everywhere; a minimum kept in each layer guards.",
    ),
    Question(
        "Which accelerators gain most from structured pruning?",
        (
            "only NVIDIA GPUs from Ampere on",
            "only chips with a sparse matrix unit",
            "all that run dense kernels: phone CPUs, NPUs and GPUs alike",
            "only CPUs, since GPUs are limited by memory",
        ),
        "Smaller dense shapes help wherever dense kernels run; 2:4 on Ampere and later is the semi-structured case.",
    ),
)


def assessment() -> str:
    """The five questions with their choices, as Markdown."""
    lines = []
    for number, question in enumerate(QUESTIONS, start=1):
        lines += [f"**{number}. {question.text}**", ""]
        lines += [f"- **{letter}** {choice}" for letter, choice in zip(LETTERS, question.choices, strict=True)] + [""]
    return "\n".join(lines)


def explain(number: int, answers: object) -> str:
    """What is told about a question once it is answered. Raises AssertionError where it is not, or no letter was given.

    ``answers``: what the learner's function returned, {number of the question: letter}.
    """
    if not isinstance(answers, dict):
        raise AssertionError(f"A dict {{1: letter, ...}} was expected; a {type(answers).__name__} came back.")
    letter = answers.get(number)
    if letter is None:
        raise AssertionError(
            f"Question {number} is not answered yet: let readiness() return one of the letters a, b, c, d for it, "
            f'as in {{{number}: "a"}}.'
        )
    if not isinstance(letter, str) or letter.strip().lower() not in tuple(LETTERS):
        raise AssertionError(f"The answer to question {number} is one of the letters a, b, c, d; got {letter!r:.40}.")
    question = QUESTIONS[number - 1]
    chosen = question.choices[LETTERS.index(letter.strip().lower())]
    return f"You chose: {chosen}.\n{question.explanation}"
