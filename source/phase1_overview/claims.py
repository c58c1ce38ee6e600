# %% [markdown] minutes=1
# ## 6 · Claims against measurements
#
# What is true, with sources, and what was measured here:

# %% jupyter={"source_hidden": true}
# Claims, what is true, what was measured
from gpt2_lib.course.facts import claims

full, zeros, quartered = costs["dense"], costs["50 % zeros"], costs["25 % fewer heads and neurons"]
quarter = evaluate(variants["25 % fewer heads and neurons"], windows)


def lost(point):
    return f"{1 - point.accuracy / dense.accuracy:.0%}"


measured = {
    "zeros": f"50 % zeros: the same memory, {full.seconds / zeros.seconds:.1f} times the speed (1.0 is as fast as before; it moves with the "
    f"machine's load); a packed file {of / packed['50 % zeros'][0]:.2f} times smaller than the dense one, packed as well",
    "structured": f"memory {full.memory / quartered.memory:.2f} times smaller, {full.seconds / quartered.seconds:.1f} times the speed; "
    f"{lost(quarter)} of the accuracy lost, refitted but not trained",
    "gradual": f"70 %, after {10 * 3} small steps of training: {lost(slowly[0.7])} of the accuracy lost, in one shot "
    f"{lost(local[0.7])}",
    "global": f"60 %: perplexity {everywhere[0.6].perplexity:.0f} with one ranking, {local[0.6].perplexity:.0f} layer by "
    "layer: worse, for the same zeros",
    "one shot": f"accuracy lost by magnitude: {lost(local[0.5])} at 50 %, {lost(local[0.6])} at 60 %",
    "structured and int8": f"25 % of heads and neurons removed and int8: {of / packed['25 % fewer heads and neurons'][1]:.1f} "
    f"times; int8 alone: {of / of_int8:.1f} times, both against the dense file packed as well",
}
say(claims(measured, shown=3))
