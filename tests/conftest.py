import signal

import torch
from hypothesis import settings

torch.set_num_threads(1)  # bit-identical from run to run, and kind to shared cores

# No deadline: the first call pays for imports. Derandomised: the same examples on every machine.
settings.register_profile("course", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("course")

# A shell starts background jobs with Ctrl-C ignored, and children inherit that; tests of interrupts need it.
signal.signal(signal.SIGINT, signal.default_int_handler)
