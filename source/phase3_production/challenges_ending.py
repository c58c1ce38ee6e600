# %% [markdown]
# ## What you ship

# %%
measured = {"gpt2-mini, packed in int8": f"{challenges.int8_alone() / 1e6:.2f} MB"}
for name, file, read in (
    ("sparse", "sparse.gpt2pack", lambda: challenges.packed(sparse_model)),
    ("mobile", "mobile.onnx", lambda: challenges.exported(mobile_model)),
    ("edge", "edge.gpt2pack", lambda: challenges.packed(edge_model)),
):
    if Path(file).exists():
        shipped = read().model
        measured[name] = (
            f"{Path(file).stat().st_size / 1e6:.2f} MB, {challenges.lost(shipped):.1%} of the accuracy lost"
        )
card = progress.summary(measured)
display(card, Markdown(card.markdown()))

# %% [markdown]
# The points are those of the checks on the pages that you see. **When you hand in, hand in the files too**: `sparse.gpt2pack`,
# `mobile.onnx`, `run.csv` and `edge.gpt2pack` lie beside this notebook.

# %% jupyter={"source_hidden": true}
# Grade my notebook: run this cell, then press the button
from gpt2_lib.course.page.own_grade import GradeMyNotebook

GradeMyNotebook("challenges")
