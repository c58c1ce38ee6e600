# %% [markdown] minutes=2
# ### Going deeper: TensorRT
# Allowed to (`--sparsity=enable`), TensorRT considers sparse kernels for weights in 2:4; often it picks dense ones. So: prune
# to 2:4, write the ONNX file, check the pattern, and keep the command for the machine that has the GPU. <<fact tensorrt_11>>.
# <<fact sparse_serving>>. TensorRT for RTX is another product, for desktops: its engines are compiled again on the user's GPU.

# %%
from gpt2_lib import convert_to_tensorrt

two_four = ModelPruner(deepcopy(model))
two_four.prune_sparsegpt(calibration, n_m=(2, 4))
try:
    converted = convert_to_tensorrt(two_four.model, folder / "tensorrt")
except (MissingExtraError, DeployError) as reason:
    figures.say(str(reason))
