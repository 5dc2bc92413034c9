#!/usr/bin/env python3
"""The loss curve of PyTorch on the schedule of a run of ours, to lay beside its log.

Usage: loss_curve.py NETWORKS TRAIN.bin TEST.bin [--model mobilenet] [--workers 2] [--n_epochs 12]
                     [--batch_size 64] [--lr 0.05] [--lambda 5e-4] [--augment] [--log RUN.jsonl]

NETWORKS is the folder of torch_networks.py (tests/unit/nn/golden). Trains as `lambdaml train
--optim grad_avg --lr_schedule cosine` does: each step is the mean gradient over the workers'
batches, each with its own batch norm. Rows come in another random order, so curves agree as two
seeds do, not bit for bit. Prints a line per epoch, ours beside it if a log is given.
"""

import argparse
import json
import math
import sys

import numpy as np
import torch
from torch.nn import functional as F


def read(path):
    records = np.fromfile(path, np.uint8).reshape(-1, 3073)
    return (torch.from_numpy(records[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32) / 255),
            torch.from_numpy(records[:, 0].astype(np.int64)))


def vary(images, generator):
    """Padded by 4 zeros, cropped at a random place, mirrored half of the time."""
    padded = F.pad(images, (4, 4, 4, 4))
    out = torch.empty_like(images)
    places = torch.randint(0, 9, (len(images), 2), generator=generator)
    mirrored = torch.randint(0, 2, (len(images),), generator=generator)
    for i, (y, x) in enumerate(places.tolist()):
        image = padded[i, :, y:y + 32, x:x + 32]
        out[i] = image.flip(2) if mirrored[i] else image
    return out


def evaluate(network, images, labels):
    network.eval()
    loss = correct = 0.0
    with torch.no_grad():
        for begin in range(0, len(images), 256):
            logits = network(images[begin:begin + 256])
            of_batch = labels[begin:begin + 256]
            loss += F.cross_entropy(logits, of_batch, reduction="sum").item()
            correct += (logits.argmax(1) == of_batch).sum().item()
    network.train()
    return loss / len(images), correct / len(images)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("networks")
    parser.add_argument("train")
    parser.add_argument("test")
    parser.add_argument("--model", default="mobilenet")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--n_epochs", type=int, default=12)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--lambda", dest="decay", type=float, default=5e-4)
    parser.add_argument("--augment", action="store_true")
    parser.add_argument("--log")
    options = parser.parse_args()
    sys.path.insert(0, options.networks)
    from torch_networks import make

    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    images, labels = read(options.train)
    test_images, test_labels = read(options.test)
    mean = images.mean((0, 2, 3), keepdim=True)
    deviation = images.std((0, 2, 3), unbiased=False, keepdim=True)
    images, test_images = (images - mean) / deviation, (test_images - mean) / deviation
    ours = []
    if options.log:
        with open(options.log, encoding="utf-8") as file:
            ours = [record for record in map(json.loads, file) if record["event"] == "epoch"]

    network = make(options.model)
    optimizer = torch.optim.SGD(network.parameters(), options.lr, momentum=0.9,
                                weight_decay=options.decay)
    rows = options.workers * options.batch_size
    steps = math.ceil(len(images) / rows)
    print("epoch  loss accuracy  test: loss accuracy" + ("   ours" if ours else ""))
    for epoch in range(options.n_epochs):
        order = torch.randperm(len(images), generator=generator)
        loss_sum = correct = 0.0
        for step in range(steps):
            progress = (epoch * steps + step) / (options.n_epochs * steps)
            for group in optimizer.param_groups:
                group["lr"] = options.lr * (1 + math.cos(math.pi * progress)) / 2
            places = order[step * rows:(step + 1) * rows]
            optimizer.zero_grad()
            for part in places.chunk(options.workers):
                x = vary(images[part], generator) if options.augment else images[part]
                logits = network(x)
                loss = F.cross_entropy(logits, labels[part], reduction="sum")
                (loss / len(places)).backward()
                loss_sum += loss.item()
                correct += (logits.argmax(1) == labels[part]).sum().item()
            optimizer.step()
        test_loss, test_accuracy = evaluate(network, test_images, test_labels)
        line = (f"{epoch + 1:5} {loss_sum / len(images):.3f} {correct / len(images):8.3f}"
                f" {test_loss:11.3f} {test_accuracy:8.3f}")
        if epoch < len(ours):
            extra = ours[epoch]["extra"]
            line += (f"   {ours[epoch]['loss']:.3f} {ours[epoch]['accuracy']:.3f}"
                     f" {extra['test_loss']:.3f} {extra['test_accuracy']:.3f}")
        print(line, flush=True)


main()
