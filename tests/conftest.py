"""Tests run on one thread: on a busy machine PyTorch's threads spin, and 3 s become 339 s."""

import torch

torch.set_num_threads(1)
