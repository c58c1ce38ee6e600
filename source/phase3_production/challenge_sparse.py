# %% [markdown]
# ## a · Sparse: 60 % of the weights gone
#
# In one shot, 60 % is too much for magnitude pruning, as you saw in Phase 1. With training it is not (Zhu & Gupta, 2017).
# Which way you go is yours: cut once and train with the masks held (`gpt2_lib.pruning.gradual.MaskedRun`), or a little at a time (`GradualRun`,
# your exercise 2.3), or any other.
#
# | check | asks for | points |
# |-|-|-:|
# | `sparse_half` | 50 % of the prunable weights gone, less than 4 % of the accuracy lost | <<points sparse_half>> |
# | `sparse_most` | 60 % gone, less than 4 % lost | <<points sparse_most>> |
# | `sparse_bar` | 60 % gone, less than 2 % lost | <<points sparse_bar>> |
#
# Prunable are the attention and feed-forward matrices of the blocks; zeros in embeddings don't count. Whole heads, neurons or
# blocks that are gone do.
#
# <b class="gpt2-yours">✎ Yours</b>


# %% exercise="sparse_model"
def make_sparse() -> None:
    """Prune a gpt2-mini and train it, and write it to sparse.gpt2pack with save_packed(model, path).

    Train on corpus.training_plays() only.
    """
    ### BEGIN SOLUTION
    pruned, tokenizer = load_pretrained_gpt2()
    text = corpus.encode(corpus.training_plays(), tokenizer)  # (n,)
    calibration = corpus.calibration_windows(tokenizer, pruned.config.n_positions)
    schedule = Schedule(final=0.6, initial=0.2, steps=120, every=24)  # six cuts, then twice as many steps to recover
    recipe = replace(RECOVERY, steps=360, warmup=10)
    run = GradualRun(
        pruned,
        recipe,
        schedule,
        snapshot="sparse.snapshot",
        teacher=load_pretrained_gpt2(),
        select=sparsegpt_cuts(pruned, calibration),
    )
    for step in tqdm(range(run.step, recipe.steps), desc="gradual pruning", unit="step"):
        loss = run.advance(text)
        if schedule.is_due(step) or run.step == recipe.steps:
            gone = ModelPruner(pruned).get_model_statistics()["sparsity"]
            quality = evaluate(pruned, pages)
            run.log.append({"step": run.step, "sparsity": gone, "loss": loss, "accuracy": quality.accuracy})
    run.keeper.remove()
    with open("run.csv", "w", newline="") as file:  # challenge c
        table = csv.DictWriter(file, run.log[0])
        table.writeheader()
        table.writerows(run.log)
    save_packed(pruned.half().float(), "sparse.gpt2pack")  # float16 is precise enough, and takes half of the file
    Path("sparse.snapshot").unlink(missing_ok=True)
    ### END SOLUTION


def sparse_model() -> bytes:
    """The packed file's bytes. Grading calls this, and nothing else."""
    return Path("sparse.gpt2pack").read_bytes()


# %%
if not Path("sparse.gpt2pack").exists():
    with when_written("challenge a"):
        make_sparse()

# %% tests="sparse_half" points=4
found = check.sparse_half(sparse_model)
### BEGIN HIDDEN TESTS
with check.hidden(100):
    challenges.assert_quality(found, challenges.HALF_LOST, hidden=True)
### END HIDDEN TESTS

# %% tests="sparse_most" points=3
found = check.sparse_most(sparse_model)
### BEGIN HIDDEN TESTS
with check.hidden(100):
    challenges.assert_quality(found, challenges.HALF_LOST, hidden=True)
### END HIDDEN TESTS

# %% tests="sparse_bar" points=3
found = check.sparse_bar(sparse_model)
### BEGIN HIDDEN TESTS
with check.hidden(100):
    challenges.assert_quality(found, challenges.SPARSE_LOST, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1: which way</summary>
#
# A `GradualRun` with `Schedule(final=0.6, initial=0.2, steps=120, every=24)`: six cuts, none too large for challenge c, then
# twice as many steps to recover. `RECOVERY` is a recipe that works for gpt2-mini; `replace(RECOVERY, steps=...)` makes it
# shorter. Try 150 steps first, to see that all works; the last bar takes some hundreds. Let it learn from the unpruned model:
# `teacher=load_pretrained_gpt2()`.
#
# With `snapshot="sparse.snapshot"` an interrupted run goes on where it was: `for step in range(run.step, recipe.steps)`, and
# what you keep in `run.log` stays, too. Delete that file once the model is written, and before a run with other settings.
# </details>
# <details><summary>Hint 2: what to cut</summary>
#
# `select=sparsegpt_cuts(model, calibration)` chooses by what each weight does on real text, and corrects those that
# stay: better than magnitude, for the same steps. `model, tokenizer = load_pretrained_gpt2()`, and
# `calibration = corpus.calibration_windows(tokenizer, 256)`. Then `run.advance(text)` for each step, with
# `text = corpus.encode(corpus.training_plays(), tokenizer)`.
# </details>

# %% [markdown]
# **What you saw.** The same beginning, continued by both.

# %%
if Path("sparse.gpt2pack").exists():
    for name, writer in (("dense", dense), ("yours", challenges.packed(sparse_model).model)):
        print(f"--- {name}\n{generate(writer, 'MACBETH', 60, seed=1)}\n")
