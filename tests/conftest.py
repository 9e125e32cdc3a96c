"""What all tests share."""

import torch

torch.set_num_threads(1)  # more only slow tiny models down
