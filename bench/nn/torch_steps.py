"""PyTorch's side of network_bench: training steps on demand.

Usage: torch_steps.py NETWORKS_FOLDER FOLDER ARCHITECTURE BATCH_SIZE THREADS

Reads parameters.f32, images.f32 and labels.i32 of FOLDER, prints the loss of the first step and
the seconds that `import torch` took, then for every byte that comes through the pipe FOLDER/turn
makes a step (forward, backward, SGD with momentum) and prints its seconds.
"""

import os
import sys
import time

start = time.perf_counter()
import numpy as np
import torch
from torch.nn import functional as F

import_s = time.perf_counter() - start
networks_folder, folder, architecture, batch_size, threads = sys.argv[1:]
sys.path.insert(0, networks_folder)
sys.dont_write_bytecode = True
from torch_networks import make

torch.set_num_threads(int(threads))
model = make(architecture)
parameters = np.fromfile(os.path.join(folder, "parameters.f32"), np.float32)
offset = 0
for tensor in model.parameters():
    tensor.data = torch.tensor(parameters[offset:offset + tensor.numel()]).reshape(tensor.shape)
    offset += tensor.numel()
images = np.fromfile(os.path.join(folder, "images.f32"), np.float32)
images = torch.tensor(images.reshape(int(batch_size), 3, 32, 32))
labels = torch.tensor(np.fromfile(os.path.join(folder, "labels.i32"), np.int32).astype(np.int64))
optimizer = torch.optim.SGD(model.parameters(), 0.001, momentum=0.9, weight_decay=5e-4)
model.train()


def step():
    optimizer.zero_grad()
    loss = F.cross_entropy(model(images), labels)
    loss.backward()
    optimizer.step()
    return loss.item()


print(step(), import_s, flush=True)
with open(os.path.join(folder, "turn"), "rb", buffering=0) as turn:
    while turn.read(1):
        start = time.perf_counter()
        step()
        print(time.perf_counter() - start, flush=True)
