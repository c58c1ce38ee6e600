# %% [markdown] minutes=2
# **Zeros make nothing faster** on a dense kernel; the smaller model is faster in about the ratio of its operations, on the CPU
# that was measured. Elsewhere smaller matrices gain where arithmetic, or reading the weights, takes the time and the sizes
# suit the kernels: <<fact depth_or_width>>.
#
# ## Deployment targets
#
# - **NVIDIA**: TensorRT compiles a model and prunes nothing. If told to, it looks for weights in 2:4 (two of every four
#   neighbours zero), for which GPUs from Ampere on have sparse tensor cores.
# - **Phones, and most accelerators**: dense kernels, so smaller matrices gain, though whole neurons cost more accuracy than as
#   many single weights.
# - **Training runs**: as in 2.3, sparsity rises along a cubic curve, masks renewed and held.
# - Whichever it is: one ranking a layer cuts all alike, one for all layers (2.4) gives each its own share.
#
# Each cell says where it stops on this machine.

# %%
from gpt2_lib.deploy.extras import DeployError, MissingExtraError

folder = Path(tempfile.mkdtemp(prefix="gpt2-production-"))

# %% [markdown]
# ### Cloud: ONNX Runtime, a server, Kubernetes
# An ONNX file holds graph, weights and tokenizer; ONNX Runtime runs it without PyTorch. In int8 one matrix of bytes, with a
# scale for each token, serves as embedding and as head.

# %% jupyter={"source_hidden": true}
# Export: two models, each in fp32 and in int8
try:
    from gpt2_lib.deploy.onnx import OnnxGPT2, export_onnx

    rows = ["| file | MB | ms to read 128 tokens | perplexity |", "|-|-:|-:|-:|"]
    prompt = windows[:1, :128]
    for name, exported, int8 in (
        ("dense", model, False),
        ("25 % removed", smaller, False),
        ("25 % removed, int8", smaller, True),
    ):
        runtime = OnnxGPT2(
            export_onnx(exported, folder / f"{name.partition(',')[0]} {int8}.onnx", int8=int8), threads=1
        )
        runtime.logits(prompt)
        times = []
        for _ in range(9):
            started = time.perf_counter()
            runtime.logits(prompt)
            times.append(time.perf_counter() - started)
        size = (folder / f"{name.partition(',')[0]} {int8}.onnx").stat().st_size / 1e6
        found = runtime.evaluate(windows).perplexity
        rows.append(f"| {name} | {size:.2f} | {1000 * statistics.median(times):.1f} | {found:.2f} |")
    figures.say("\n".join(rows))
except MissingExtraError as missing:
    figures.say(str(missing))

# %% [markdown]
# `deploy_to_production` starts a web server in a process of its own: with limits, health, metrics and a clean end.

# %%
from gpt2_lib import deploy_to_production

try:
    with deploy_to_production(smaller) as served:
        figures.say(str(served))
        print(served.generate("To be, or not to be", max_new_tokens=24, seed=1))
        load = served.measure(requests=20, concurrency=2)
        figures.say(
            f"{load['requests']} requests of 32 tokens, {load['errors'] or 'none'} of them failed: "
            f"{1000 * load['median_seconds']:.0f} ms each (median), {load['tokens_per_second']:.0f} tokens a second"
        )
except (MissingExtraError, DeployError) as reason:
    figures.say(str(reason))

# %% [markdown]
# In a cluster the same server runs in a container, by the manifests in `gpt2_lib/deploy/serving/manifests`. No cluster is
# here, so they are checked without one: against Kubernetes' schema, and for what a schema doesn't see.

# %%
from gpt2_lib.deploy.serving import kubernetes

try:
    for overlay in ("dense", "pruned"):
        faults = kubernetes.validate(kubernetes.MANIFESTS / "overlays" / overlay)
        figures.say(f"{overlay}: {faults or 'no fault found; not applied to any cluster'}")
except (MissingExtraError, DeployError) as reason:
    figures.say(str(reason))
