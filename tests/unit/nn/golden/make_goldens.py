#!/usr/bin/env python3
"""Writes what PyTorch computes, for network_golden_test.cc: {architecture}.state and *.json here.

Usage: /usr/bin/python3 make_goldens.py          (Debian: python3-torch)

{architecture}.state lists the state dict: one "name shape..." a line. Each JSON file is one run of
SGD steps on one batch, in float64, from weights and images that formulas give (noise() below, the
same in the test). It holds the losses before each step, loss and right answers of the evaluation
after the last, and of every tensor of the state after the last step: values at SAMPLES places, and
the movement, the Euclidean length of (after - before). `float32` says how far PyTorch's own float32
goes from that, measured as the test measures: the scale for the test's bounds.
"""

import json
import os

import numpy as np
import torch
from torch.nn import functional as F

from torch_networks import make

SAMPLES = 8
STEPS = 10
FOLDER = os.path.dirname(os.path.abspath(__file__))

# Architecture, classes, rows, learning rate, momentum, weight decay. The deep networks' first steps
# are chaotic at the rates that train them: float32 and float64 part within a few steps. Their rates
# here are as large as PyTorch's float32 can follow its float64.
RUNS = [
    ("mobilenet", 10, 16, 5e-6, 0.9, 5e-4),
    ("mobilenet", 3, 5, 1e-6, 0.0, 0.0),
    ("resnet18", 10, 8, 0.002, 0.9, 5e-4),
    ("resnet18", 100, 1, 2e-5, 0.9, 5e-4),
    ("resnet50", 10, 5, 5e-7, 0.9, 5e-4),
]


def noise(stream, count):
    """count float32 in [-1, 1): a well-mixed hash (Wellons, lowbias32) of place and stream."""
    x = np.arange(count, dtype=np.uint32) + np.uint32((stream * 0x9E3779B9) & 0xFFFFFFFF)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    return (x >> np.uint32(8)).astype(np.float32) / np.float32(1 << 23) - np.float32(1)


def set_weights(model):
    """Convolutions and linear: uniform in ±1/√fan_in; batch norms near 1 and 0."""
    tensors = dict(model.named_parameters())
    for stream, (name, tensor) in enumerate(tensors.items()):
        values = noise(stream, tensor.numel())
        if tensor.dim() > 1 or name == "linear.bias":
            weight = tensor if tensor.dim() > 1 else tensors["linear.weight"]
            bound = np.float32(1 / np.sqrt(np.float64(weight[0].numel())))
            values = values * bound
        else:
            values = values / np.float32(8) + np.float32(1 if name.endswith("weight") else 0)
        tensor.data = torch.tensor(values).reshape(tensor.shape).to(tensor.dtype)


def make_batch(rows, n_classes):
    """Each class has its own picture; half of every image is noise."""
    labels = [(7 * r + 3) % n_classes for r in range(rows)]
    images = [(noise(1000 + label, 3072) + noise(5000 + r, 3072)) for r, label in enumerate(labels)]
    return np.stack(images).reshape(rows, 3, 32, 32), labels


def state_of(model):
    return {name: tensor.detach().numpy().astype(np.float64).ravel()
            for name, tensor in model.state_dict().items() if "num_batches" not in name}


def run(dtype, architecture, n_classes, rows, rate, momentum, decay):
    model = make(architecture, n_classes).to(dtype)
    set_weights(model)
    before = {name: values.copy() for name, values in state_of(model).items()}
    images, labels = make_batch(rows, n_classes)
    images, labels = torch.tensor(images).to(dtype), torch.tensor(labels)
    optimizer = torch.optim.SGD(model.parameters(), rate, momentum=momentum, weight_decay=decay)
    model.train()
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    logits = model(images)
    return {
        "losses": losses,
        "evaluation_loss": F.cross_entropy(logits, labels).item(),
        "correct": int((logits.argmax(1) == labels).sum()),
        "state": state_of(model),
        "before": before,
    }


def sample(values):
    return values[(np.arange(SAMPLES) * len(values)) // SAMPLES]


def deviations(got, want):
    """The test's measures: largest loss error; sampled error over the movement, per kind."""
    errors = {"parameters": 0.0, "statistics": 0.0}
    squares = dict(errors)
    for name, values in want["state"].items():
        kind = "statistics" if "running" in name else "parameters"
        errors[kind] += np.sum((sample(got["state"][name]) - sample(values)) ** 2)
        squares[kind] += np.sum((sample(values) - sample(want["before"][name])) ** 2)
    return {
        "loss": max(abs(a - b) for a, b in zip(got["losses"], want["losses"])),
        "evaluation_loss": abs(got["evaluation_loss"] - want["evaluation_loss"]),
        **{kind: float(np.sqrt(errors[kind] / squares[kind])) for kind in errors},
    }


def rounded(value, digits=9):
    return float(f"{value:.{digits}g}")


def main():
    torch.set_num_threads(1)
    for architecture in ("mobilenet", "resnet18", "resnet50"):
        with open(f"{FOLDER}/{architecture}.state", "w", encoding="ascii") as out:
            for name, tensor in make(architecture).state_dict().items():
                print(name, *tensor.shape, file=out)
    for architecture, n_classes, rows, rate, momentum, decay in RUNS:
        arguments = (architecture, n_classes, rows, rate, momentum, decay)
        want = run(torch.float64, *arguments)
        of_float32 = deviations(run(torch.float32, *arguments), want)
        print(arguments, [round(loss, 4) for loss in want["losses"]], of_float32)
        golden = {
            "architecture": architecture, "n_classes": n_classes, "rows": rows,
            "learning_rate": rate, "momentum": momentum, "weight_decay": decay,
            "losses": [rounded(loss) for loss in want["losses"]],
            "evaluation_loss": rounded(want["evaluation_loss"]),
            "correct": want["correct"],
            "float32": {key: rounded(value, 3) for key, value in of_float32.items()},
            "state": {name: [rounded(value) for value in sample(values)]
                      for name, values in want["state"].items()},
        }
        with open(f"{FOLDER}/{architecture}_{n_classes}_{rows}.json", "w", encoding="ascii") as out:
            text = json.dumps(golden)
            out.write(text.replace('"state": {', '"state": {\n').replace("], ", "],\n") + "\n")


if __name__ == "__main__":
    main()
