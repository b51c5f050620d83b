"""LeNet-5 (LeCun et al. 1998) for galaxies: a network that knows nothing of Lucarne but what it must give, (latent, logits).

    cd models
    python -m examples.lenet5 --run RUN --weights lenet5.pt
    python -m training export --module examples.lenet5:lenet5 --weights lenet5.pt --card examples/lenet5.yaml --out lenet5.onnx
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import Tensor, nn

CLASSES = ["spiral", "elliptical", "merger"]
LO, HI = -1127.5, 22131.5
"""The stretch of ten-year images, electrons; the card says the same."""


class LeNet5(nn.Module):
    """Two convolutions and three affine layers, with ReLU and maxima as is usual now; the latent vector is the last hidden layer."""

    def __init__(self) -> None:
        """The 5 x 5 maps that the affine layers expect come from an average over whatever the image leaves."""
        super().__init__()
        self.maps = nn.Sequential(
            nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(4), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten()
        )
        self.hidden = nn.Sequential(nn.Linear(16 * 5 * 5, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU())
        self.head = nn.Linear(84, len(CLASSES))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Latent `[N, 84]` and logits `[N, 3]` of stretched images `[N, 3, 100, 100]`; the background is 0.5."""
        latent = self.hidden(self.maps((image - 0.5) * 4.0))
        return latent, self.head(latent)


def lenet5() -> nn.Module:
    """What `export` calls."""
    return LeNet5()


def main() -> None:
    """Trains on the ten-year images of a run, a few at a time, straight from its Parquet parts."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=6)
    asked = parser.parse_args()
    torch.manual_seed(1)
    network = LeNet5()
    adam = torch.optim.Adam(network.parameters(), lr=1e-3)
    for epoch in range(asked.epochs):
        losses = []
        for part in sorted((asked.run / "objects").glob("*.parquet")):
            for rows in pq.ParquetFile(part).iter_batches(128, columns=["label", "split", "y10_sky"]):
                chosen = np.array([split == "train" for split in rows["split"].to_pylist()])
                column = rows["y10_sky"]
                values = getattr(column, "storage", column).flatten().to_numpy().reshape(-1, 3, 100, 100)[chosen]
                images = (np.arcsinh(0.85 / HI * np.clip(values, LO, HI)) + 1) / 2
                labels = np.array([CLASSES.index(label) for label in rows["label"].to_pylist()])[chosen]
                adam.zero_grad()
                loss = nn.functional.cross_entropy(network(torch.from_numpy(images))[1], torch.from_numpy(labels))
                loss.backward()
                adam.step()
                losses.append(loss.item())
        print(f"epoch {epoch + 1}: cross-entropy {np.mean(losses):.3f}")
    torch.save(network.state_dict(), asked.weights)


if __name__ == "__main__":
    main()
