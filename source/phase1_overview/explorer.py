# %% [markdown] minutes=2
# ## 4 · The explorer
#
# Drag. Wherever the sliders go, the real model is pruned, measured on the held-out pages and asked to write.
# The star is you. Four things to try:
#
# 1. Prune only attention to 80 %, then only feed-forward to 80 %. Which can the model spare?
# 2. Switch between *layer by layer* and *global* and watch the mask of one layer: does it lose its share?
# 3. Choose *structured*: whole heads and neurons go. See the stripes in the mask, and what they cost.
# 4. Find the highest sparsity that still writes something like a play.

# %%
from gpt2_lib.course.widgets import Explorer

explorer = Explorer(model, windows, points)
explorer
