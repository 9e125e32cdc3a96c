"""What all tests share."""

import torch
from hypothesis import settings

torch.set_num_threads(1)  # more only slow tiny models down
settings.register_profile("busy", deadline=None)  # a busy machine is no fault of an example
settings.load_profile("busy")
