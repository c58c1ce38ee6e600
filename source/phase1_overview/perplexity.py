# %% [markdown] minutes=1
# ### How well it reads: perplexity
#
# At every place in a text the model gives each token of its vocabulary a score, its **logit**; softmax makes
# probabilities of them. **Perplexity** asks how much of it the right next token got:
#
# $$\text{perplexity} = \exp\Big(-\frac{1}{n}\sum_{i=1}^{n} \log p_i(\text{right token})\Big)$$
#
# 20 means: as unsure as with 20 equally likely tokens to choose from. Lower is better.

# %% jupyter={"source_hidden": true}
# Example: two places, a vocabulary of four tokens; what is not the right token is struck out
logits = torch.tensor([[[2.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]])  # (B=1, T=2, V=4)
targets = torch.tensor([[0, 3]])  # (B=1, T=2)
right = torch.nn.functional.one_hot(targets[0], 4).bool()
p = logits[0].softmax(-1)  # (T, V)
matrices(("logits", logits[0], None), ("their softmax, row by row", (p * 1000).round() / 1000, right))
by_hand = math.exp(-(math.log(p[0, 0]) + math.log(p[1, 3])) / 2)
say(
    f"The right tokens got {p[0, 0]:.3f} and {p[1, 3]:.3f}: exp(-(log {p[0, 0]:.3f} + log {p[1, 3]:.3f}) / 2) = {by_hand:.4f}."
)

# %% [markdown]
# **On the real model**, on twelve pages that it has never seen. *Bits per character* says the same in a unit that doesn't
# depend on the tokenizer.

# %%
windows = held_out_windows(tokenizer, context, 12)  # (12, 256): pages of Macbeth, Twelfth Night and Henry V
dense = evaluate(model, windows)
say(
    f"On {dense.tokens:,} held-out tokens: perplexity {dense.perplexity:.2f}, {dense.bits_per_character:.3f} bits per "
    f"character; its first guess is right for {dense.accuracy:.1%} of the tokens."
)
