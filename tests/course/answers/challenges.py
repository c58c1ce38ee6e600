"""Answers to the four challenges: wrong ones with the checks that each must fail, and unusual right ones.

Each makes its files from the reference's, which lie in the folder where it runs (`classroom.lay_artifacts`). It may use
what HELPERS define.
"""

from __future__ import annotations

HELPERS = '''
import io
import json
import tempfile

import onnx
import torch
from onnx.external_data_helper import set_external_data as external_data

from gpt2_lib import GPT2, GPT2Config
from gpt2_lib.pruning import surgery
from gpt2_lib.pruning.pruner import apply_magnitude_pruning, prunable_weights


def bytes_of(model, write, **options):
    """What ``write`` (save_packed or export_onnx) makes of the model."""
    with tempfile.TemporaryDirectory() as folder:
        write(model, Path(folder, "made"), **options)
        return Path(folder, "made").read_bytes()


def sparse():
    """The reference's sparse model."""
    return load_packed("sparse.gpt2pack")


def mobile():
    """The reference's smaller model."""
    return load_packed("mobile.gpt2pack")


def worse(model, bar):
    """The model with just so much noise on its weights that it misses the bar; zeros stay zeros."""
    generator = torch.Generator().manual_seed(0)
    weights = prunable_weights(model).values()
    noise = [torch.randn(p.shape, generator=generator) * p.detach() for p in weights]
    whole = {hidden: challenges.accuracy(challenges.dense(), hidden) for hidden in (False, True)}

    def margin(hidden):
        lost = 1 - challenges.accuracy.__wrapped__(model, hidden) / whole[hidden]
        return lost - 1.1 * (bar if hidden else bar + challenges.SLACK)

    while max(margin(False), margin(True)) < 0:
        with torch.no_grad():
            for p, n in zip(weights, noise, strict=True):
                p += 0.05 * n
    return model


def less_sparse(model, share):
    """The model with so small numbers in place of some zeros that just this share of zeros is left."""
    with torch.no_grad():
        for p in prunable_weights(model).values():
            zeros = (p.flatten() == 0).nonzero().flatten()
            p.view(-1)[zeros[round(share * p.numel()) :]] = 1e-12
    return model


def broken(model):
    """The model with one weight that is no number."""
    with torch.no_grad():
        model.h[1].mlp.c_fc.weight[3, 4] = float("nan")
    return model


def emptied(model):
    """The model with nothing but zeros in it."""
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
    return model


def other_vocabulary():
    return GPT2(GPT2Config(vocab_size=1024, n_positions=256, n_embd=192, n_layer=4, n_head=4)).init_weights()


def more_parameters():
    config = GPT2Config(vocab_size=2048, n_positions=256, n_embd=192, n_layer=4, n_head=4, neurons=(1024,) * 4)
    return GPT2(config).init_weights()


def log_of(model, sparsities=(0.2, 0.35, 0.47, 0.55, 0.59, 0.6, 0.6), steps=None, end=None, **last):
    """A CSV log with these sparsities, ending as the model is; ``last``: other entries of its last row."""
    found = challenges.accuracy(model) if end is None else end
    steps = steps or range(1, 20 * len(sparsities), 20)
    rows = [dict(step=s, sparsity=g, loss=2.8, accuracy=0.3) for s, g in zip(steps, sparsities)]
    rows[-1] |= {"accuracy": found} | last
    table = io.StringIO()
    writer = csv.DictWriter(table, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    return table.getvalue().encode()


def without_tokenizer(model):
    model.tokenizer = None
    return model


def pruned_more(model, share):
    """The model with the smallest weights pruned to this sparsity."""
    return apply_magnitude_pruning(model, share)


def negative_zeros(model):
    with torch.no_grad():
        for p in prunable_weights(model).values():
            p[p == 0] = -0.0
    return model


def graph_of(change):
    """The reference's ONNX file after ``change(proto)``."""
    proto = onnx.load("mobile.onnx")
    change(proto)
    return proto.SerializeToString()
'''

