# %% [markdown] minutes=4
# ### Going deeper: prune or quantise?
#
# <<fact quantise_first>>. On this model? The same bytes on disk, spent in four ways, in one shot and packed alike:
#
# - **pruned**: zeros by ADMM, the rest in float16;
# - **int8**: nothing pruned, a scale a row;
# - **int4**: nothing pruned; four bits a weight, and each 64 of a row share a scale, whose bits count, too;
# - **pruned and int8**.

# %% jupyter={"source_hidden": true}
# Measure: each is written to a file, loaded back and measured on twelve pages
from gpt2_lib.course import equal_bytes

stored = equal_bytes.measure(model, windows, calibration[:16], (0.0, 0.4, 0.6))
figure, (ax,) = figures.panels(height=3.6)
equal_bytes.draw(ax, stored)
plots.title(ax, "Left and low is good")
points_told = ", ".join(f"{s.way} {s.sparsity:.0%}: {s.bytes / 1e6:.2f} MB, {s.perplexity:.0f}" for s in stored)
figures.show(figure, f"Perplexity against megabytes on disk. {points_told}")
figures.say(equal_bytes.answer(stored))

# %% [markdown]
# **Quantise first.** Then pruning is worth what it adds to that, and training moves it: challenge d asks for both.
#
# <<fact grouped_int4>>. <<fact size_effect>>, and to fewer bits as well; so measure on the model that you ship.
#
# <<table size_effect>>
