# %% [markdown] minutes=3
# ### 3.5 b · Judge these (going deeper)
# Five measurements and claims, without points. Each choice is answered at once, with a source.

# %%
from gpt2_lib.course.quiz import Practice

Practice()
