# %% [markdown]
# ### TensorRT
# TensorRT doesn't prune. It compiles a model for one NVIDIA GPU, and if asked to (`--sparsity=enable`) uses its sparse tensor
# cores for weights that are **2:4** already: two of every four neighbours zero. So: prune to 2:4, write the ONNX file, check the
# pattern, and keep the command for the machine that has the GPU.

# %%
from gpt2_lib import convert_to_tensorrt

two_four = ModelPruner(deepcopy(model))
two_four.prune_sparsegpt(calibration, n_m=(2, 4))
try:
    converted = convert_to_tensorrt(two_four.model, folder / "tensorrt")
except (MissingExtraError, DeployError) as reason:
    print(reason)
