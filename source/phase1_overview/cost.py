# %% [markdown] minutes=1
# ## 5 · Does a zero make it faster?
#
# Half of the weights are zero: surely the model is now twice as fast, and half the size? Measure: time for one page,
# memory of the weights, the file as it is saved, and the same file zipped. In the row before the last nothing is *set* to
# zero: a quarter of the heads and neurons are gone, rows and columns with them. In the last, of every four weights two are
# zero: an NVIDIA GPU has a kernel for that, the processor here has none.

# %%
from gpt2_lib.metrics import cost, cost_table

variants = {"dense": model}
for s in (0.5, 0.9):
    variants[f"{s:.0%} zeros"] = deepcopy(model)
    quick_magnitude_prune(variants[f"{s:.0%} zeros"], s, s)
variants["25% fewer heads and neurons"] = ModelPruner(model).remove_structures(0.25, 0.25, pages)
variants["2:4"] = pruned  # by SparseGPT, from above

costs = cost(variants, windows[:1])
display(Markdown(cost_table(costs, baseline="dense")))

# %% [markdown]
# A dense matrix full of zeros is still a dense matrix: it is stored, moved and multiplied like any other. Two things help:
#
# - **smaller shapes**: remove whole rows and columns, and every chip gains, since plain dense kernels get less to do;
# - **a sparse format**: zeros speed up a *kernel* only where one is made for that pattern, and shrink a *file* only where
#   something packs them. Here is a file made for it: a bitmask, the values that are left, then compressed; and the same with
#   every matrix rounded to **int8**.

# %%
from gpt2_lib.storage.packed import packed_sizes

packed = {
    name: (packed_sizes(variant).file, packed_sizes(variant, int8=True).file) for name, variant in variants.items()
}
lines = ["| model | packed file | with int8 |", "|-|-:|-:|"]
lines += [f"| {name} | {fp32 / 1e6:.2f} MB | {int8 / 1e6:.2f} MB |" for name, (fp32, int8) in packed.items()]
display(Markdown("\n".join(lines)))

# %% [markdown]
# You write the packing and the int8 yourself in Phase 3.
