"""Five measurements and claims to judge: for practice, told at once, without points."""

from __future__ import annotations

from .readiness import Question

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
        "tensorrt_prunes",
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
        "Perplexity is a mean over all tokens. Tasks that need knowledge suffer from a sparsity of 25 to 30 % on, "
        "where perplexity has hardly moved.",
        "perplexity_hides",
        "c9a1ac3c:8424f8493f47e30e",
    ),
)