READ_SPARSE = """
def sparse_model():
    return DATA
"""
READ_MOBILE = """
def mobile_model():
    return DATA
"""
READ_EDGE = """
def edge_model():
    return DATA
"""
SPARSE = {"sparse_half", "sparse_most", "sparse_bar"}
MOBILE = {"mobile_smaller", "mobile_faster", "mobile_bar"}
TRACKED = {"tracked_log", "tracked_model", "tracked_schedule", "tracked_bar"}
EDGE = {"edge_int8", "edge_small", "edge_bar"}
BOMB = """
import hashlib, zstandard
frame = zstandard.ZstdCompressor(level=3).compress(bytes(200_000_000))
DATA = b"GPT2PACK" + (1).to_bytes(4, "little") + hashlib.sha256(frame).digest() + frame
"""


def _sparse(code: str) -> str:
    return f"DATA = {code}\n{READ_SPARSE}"


def _mobile(code: str) -> str:
    return f"DATA = {code}\n{READ_MOBILE}"


def _edge(code: str) -> str:
    return f"DATA = {code}\n{READ_EDGE}"


def _tracked(log: str, model: str = 'Path("sparse.gpt2pack").read_bytes()') -> str:
    return f"LOG = {log}\nMODEL = {model}\n\ndef tracked_run():\n    return LOG, MODEL\n"


