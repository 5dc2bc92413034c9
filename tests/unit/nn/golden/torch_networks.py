"""The networks of lambdaml/nn in PyTorch: the reference of the tests and the peer of the bench."""

import torch
from torch import nn
from torch.nn import functional as F

BLOCKS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1),
          (512, 1), (512, 1), (1024, 2), (1024, 1)]


def conv(inputs, outputs, kernel, stride=1, groups=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


class Separable(nn.Module):
    """A depthwise and a pointwise convolution."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = conv(inputs, inputs, 3, stride, inputs)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv2 = conv(inputs, outputs, 1)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, x):
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class MobileNet(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.conv1 = conv(3, 32, 3)
        self.bn1 = nn.BatchNorm2d(32)
        inputs = [32] + [outputs for outputs, _ in BLOCKS]
        self.layers = nn.Sequential(
            *(Separable(n, outputs, stride) for n, (outputs, stride) in zip(inputs, BLOCKS)))
        self.linear = nn.Linear(1024, n_classes)

    def forward(self, x):
        x = self.layers(F.relu(self.bn1(self.conv1(x))))
        return self.linear(x.mean((2, 3)))


class Residual(nn.Module):
    """Two 3x3 convolutions (`widths` of two), or a bottleneck of 1x1, 3x3, 1x1 (of three)."""

    def __init__(self, inputs, widths, stride):
        super().__init__()
        self.depth = len(widths)
        kernels, strides = ([3, 3], [stride, 1]) if self.depth == 2 else ([1, 3, 1], [1, stride, 1])
        channels = [inputs] + widths
        for i in range(self.depth):
            setattr(self, f"conv{i + 1}", conv(channels[i], channels[i + 1], kernels[i], strides[i]))
            setattr(self, f"bn{i + 1}", nn.BatchNorm2d(channels[i + 1]))
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != widths[-1]:
            self.shortcut = nn.Sequential(conv(inputs, widths[-1], 1, stride),
                                          nn.BatchNorm2d(widths[-1]))

    def forward(self, x):
        y = x
        for i in range(1, self.depth + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            if i < self.depth:
                y = F.relu(y)
        return F.relu(y + self.shortcut(x))


class ResNet(nn.Module):
    def __init__(self, counts, is_bottleneck, n_classes):
        super().__init__()
        self.conv1 = conv(3, 64, 3)
        self.bn1 = nn.BatchNorm2d(64)
        inputs = 64
        for stage, (count, width) in enumerate(zip(counts, (64, 128, 256, 512)), 1):
            widths = [width, width, 4 * width] if is_bottleneck else [width, width]
            blocks = []
            for i in range(count):
                blocks.append(Residual(inputs, widths, 2 if i == 0 and stage > 1 else 1))
                inputs = widths[-1]
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.linear = nn.Linear(inputs, n_classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        for stage in range(1, 5):
            x = getattr(self, f"layer{stage}")(x)
        return self.linear(x.mean((2, 3)))


def make(architecture, n_classes=10):
    if architecture == "mobilenet":
        return MobileNet(n_classes)
    if architecture == "resnet18":
        return ResNet([2, 2, 2, 2], False, n_classes)
    return ResNet([3, 4, 6, 3], True, n_classes)
