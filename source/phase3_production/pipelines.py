# %% [markdown] minutes=2
# How much faster is 2:4 on a GPU? `python -m gpt2_lib.deploy.semi_structured` measures it where there is one. None
# was available when this was written, so there is no table here.
#
# ### Going deeper: training pipelines, by MLflow
# A gradual run belongs in the same records as every other training: its settings, its curves, its final model.

# %% jupyter={"source_hidden": true}
# A gradual run that MLflow records
from gpt2_lib.corpus import encode, training_plays
from gpt2_lib.pruning.gradual import RECOVERY, GradualRun
from gpt2_lib.pruning.schedules import Schedule

try:
    from dataclasses import replace

    from gpt2_lib.deploy.tracking import load_tracked, track_gradual

    run = GradualRun(deepcopy(model), replace(RECOVERY, steps=6), Schedule(0.6, 4, every=2), teacher=model)
    page = {name: text[:200_000] for name, text in list(training_plays().items())[:1]}
    version = track_gradual(
        run, encode(page, tokenizer), windows[:2], every=3, folder=folder / "mlflow", name="gpt2-mini-60"
    )
    again = load_tracked(folder / "mlflow", "gpt2-mini-60")
    figures.say(
        f"version {version} of gpt2-mini-60 is registered, {run.log[-1]['step']} steps; loaded back, its perplexity is "
        f"{evaluate(again, windows).perplexity:.1f} (six steps are for show: the challenges train in earnest)"
    )
except (MissingExtraError, DeployError) as reason:
    figures.say(str(reason))

# %% [markdown]
# ### The whole pipeline
# Load, prune, convert, deploy: four lines, and a model that answers.

# %%
from gpt2_lib import apply_magnitude_pruning

try:
    shipped = load_pretrained_gpt2()
    shipped = apply_magnitude_pruning(shipped, sparsity=0.3)
    shipped = convert_to_tensorrt(shipped)
    with deploy_to_production(shipped) as shipped:
        print(shipped.generate("My lord,", max_new_tokens=16, seed=2))
except (MissingExtraError, DeployError) as reason:
    figures.say(str(reason))
