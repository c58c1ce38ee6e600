# %% [markdown] minutes=2
# ## 4 · The explorer
#
# Drag: the real model is pruned, measured, and writes; the star is your setting. Find out:
#
# 1. Which can the model spare: 80 % of its attention weights, or 80 % of its feed-forward weights?
# 2. From *layer by layer* to *global*: does the layer shown keep its share?
#
# <details><summary>Answers</summary>
#
# 1. Attention: the feed-forward matrices hold two thirds of the weights, and the perplexity rises faster with them. (So far out
#    damages don't add up: cutting attention, too, may even lower the perplexity.)
# 2. No: layers with small weights lose more than their share, others less.
# </details>
# <details><summary>Going deeper: two more questions</summary>
#
# 3. *Structured*: what do the stripes in the mask stand for? (Whole rows: a stripe is a neuron, or a row of a head.)
# 4. What is the highest sparsity that still writes something like a play? (By layers, something between 40 and 60 %, as you
#    judge; training moves it far up: Phase 2.)
# </details>

# %%
from gpt2_lib.course.widgets import Explorer

explorer = Explorer(model, windows, swept)
explorer
