# %% [markdown] minutes=1
# ## 7 · Where pruned models run
#
# | where | what is used, with typical amounts | why |
# |-|-|-|
# | cloud | global and magnitude pruning, 50-70 % | smaller files and downloads; faster only with kernels for the pattern |
# | mobile | structured, 20-40 % | phones run dense kernels: smaller shapes are faster everywhere |
# | edge | structured and int8 together, 3-5x | the chip asks for int8, and memory is tiny |
# | training pipelines | gradual, while training | the model recovers between the cuts |
#
# **Good practice.** Start with magnitude: it is one line and sets the mark to beat. Go structured when the hardware
# must gain. Prune gradually if you train anyway. Combine with quantisation at the end. And measure each step.
#
# ### Knowledge check 1
# Answer first, then unfold.
#
# **1. You set 50 % of a model's weights to zero and save it with `torch.save`. How much smaller is the file?**
# <details><summary>answer</summary>
#
# Not at all: zeros are stored like any number. Zipped or packed it shrinks, as the table in part 5 shows.
# </details>
#
# **2. Model A has perplexity 20 with a vocabulary of 2,000 tokens, model B 30 with a vocabulary of 50,000. Which is better?**
# <details><summary>answer</summary>
#
# You can't tell: B's tokens are longer, so each is harder to guess. Compare bits per character.
# </details>
#
# **3. Layer by layer or global: which leaves every layer with the same sparsity?**
# <details><summary>answer</summary>
#
# Layer by layer. Global pruning ranks all weights together, so layers with small weights lose more.
# </details>
#
# **4. Why measure on plays the model has not seen?**
# <details><summary>answer</summary>
#
# On its training text a model can look good from memory alone; pruning and quality matter where it has to generalise.
# </details>
#
# **Next:** Phase 2, where you write the pruning yourself. To see your points for this notebook: save it (Ctrl + S), then run
# `make check` in a terminal.
