# %% [markdown]
# ## d · Edge: pruned and int8
#
# On a small device flash memory is what is scarce. Rounding to int8 alone saves most of it, without any pruning: that file,
# packed in the same way, is the mark to beat. `save_packed(model, path, int8=True)` stores a zero in one bit, all else in a byte.
#
# | check | asks for | points |
# |-|-|-:|
# | `edge_int8` | all in int8, a quarter of the prunable weights gone, 1.1 times smaller than int8 alone, less than 4 % lost | <<points edge_int8>> |
# | `edge_small` | and half of them gone, 1.3 times smaller | <<points edge_small>> |
# | `edge_bar` | and less than 2 % lost | <<points edge_bar>> |
#
# <b class="gpt2-yours">✎ Yours</b>


# %% exercise="edge_model"
def make_edge() -> None:
    """Write a pruned gpt2-mini to edge.gpt2pack, its matrices as int8."""
    ### BEGIN SOLUTION
    save_packed(load_packed("sparse.gpt2pack"), "edge.gpt2pack", int8=True)
    ### END SOLUTION


def edge_model() -> bytes:
    """The packed file's bytes. Grading calls this, and nothing else."""
    return Path("edge.gpt2pack").read_bytes()


# %%
if not Path("edge.gpt2pack").exists():
    with when_written("challenge d"):
        make_edge()

# %% tests="edge_int8" points=3
found = check.edge_int8(edge_model)
### BEGIN HIDDEN TESTS
with check.hidden(100):
    challenges.assert_quality(found, challenges.EDGE_PART_LOST, hidden=True)
### END HIDDEN TESTS

# %% tests="edge_small" points=3
found = check.edge_small(edge_model)
### BEGIN HIDDEN TESTS
with check.hidden(100):
    challenges.assert_quality(found, challenges.EDGE_PART_LOST, hidden=True)
### END HIDDEN TESTS

# %% tests="edge_bar" points=4
found = check.edge_bar(edge_model)
### BEGIN HIDDEN TESTS
with check.hidden(100):
    challenges.assert_quality(found, challenges.EDGE_LOST, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint</summary>
#
# `load_packed("sparse.gpt2pack")` gives you the model of challenge a: it is pruned and trained already. Rounding to int8 costs
# almost nothing on top.
# </details>
