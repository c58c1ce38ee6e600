# %% [markdown] minutes=1
# ## 5 · Does a zero make it faster?
#
# Half of the weights are zero: twice as fast, half the size? In the last row nothing is *set* to zero: a quarter of the heads
# and neurons are gone, rows and columns with them, and text has refitted the rest, as in part 3.

# %% jupyter={"source_hidden": true}
# Measure: a pass over a page, the weights in memory, the file as saved, zipped, and packed
from gpt2_lib import ModelPruner
from gpt2_lib.corpus import calibration_windows
from gpt2_lib.course.experiments import REFIT_PAGES
from gpt2_lib.metrics import cost, cost_table
from gpt2_lib.storage.packed import packed_sizes

variants = {"dense": model, "50 % zeros": deepcopy(model), "90 % zeros": deepcopy(model)}
for s in (0.5, 0.9):
    quick_magnitude_prune(variants[f"{s:.0%} zeros".replace("%", " %")], s, s)
text = calibration_windows(tokenizer, context, REFIT_PAGES)  # as many as in part 3
fewer = ModelPruner(model).remove_structures(0.25, 0.25, text)
variants["25 % fewer heads and neurons"] = (
    fewer.half().float()
)  # rounded to float16, as gpt2-mini was, so that files compare
costs = cost(variants, windows[:1])
say(cost_table(costs, baseline="dense"))

packed = {
    name: (packed_sizes(variant).file, packed_sizes(variant, int8=True).file) for name, variant in variants.items()
}
of, of_int8 = packed["dense"]
lines = ["| model | packed | gained by pruning | packed, int8 | gained by pruning |", "|-|-:|-:|-:|-:|"]
lines += [
    f"| {name} | {fp32 / 1e6:.2f} MB | {of / fp32:.2f} times | {int8 / 1e6:.2f} MB | {of_int8 / int8:.2f} times |"
    for name, (fp32, int8) in packed.items()
]
say("\n".join(lines))

# %% [markdown]
# A matrix full of zeros is stored, moved and multiplied like any other. Two things help: **smaller shapes**, which leave
# ordinary kernels less arithmetic, and **a sparse format**: zeros speed up a kernel that is made for their pattern, and
# shrink a file that is *packed* (Phase 3: zeros left out, then zstd). Compare like with like: all are float16's numbers, and the columns
# say what pruning adds to packing and to int8 (a byte a weight). Speeds are this machine's, now.
