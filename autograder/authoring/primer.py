"""The folded primer that several notebooks show, written once."""

PRIMER = """<details><summary>PyTorch in six lines</summary>

```python
w = torch.tensor([[0.9, -0.1], [0.4, -1.2]])   # a tensor: w.shape is (2, 2), w.numel() is 4, w.dtype float32
w.abs() > 0.3                                  # elementwise: a bool tensor of the same shape, a mask
w[w < 0] = 0.0                                 # writes into w where the mask is True
for name, p in model.named_parameters(): ...   # a model is a list of named parameters, tensors that training changes
with torch.no_grad(): p[0, 0] = 0.0            # writing into a parameter: outside of training, so say so
loss.backward(); optimizer.step()              # gradients of the loss, then a step against them
```
</details>"""
