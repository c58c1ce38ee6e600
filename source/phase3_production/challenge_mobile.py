# %% [markdown]
# ## b · Mobile: a smaller shape
#
# A phone's kernels for transformers are mostly dense, so smaller matrices gain there: remove heads and neurons, let what is left
# recover, and export it with `export_onnx(model, path)`, the format that ONNX Runtime takes, on phones too.
#
# | check | asks for | points |
# |-|-|-:|
# | `mobile_smaller` | 20 % of the blocks' weights cut out, less than 10 % of the accuracy lost | <<points mobile_smaller>> |
# | `mobile_faster` | 1.3 times as fast as dense, less than 10 % lost | <<points mobile_faster>> |
# | `mobile_bar` | 1.3 times as fast, less than 4 % lost | <<points mobile_bar>> |
#
# Both models run in ONNX Runtime, on one thread, on the same 128 tokens, and take turns; what counts is the median ratio of
# their computing times. An int8 file (`int8=True`) is compared with gpt2-mini in int8, since here it is the shape that
# has to make it faster. Aim for 1.4, so that a busy machine costs you nothing.
#
# <b class="gpt2-yours">✎ Yours</b>


# %% exercise="mobile_model"
def make_mobile() -> None:
    """Remove heads and neurons of a gpt2-mini, train it, and write it to mobile.onnx with export_onnx(model, path).

    Train on corpus.training_plays() only.
    """
    ### BEGIN SOLUTION
    whole, tokenizer = load_pretrained_gpt2()
    text = corpus.encode(corpus.training_plays(), tokenizer)  # (n,)
    calibration = corpus.calibration_windows(tokenizer, whole.config.n_positions)
    smaller = ModelPruner(whole).remove_structures(heads=0.25, neurons=0.6, windows=calibration)
    recipe = replace(RECOVERY, steps=200, warmup=10)
    run = Run(smaller, recipe, "mobile.snapshot", teacher=load_pretrained_gpt2())
    for _ in tqdm(range(run.step, recipe.steps), desc="recovery", unit="step"):
        run.advance(text)
    export_onnx(smaller, "mobile.onnx")
    Path("mobile.snapshot").unlink(missing_ok=True)
    ### END SOLUTION


def mobile_model() -> bytes:
    """The ONNX file's bytes. Grading calls this, and nothing else."""
    return Path("mobile.onnx").read_bytes()


# %%
if not Path("mobile.onnx").exists():
    with when_written("challenge b"):
        make_mobile()

# %% tests="mobile_smaller" points=3
found = check.mobile_smaller(mobile_model)
### BEGIN HIDDEN TESTS
with check.hidden(100):
    challenges.assert_quality(found, challenges.REMOVED_LOST, hidden=True)
### END HIDDEN TESTS

# %% tests="mobile_faster" points=3
found = check.mobile_faster(mobile_model)
### BEGIN HIDDEN TESTS
with check.hidden(100):
    challenges.assert_quality(found, challenges.REMOVED_LOST, hidden=True)
### END HIDDEN TESTS

# %% tests="mobile_bar" points=4
found = check.mobile_bar(mobile_model)
### BEGIN HIDDEN TESTS
with check.hidden(100):
    challenges.assert_quality(found, challenges.MOBILE_LOST, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1: how much</summary>
#
# `ModelPruner(model).remove_structures(heads, neurons, calibration)` returns a smaller model. The blocks are not all of the
# work: the head that makes 2,048 logits of every token stays as it is, so a quarter of both is not enough. Take more of
# the neurons than of the heads. With pages to calibrate on, much less is lost than by the size of the weights.
# </details>
# <details><summary>Hint 2: recovery</summary>
#
# The smaller model is a plain GPT2 without masks: `Run(smaller, replace(RECOVERY, steps=120), teacher=...)`, then `run.advance(text)`
# for each step. The teacher may have other shapes than its pupil. A snapshot, as in challenge a, keeps what an interrupted run did.
# </details>
