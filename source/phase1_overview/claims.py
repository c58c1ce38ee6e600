# %% [markdown] minutes=1
# ## 6 · Claims against measurements
#
# You will meet these numbers in talks and blog posts. Here is what is behind them, and what this machine just measured.

# %%
from gpt2_lib.course.claims import claims_table

full, zeros, fewer = costs["dense"], costs["50% zeros"], costs["25% fewer heads and neurons"]
everywhere = {p.sparsity: p for p in points if p.method == METHODS[1].name}
shot = {p.method: p for p in beyond}
smaller_int8 = packed["25% fewer heads and neurons"][1]


def lost(point):
    return 1 - point.accuracy / dense.accuracy


measured = {
    "zeros": f"50 % zeros: memory {full.memory / zeros.memory:.2f}x, speed {full.seconds / zeros.seconds:.2f}x, "
    f"packed file {full.file / packed['50% zeros'][0]:.2f}x smaller",
    "structured": f"memory {full.memory / fewer.memory:.2f}x, speed {full.seconds / fewer.seconds:.2f}x; accuracy lost, "
    f"without training: {1 - evaluate(variants['25% fewer heads and neurons'], windows).accuracy / dense.accuracy:.0%}",
    "gradual": f"70 %, after {10 * 3} small steps: {lost(slowly[0.7]):.0%} of the accuracy lost, "
    f"in one shot {lost(local[0.7]):.0%}; memory and speed as for any zeros",
    "global": f"60 %: the same zeros either way; perplexity {everywhere[0.6].perplexity:.1f} global, "
    f"{local[0.6].perplexity:.1f} layer by layer",
    "one shot": f"of the accuracy lost at 50 %: magnitude {lost(local[0.5]):.0%}, Wanda {lost(shot['Wanda']):.0%}, "
    f"SparseGPT {lost(shot['SparseGPT']):.0%}; at 60 % by magnitude {lost(local[0.6]):.0%}",
    "structured and int8": f"file {full.file / smaller_int8:.1f}x smaller (25 % of heads and neurons, int8, packed)",
}
display(Markdown(claims_table(measured)))
