"""A network of ours in PyTorch: what it predicts, and a file written by other code than ours.

Usage: torch_check.py NETWORKS MODEL IMAGES PREDICTIONS COPY

NETWORKS is the folder of torch_networks.py. Reads MODEL (safetensors) with a parser of its own,
loads it with strict=True, predicts IMAGES (CIFAR records), and compares with PREDICTIONS (of
`lambdaml predict --probabilities`). Writes the state dict to COPY, its tensors in another order.
Ends with an assertion if anything differs.
"""

import json
import struct
import sys

import numpy as np
import torch

sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
from torch_networks import make  # noqa: E402: found by its path

TYPES = {"F32": np.float32, "I64": np.int64}


def read(path):
    with open(path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        data = file.read()
    metadata = header.pop("__metadata__")
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        values = np.frombuffer(data[begin:end], TYPES[entry["dtype"]]).copy()
        tensors[name] = torch.from_numpy(values.reshape(entry["shape"]))
    assert sum(t.numel() * t.element_size() for t in tensors.values()) == len(data)
    return metadata, tensors


def write(path, metadata, tensors):
    header, data = {"__metadata__": metadata}, b""
    for name in sorted(tensors, reverse=True):
        values = tensors[name].numpy()
        begin = len(data)
        data += values.tobytes()
        header[name] = {"dtype": "I64" if values.dtype == np.int64 else "F32",
                        "shape": list(values.shape), "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def main():
    _, model_path, images_path, predictions_path, copy_path = sys.argv[1:]
    metadata, tensors = read(model_path)
    assert metadata["format"] == "pt"
    network = make(metadata["lambdaml.architecture"], len(tensors["linear.bias"]))
    network.load_state_dict(tensors, strict=True)
    network.eval()

    records = np.fromfile(images_path, np.uint8).reshape(-1, 3073)
    pixels = records[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32) / 255
    mean, deviation = (np.array(metadata[key].split(), np.float32).reshape(1, 3, 1, 1)
                       for key in ("lambdaml.mean", "lambdaml.deviation"))
    with torch.no_grad():
        logits = network(torch.from_numpy((pixels - mean) / deviation))
    probabilities = torch.softmax(logits, 1).numpy()

    with open(predictions_path, encoding="ascii") as file:
        lines = file.read().splitlines()
    assert lines[0].split() == ["labels"] + [str(k) for k in range(probabilities.shape[1])]
    ours = np.array([line.split() for line in lines[1:]], np.float64)
    assert ours.shape == (len(records), 1 + probabilities.shape[1])
    difference = np.abs(ours[:, 1:] - probabilities).max()
    assert difference < 2e-4, difference
    top = np.sort(probabilities, 1)
    clear = top[:, -1] - top[:, -2] > 1e-3
    assert (ours[clear, 0] == probabilities.argmax(1)[clear]).all()

    write(copy_path, metadata, network.state_dict())
    print(len(records), "images, largest difference", difference)


main()
