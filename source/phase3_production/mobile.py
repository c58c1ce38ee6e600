# %% [markdown] minutes=2
# ### Going deeper: phones, by Core ML and ExecuTorch
# Both need packages that the course doesn't install by itself. Core ML models can be made here but run on Apple's systems
# alone, so the saved program is read back and computed step by step, to compare the numbers. (ONNX files run on phones by ONNX
# Runtime.) <<fact phones_sparse>>. <<fact core_ai>>.

# %% jupyter={"source_hidden": true}
# Core ML: export, and the saved program computed step by step
try:
    from gpt2_lib.deploy.coreml import export_coreml, interpret, package_bytes

    package = export_coreml(pruned, folder / "pruned.mlpackage", sparse=True, int8=True)
    ids = windows[:1, :32]
    with torch.no_grad():
        apart = (torch.from_numpy(interpret(package, ids)) - pruned(ids)).abs().max()
    size = sum(p.numel() * 4 for p in pruned.parameters())
    figures.say(
        f"Core ML, 60 % zeros stored sparsely, int8: {package_bytes(package) / 1e6:.2f} MB of {size / 1e6:.2f}; its logits are up to "
        f"{apart:.2f} from PyTorch's. It was computed here step by step: running it takes an Apple system."
    )
except (MissingExtraError, DeployError) as reason:
    figures.say(str(reason))

# %% jupyter={"source_hidden": true}
# ExecuTorch: export, and run
try:
    from gpt2_lib.deploy.executorch import ExecuTorchGPT2, export_executorch

    program = export_executorch(smaller, folder / "smaller.pte", int8=False)
    ids = windows[:1, :32]
    with torch.no_grad():
        apart = (torch.from_numpy(ExecuTorchGPT2(program).logits(ids)) - smaller(ids)).abs().max()
    size, table = program.stat().st_size, smaller.wte.weight.numel() * 4
    figures.say(
        f"ExecuTorch, 25 % removed: {size / 1e6:.2f} MB, run here; its logits are up to {apart:.1e} from PyTorch's. The file holds the "
        f"token embedding ({table / 1e6:.2f} MB) twice, as table and as head; without one of them it has {(size - table) / 1e6:.2f} MB, "
        "about as the ONNX file of the same model, whose table is the head."
    )
except (MissingExtraError, DeployError) as reason:
    figures.say(str(reason))
