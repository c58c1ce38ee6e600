# %% [markdown]
# ## c · Tracked: gradual pruning in a training pipeline
#
# Pruning in a training run leaves a trace that others can check. Keep a log of yours: plain CSV (or a JSON list), one row at
# each cut at least and one at the end.
#
# | column | is |
# |-|-|
# | `step` | how many steps are done |
# | `sparsity` | the share of the prunable weights that is zero now |
# | `loss` | the training loss |
# | `accuracy` | `evaluate(model, pages).accuracy` |
#
# | check | asks for | points |
# |-|-|-:|
# | `tracked_log` | a log with these columns, its steps rising | <<points tracked_log>> |
# | `tracked_model` | its last row is the model shipped; 50 % gone, less than 4 % of the accuracy lost | <<points tracked_model>> |
# | `tracked_schedule` | the sparsity only rises, in 4 cuts or more, none of them more than half of the way, and training goes on after the last one | <<points tracked_schedule>> |
# | `tracked_bar` | all of this, 60 % gone, less than 2 % lost | <<points tracked_bar>> |
#
# If your run for challenge a was gradual, and kept a log, this one is done.
#
# <b class="gpt2-yours">✎ Yours</b>


# %% exercise="tracked_run"
def make_tracked() -> None:
    """Prune a gpt2-mini gradually while it trains; write the log to run.csv and the model with save_packed."""
    ### BEGIN SOLUTION
    make_sparse()  # was gradual, and has written both
    ### END SOLUTION


def tracked_run() -> tuple[bytes, bytes]:
    """The bytes of the log and of the packed file. Grading calls this, and nothing else."""
    return Path("run.csv").read_bytes(), Path("sparse.gpt2pack").read_bytes()  # or another file than challenge a's


# %%
if not Path("run.csv").exists():
    with when_written("challenge c"):
        make_tracked()

# %% tests="tracked_log" points=1
check.tracked_log(tracked_run)

# %% tests="tracked_model" points=3
found = check.tracked_model(tracked_run)
### BEGIN HIDDEN TESTS
with check.hidden(100):
    challenges.assert_quality(found.packed, challenges.HALF_LOST, hidden=True)
### END HIDDEN TESTS

# %% tests="tracked_schedule" points=3
check.tracked_schedule(tracked_run)

# %% tests="tracked_bar" points=3
found = check.tracked_bar(tracked_run)
### BEGIN HIDDEN TESTS
with check.hidden(100):
    challenges.assert_quality(found.packed, challenges.SPARSE_LOST, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1: where in the loop</summary>
#
# `schedule.is_due(step)` says whether a cut comes before that step. So after `run.advance(text)` for a step that is due, add a
# row, and one more when `run.step` is the recipe's last. `ModelPruner(model).get_model_statistics()["sparsity"]` counts.
# </details>
# <details><summary>Hint 2: writing CSV</summary>
#
# Collect the rows as dicts in a list, then `csv.DictWriter(file, log[0])`, `writeheader()`, `writerows(log)`.
# </details>

# %% [markdown]
# **What you saw.** Your log, drawn: every cut hurts, and training heals.

# %%
if Path("run.csv").exists():
    rows = challenges.tracked(tracked_run).rows
    figure, axes = figures.panels(2, height=2.6)
    for axis, name, colour in ((axes[0], "sparsity", plots.GOES), (axes[1], "accuracy", plots.STAYS)):
        axis.plot([row["step"] for row in rows], [row[name] for row in rows], marker="o", color=colour)
        axis.set_xlabel("step")
        plots.percent(axis.yaxis)
        plots.title(axis, name)
    axes[1].axhline(dense_accuracy, color=plots.HERE, linestyle="--")
    axes[1].margins(y=0.2)
    axes[1].text(rows[0]["step"], dense_accuracy, "gpt2-mini", va="bottom", fontsize=plots.SIZE)
    ends = ", ".join(f"{name} from {rows[0][name]:.1%} to {rows[-1][name]:.1%}" for name in ("sparsity", "accuracy"))
    figures.show(figure, f"Your log over {rows[-1]['step']:g} steps: {ends}")
