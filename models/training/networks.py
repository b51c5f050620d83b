"""The networks: stretched images `[N, band, y, x]` in, the latent vector and the logits out.

Every network subtracts 0.5 first: a stretched background sits there with a spread of 0.003, below the step of bfloat16 at
0.5, and without it training stays at chance. The latent vector has no activation, so the head behind it is affine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from . import CLASSES

LATENT = 256


class Classifier(nn.Module):
    """A body `[N, band, y, x] -> [N, features]`, a bottleneck to the latent vector `[N, 256]`, an affine head."""

    def __init__(self, body: nn.Module, features: int, classes: int) -> None:
        """Initial weights N(0, .005) for the bottleneck and N(0, .01) for the head, zero biases (the paper's code)."""
        super().__init__()
        self.body = body
        self.bottleneck = nn.Linear(features, LATENT)
        self.head = nn.Linear(LATENT, classes)
        for layer, spread in ((self.bottleneck, 0.005), (self.head, 0.01)):
            nn.init.normal_(layer.weight, 0.0, spread)
            nn.init.zeros_(layer.bias)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Latent `[N, 256]` and logits `[N, class]`, both float32: autocast, where it is on, ends before the bottleneck."""
        features = self.body(image - 0.5)
        with torch.autocast(image.device.type, enabled=False):
            if features.dtype != torch.float32:  # else the exported graph would have a cast
                features = features.to(torch.float32)
            latent = self.bottleneck(features)
            return latent, self.head(latent)


def convnet(bands: int, size: int) -> Classifier:
    """Three blocks of convolution, batch norm, ReLU and 2 x 2 maximum; 1,187,203 parameters for 3 x 100 x 100 pixels."""
    layers: list[nn.Module] = []
    channels = bands
    for out, kernel in ((8, 5), (16, 3), (32, 3)):
        layers += [
            nn.Conv2d(channels, out, kernel, padding=kernel // 2),
            nn.BatchNorm2d(out),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
        channels, size = out, size // 2
    return Classifier(nn.Sequential(*layers, nn.Flatten()), channels * size * size, len(CLASSES))


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions with batch norm around a shortcut; the first may halve the image (He et al. 2016, fig. 2)."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        """The shortcut is a 1 x 1 convolution where the shape changes, else nothing."""
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv2d(channels, out, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            nn.BatchNorm2d(out),
        )
        same = stride == 1 and channels == out
        projection = [nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)]
        self.shortcut = nn.Identity() if same else nn.Sequential(*projection)

    def forward(self, image: Tensor) -> Tensor:
        """`[N, channels, y, x]` to `[N, out, y / stride, x / stride]`."""
        return torch.relu(self.path(image) + self.shortcut(image))


def resnet18(bands: int, _: int) -> Classifier:
    """The 18-layer residual network of He et al. (2016), with dropout before its average; 11,308,611 parameters for 3 bands.

    Convolutions begin with He's normal weights for the paths out of a ReLU, as torchvision has it.
    """
    stem = [nn.Conv2d(bands, 64, 7, 2, padding=3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1)]
    blocks, channels = [], 64
    for out, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        blocks += [BasicBlock(channels, out, stride), BasicBlock(out, out, 1)]
        channels = out
    body = nn.Sequential(*stem, *blocks, nn.Dropout(0.5), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    for layer in body.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return Classifier(body, channels, len(CLASSES))


NETWORKS: dict[str, Callable[[int, int], Classifier]] = {"convnet": convnet, "resnet18": resnet18}
"""The networks by name: each makes one of a number of bands and a size in pixels."""


def batch_norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    """The batch-norm layers of a network."""
    return [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]


@torch.no_grad()
def recalibrate(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Sets the running statistics of batch norm to the plain average over some batches, at the present weights.

    The running averages lag behind fast-changing weights, most of all in the first epochs.
    """
    layers = batch_norms(network)
    momenta = [layer.momentum for layer in layers]
    network.eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a cumulative average
        layer.train()
    for batch in batches:
        network(batch)
    for layer, momentum in zip(layers, momenta):
        layer.momentum = momentum
    network.eval()
