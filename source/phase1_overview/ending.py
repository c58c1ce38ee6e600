# %% [markdown] minutes=1
# ## 7 · Where pruned models run
#
# | where | said to be used | what is known |
# |-|-|-|
# | cloud | global and magnitude, 50-70 % | quantisation first; zeros save storage and transfer |
# | phone | structured, 20-40 % | smaller shapes run on ordinary kernels |
# | edge | structured and int8 | the chip asks for int8, and memory is tiny |
# | training | gradual | the model recovers between the cuts |
#
# <<fact quantise_first>>: that is the mark to beat.
#
# ### Knowledge check 1
# Answer first, then unfold.
#
# **1. Half of a model's weights are zero, and you save it with `torch.save`. How much smaller is the file?**
# <details><summary>answer</summary>
#
# Not at all: zeros are stored like any number. Packed it shrinks, as the table in part 5 shows.
# </details>
#
# <br>
#
# **2. Model A has perplexity 20 with 2,000 tokens, model B 30 with 50,000. Which is better?**
# <details><summary>answer</summary>
#
# You can't tell: B's tokens are longer, so each is harder to guess. Compare bits per character.
# </details>
#
# <br>
#
# **3. “Our packed model is 3.4 times smaller, with half of the weights zero.” What do you ask?**
# <details><summary>answer</summary>
#
# Than what? Pack the dense model in the same way and compare with that: in part 5 most of such a factor was the packing's.
# </details>
#
# **Next:** Phase 2, where you write the pruning yourself.
