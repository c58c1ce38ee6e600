# %% [markdown] minutes=5
# ## Going deeper: the field in 2026
#
# - **Sparse serving.** <<fact sparse_serving>>. <<fact cpu_runtime>>. <<fact phones_sparse>>.
# - **Prune, then distil.** <<fact prune_distil>>: the recipe is Phase 2's training with a teacher, at scale. <<fact at_work>>.
# - **Newer blocks.** With SwiGLU a neuron is a row of *gate*, a row of *up* and a column of *down*; with grouped-query attention
#   whole groups of heads go. <<fact experts>>.
# - **Depth.** Whole blocks can go ([ShortGPT](https://arxiv.org/abs/2403.03853), 2024): <<fact depth_or_width>>.
#   <<fact width_after_distilling>>.
# - **Fewer bits.** <<fact low_bits>>. <<fact grouped_int4>>.
# - **Not all layers alike.** <<fact non_uniform>>.
# - **Newer methods.** <<fact newer_methods>>.
# - **Latency.** <<fact speculative>>.
# - **Controls.** <<fact dense_control>>.
# - **Tasks.** <<fact perplexity_hides>>: evaluate what the model is for (lm-evaluation-harness), and calibrate on text like its own.
#
# **In practice.** Begin with int8 or fewer bits as the mark to beat; prune in structure where latency must fall; prune gradually
# where you train anyway; and measure each step against a model that was trained as long.
#
# | you want | begin with | then |
# |-|-|-|
# | a smaller file | int8 or 4 bits, packed | sparsity by SparseGPT or gradual pruning, packed |
# | less memory when serving | weights of fewer bits | heads removed: they shrink the KV cache; neurons do not |
# | lower latency at batch 1 | fewer bits, speculative decoding | blocks removed, then distilled |
# | throughput | FP8 or INT8 kernels | width removed, then distilled |