# exercise -> name -> (the checks that must fail, all others must pass; the answer)
WRONG: dict[str, dict[str, tuple[set[str], str]]] = {
    "sparse_model": {
        "nothing is pruned": (SPARSE, _sparse("bytes_of(load_pretrained_gpt2(), save_packed)")),
        "half is gone": (SPARSE - {"sparse_half"}, _sparse("bytes_of(less_sparse(sparse(), 0.5), save_packed)")),
        "59 % is gone": (SPARSE - {"sparse_half"}, _sparse("bytes_of(less_sparse(sparse(), 0.59), save_packed)")),
        "in one shot, no training": (
            SPARSE,
            _sparse("bytes_of(apply_magnitude_pruning(load_pretrained_gpt2(), 0.6), save_packed)"),
        ),
        "more is lost than may be": ({"sparse_bar"}, _sparse("bytes_of(worse(sparse(), 0.02), save_packed)")),
        "the embeddings are pruned": (
            SPARSE,
            """
model = load_pretrained_gpt2()
with torch.no_grad():
    for p in (model.wte.weight, model.wpe.weight):
        p[p.abs() < p.abs().flatten().kthvalue(round(0.6 * p.numel())).values] = 0
DATA = bytes_of(model, save_packed)
"""
            + READ_SPARSE,
        ),
        "the file is cut short": (SPARSE, _sparse('Path("sparse.gpt2pack").read_bytes()[:-1000]')),
        "the file is empty": (SPARSE, _sparse('b""')),
        "one byte is wrong": (
            SPARSE,
            _sparse('bytearray(Path("sparse.gpt2pack").read_bytes())') + "\nDATA[1000] ^= 1\nDATA = bytes(DATA)",
        ),
        "a weight is no number": (SPARSE, _sparse("bytes_of(broken(sparse()), save_packed)")),
        "another vocabulary": (SPARSE, _sparse("bytes_of(other_vocabulary(), save_packed)")),
        "more parameters": (SPARSE, _sparse("bytes_of(more_parameters(), save_packed)")),
        "a file of 13 MB": (SPARSE, _sparse('b"GPT2PACK" + bytes(13_000_000)')),
        "a small file that unpacks to 200 MB": (SPARSE, BOMB + READ_SPARSE),
        "text instead of bytes": (SPARSE, _sparse('"sparse.gpt2pack"')),
        "nothing comes back": (SPARSE, "def sparse_model():\n    Path('sparse.gpt2pack').read_bytes()"),
        "the file was not handed in": (SPARSE, "def sparse_model():\n    return Path('mine.gpt2pack').read_bytes()"),
        "a notebook's text": (SPARSE, _sparse("json.dumps({'cells': []}).encode()")),
    },
    "mobile_model": {
        "dense": (MOBILE, _mobile("bytes_of(load_pretrained_gpt2(), export_onnx)")),
        "dense in int8": (MOBILE, _mobile("bytes_of(load_pretrained_gpt2(), export_onnx, int8=True)")),
        "zeros instead of smaller matrices": (MOBILE, _mobile("bytes_of(sparse(), export_onnx)")),
        "no training after the cut": (
            MOBILE,
            _mobile("bytes_of(ModelPruner(load_pretrained_gpt2()).remove_structures(0.5, 0.75), export_onnx)"),
        ),
        "a few neurons": (
            MOBILE,
            _mobile(
                "bytes_of(ModelPruner(load_pretrained_gpt2()).remove_structures(0, 0.05, challenges.pages()), "
                "export_onnx)"
            ),
        ),
        "smaller, and hardly faster": (
            {"mobile_faster", "mobile_bar"},
            """
model = mobile()
config = replace(model.config, neurons=tuple(576 for _ in model.config.neurons))
padded = GPT2(config).eval()
with torch.no_grad():
    for name, p in padded.named_parameters():
        old = model.get_parameter(name)
        p.zero_()
        p[tuple(slice(size) for size in old.shape)] = old
padded.tokenizer = model.tokenizer
DATA = bytes_of(padded, export_onnx)
"""
            + READ_MOBILE,
        ),
        "more is lost than may be": ({"mobile_bar"}, _mobile("bytes_of(worse(mobile(), 0.05), export_onnx)")),
        "the file is cut short": (MOBILE, _mobile('Path("mobile.onnx").read_bytes()[:-1000]')),
        "the weights lie in another file": (
            MOBILE,
            _mobile("graph_of(lambda proto: external_data(proto.graph.initializer[0], '/etc/hostname'))"),
        ),
        "the numbers of a weight are cut short": (
            MOBILE,
            "def cut(proto):\n    largest = max(proto.graph.initializer, key=lambda tensor: len(tensor.raw_data))\n"
            "    largest.raw_data = largest.raw_data[:-400]\n\n" + _mobile("graph_of(cut)"),
        ),
        "operators of another domain": (
            MOBILE,
            _mobile("graph_of(lambda proto: setattr(proto.graph.node[20], 'domain', 'com.microsoft'))"),
        ),
        "another graph": (
            MOBILE,
            _mobile("graph_of(lambda p: p.graph.node.append(onnx.helper.make_node('Identity', ['logits'], ['more'])))"),
        ),
        "sizes that it has not": (
            MOBILE,
            "SIZES = dict(vocab_size=2048, n_positions=256, n_embd=192, n_layer=4, n_head=4, heads=[1] * 4, "
            "neurons=[8] * 4, dropout=0.0)\n"
            + _mobile("graph_of(lambda p: onnx.helper.set_model_props(p, {'gpt2_lib.config': json.dumps(SIZES)}))"),
        ),
        "a weight is no number": (
            MOBILE,  # in the file alone: the export refuses such a model
            "def no_number(proto):\n"
            "    largest = max(proto.graph.initializer, key=lambda tensor: len(tensor.raw_data))\n"
            "    largest.raw_data = bytes.fromhex('0000c07f') + largest.raw_data[4:]\n\n"
            + _mobile("graph_of(no_number)"),
        ),
        "another vocabulary": (MOBILE, _mobile("bytes_of(other_vocabulary(), export_onnx)")),
        "a packed file": (MOBILE, _mobile('Path("sparse.gpt2pack").read_bytes()')),
        "a file of 13 MB": (MOBILE, _mobile("bytes(13_000_000)")),
        "text instead of bytes": (MOBILE, _mobile('"mobile.onnx"')),
        "nothing comes back": (MOBILE, "def mobile_model():\n    Path('mobile.onnx').read_bytes()"),
        "the file was not handed in": (MOBILE, "def mobile_model():\n    return Path('mine.onnx').read_bytes()"),
    },
    "tracked_run": {
        "the log of another run": (TRACKED - {"tracked_log"}, _tracked("log_of(None, end=0.31)")),
        "no cuts: all at once": (
            {"tracked_schedule", "tracked_bar"},
            _tracked("log_of(sparse(), (0.6,) * 7)"),
        ),
        "three cuts": (
            {"tracked_schedule", "tracked_bar"},
            _tracked("log_of(sparse(), (0.2, 0.4, 0.6, 0.6, 0.6, 0.6))"),
        ),
        "one cut takes most": (
            {"tracked_schedule", "tracked_bar"},
            _tracked("log_of(sparse(), (0.4, 0.45, 0.5, 0.55, 0.6, 0.6))"),
        ),
        "the sparsity falls": (
            {"tracked_schedule", "tracked_bar"},
            _tracked("log_of(sparse(), (0.2, 0.4, 0.3, 0.45, 0.5, 0.55, 0.6, 0.6))"),
        ),
        "the last cut is the end": (
            {"tracked_schedule", "tracked_bar"},
            _tracked("log_of(sparse(), (0.2, 0.35, 0.45, 0.55, 0.6))"),
        ),
        "the model is not pruned": (
            TRACKED - {"tracked_log"},
            _tracked("log_of(load_pretrained_gpt2())", "bytes_of(load_pretrained_gpt2(), save_packed)"),
        ),
        "neither is pruned, and both say so": (
            TRACKED - {"tracked_log"},
            _tracked("log_of(load_pretrained_gpt2(), (0.0,) * 7)", "bytes_of(load_pretrained_gpt2(), save_packed)"),
        ),
        "half is gone": (
            {"tracked_bar"},
            _tracked(
                "log_of(sparse(), (0.2, 0.3, 0.4, 0.45, 0.5, 0.5))", "bytes_of(less_sparse(sparse(), 0.5), save_packed)"
            ),
        ),
        "more is lost than may be": (
            {"tracked_bar"},
            "MADE = worse(sparse(), 0.02)\n" + _tracked("log_of(MADE)", "bytes_of(MADE, save_packed)"),
        ),
        "the steps go back": (TRACKED - {"tracked_model"}, _tracked("log_of(sparse(), steps=(1, 2, 3, 2, 5, 6, 7))")),
        "two rows": (TRACKED - {"tracked_model"}, _tracked("log_of(sparse(), (0.2, 0.6))")),
        "a loss is no number": (TRACKED, _tracked("log_of(sparse(), loss='nan')")),
        "an accuracy in percent": (TRACKED, _tracked("log_of(sparse(), accuracy=35.0)")),
        "a column is missing": (TRACKED, _tracked("log_of(sparse()).replace(b'accuracy', b'quality')")),
        "an empty log": (TRACKED, _tracked("b''")),
        "a log of bytes at random": (TRACKED, _tracked("bytes(range(256)) * 20")),
        "a log that nests too deeply": (TRACKED, _tracked("b'[' * 900_000")),
        "the log as text": (TRACKED, _tracked("log_of(sparse()).decode()")),
        "the model is cut short": (TRACKED, _tracked("log_of(sparse())", "Path('sparse.gpt2pack').read_bytes()[:-9]")),
        "the log alone": (TRACKED, "def tracked_run():\n    return Path('run.csv').read_bytes()"),
        "nothing comes back": (TRACKED, "def tracked_run():\n    Path('run.csv').read_bytes()"),
        "the files were not handed in": (TRACKED, "def tracked_run():\n    return Path('my.csv').read_bytes(), b''"),
    },
    "edge_model": {
        "pruned, in float32": (EDGE, _edge('Path("sparse.gpt2pack").read_bytes()')),
        "int8, not pruned": (EDGE, _edge("bytes_of(load_pretrained_gpt2(), save_packed, int8=True)")),
        "int4 instead of pruning": (EDGE, _edge("bytes_of(load_pretrained_gpt2(), save_packed, int4=True)")),
        "coarser steps instead of pruning": (
            EDGE,
            """
model, tokenizer = load_pretrained_gpt2()
with torch.no_grad():
    for p in model.parameters():
        if p.dim() == 2:
            step = p.abs().amax(1, keepdim=True).clamp_min(1e-12) / 127
            p.copy_(((p / step / 3).round() * 3).where(p.abs() < 125 * step, 127 * p.sign()) * step)
DATA = bytes_of(model, save_packed, int8=True)
"""
            + READ_EDGE,
        ),
        "a fifth pruned": (
            EDGE,
            _edge("bytes_of(apply_magnitude_pruning(load_pretrained_gpt2(), 0.2), save_packed, int8=True)"),
        ),
        "pruned too little": (
            EDGE - {"edge_int8"},
            """
model, tokenizer = load_pretrained_gpt2()
ModelPruner(model).prune_sparsegpt(corpus.calibration_windows(tokenizer, 256, 16), 0.3)
DATA = bytes_of(model, save_packed, int8=True)
"""
            + READ_EDGE,
        ),
        "in one shot, no training": (
            EDGE,
            _edge("bytes_of(apply_magnitude_pruning(load_pretrained_gpt2(), 0.6), save_packed, int8=True)"),
        ),
        "more is lost than may be": ({"edge_bar"}, _edge("bytes_of(worse(sparse(), 0.02), save_packed, int8=True)")),
        "float16 is not int8": (
            EDGE,
            _edge("bytes_of(load_pretrained_gpt2().half().float(), save_packed)"),
        ),
        "only the blocks are int8": (
            EDGE,
            """
from gpt2_lib.storage.quantize import dequantize_int8, quantize_int8

model = sparse()
with torch.no_grad():
    for p in prunable_weights(model).values():
        p.copy_(dequantize_int8(*quantize_int8(p)))
DATA = bytes_of(model, save_packed)
"""
            + READ_EDGE,
        ),
        "the file is cut short": (EDGE, _edge('Path("edge.gpt2pack").read_bytes()[:-1]')),
        "another vocabulary": (EDGE, _edge("bytes_of(other_vocabulary(), save_packed, int8=True)")),
        "more parameters": (EDGE, _edge("bytes_of(more_parameters(), save_packed, int8=True)")),
        "a file of 13 MB": (EDGE, _edge('b"GPT2PACK" + bytes(13_000_000)')),
        "an ONNX file": (EDGE, _edge("bytes_of(sparse(), export_onnx, int8=True)")),
        "text instead of bytes": (EDGE, _edge('"edge.gpt2pack"')),
        "nothing comes back": (EDGE, "def edge_model():\n    Path('edge.gpt2pack').read_bytes()"),
        "the file was not handed in": (EDGE, "def edge_model():\n    return Path('mine.gpt2pack').read_bytes()"),
    },
}

