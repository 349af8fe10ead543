r"""The product a language model spends its time on, by the faster of two libraries.

On x86 torch sends matrix products to Intel's MKL and convolutions to oneDNN. A convolution with a kernel of one is a
matrix product: every position is multiplied by the same matrix. On AMD processors oneDNN does it a tenth faster or
more, and on Intel's about as fast, so a large product is asked for that way. Left out: all other reasons to choose.

Shapes: B sequences, T positions, D width, O outputs.
"""

import torch
import torch.nn.functional as F

SIDE = 16  # positions go in as pictures of 16 x 16; smaller and larger ones were slower
ENOUGH = 2048  # positions below which the detour does not pay


def product(x, weight):
    r"""$xW^\top$.  (B, T, D) and (O, D) -> (B, T, O)"""
    positions = x.numel() // x.shape[-1]
    worth_it = positions >= ENOUGH and positions % SIDE**2 == 0 and x.dtype == torch.float32
    if not worth_it or x.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return F.linear(x, weight)
    pictures = x.reshape(-1, SIDE, SIDE, x.shape[-1]).permute(0, 3, 1, 2)  # (B T / 256, D, 16, 16)
    y = F.conv2d(pictures, weight[:, :, None, None])  # (B T / 256, O, 16, 16)
    return y.permute(0, 2, 3, 1).reshape(*x.shape[:-1], len(weight))
