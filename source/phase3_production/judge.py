# %% [markdown] minutes=3
# ### Going deeper: judge these
# Five measurements and claims, without points. Each choice is answered at once, with a source.

# %%
from gpt2_lib.course.quiz import Practice

Practice()