RIGHT: dict[str, dict[str, str]] = {
    "sparse_model": {
        "int8, too": _sparse("bytes_of(sparse(), save_packed, int8=True)"),
        "without a tokenizer": _sparse("bytes_of(without_tokenizer(sparse()), save_packed)"),
        "more than asked for": _sparse("bytes_of(pruned_more(sparse(), 0.602), save_packed)"),
        "negative zeros": _sparse("bytes_of(negative_zeros(sparse()), save_packed)"),
        "read with open": "def sparse_model():\n    with open('sparse.gpt2pack', 'rb') as f:\n        return f.read()",
    },
    "mobile_model": {
        "int8": _mobile("bytes_of(mobile(), export_onnx, int8=True)"),
        "without a tokenizer": _mobile("bytes_of(without_tokenizer(mobile()), export_onnx)"),
        "uneven blocks": _mobile(
            "bytes_of(surgery.shrink(mobile(), neurons={3: torch.arange(mobile().config.neurons[3] - 1)}), export_onnx)"
        ),
        "written twice": _mobile("bytes_of(mobile(), export_onnx)"),
        "read with open": "def mobile_model():\n    with open('mobile.onnx', 'rb') as f:\n        return f.read()",
    },
    "tracked_run": {
        "a JSON list": _tracked(
            "json.dumps([row for row in csv.DictReader(io.StringIO(log_of(sparse()).decode()))]).encode()"
        ),
        "a row before the first cut, and many cuts": _tracked(
            "log_of(sparse(), [0.0, *(n / 50 for n in range(31)), 0.6, 0.6])"
        ),
        "one more column": _tracked(
            "log_of(sparse()).replace(b'step,', b'seconds,step,').replace(b'\\n', b'\\n9,').removesuffix(b'9,')"
        ),
        "a byte-order mark before it": _tracked("b'\\xef\\xbb\\xbf' + log_of(sparse())"),
        "an int8 model": _tracked("log_of(load_packed('edge.gpt2pack'))", "Path('edge.gpt2pack').read_bytes()"),
        "a list, not a tuple": _tracked("log_of(sparse())").replace("return LOG, MODEL", "return [LOG, MODEL]"),
    },
    "edge_model": {
        "without a tokenizer": _edge("bytes_of(without_tokenizer(sparse()), save_packed, int8=True)"),
        "more than asked for": _edge("bytes_of(pruned_more(sparse(), 0.602), save_packed, int8=True)"),
        "rounded twice": _edge("bytes_of(load_packed('edge.gpt2pack'), save_packed, int8=True)"),
        "read with open": "def edge_model():\n    with open('edge.gpt2pack', 'rb') as f:\n        return f.read()",
    },
}
