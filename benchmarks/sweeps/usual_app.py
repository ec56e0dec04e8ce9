"""The adder's sweep in the usual way: Hydra runs one job after the other, PyTorch trains, MLflow records.

    python usual_app.py -m alpha=0.05,0.1 seed=range(0,5)

The same network, loss and kind of data as `bptt train experiment=zhu_adder`, as fast as eager PyTorch gets: one thread,
float64, the data drawn before training begins, the inputs of all timesteps multiplied at once, an evaluation of 256
sums. Every run is recorded with its parameters, three metrics at each of 100 updates and its weights, in an SQLite
store that is opened once. bptt is not used.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import hydra
import mlflow
import torch
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from torch import Tensor, nn


@dataclass
class Config:
    bits: int = 7
    eval_size: int = 256
    hidden_size: int = 16
    alpha: float = 0.1
    updates: int = 10_000
    log_points: int = 100
    seed: int = 0


ConfigStore.instance().store(name="adder", node=Config)
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)


class Network(nn.Module):
    """An Elman network of sigmoid units without biases."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.empty(2, hidden_size).uniform_(-1.0, 1.0))
        self.recurrent = nn.Parameter(torch.empty(hidden_size, hidden_size).uniform_(-1.0, 1.0))
        self.readout = nn.Parameter(torch.empty(hidden_size, 1).uniform_(-1.0, 1.0))

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (T, B, 1) of inputs x (T, B, 2)."""
        steps, rows, _ = x.shape
        arriving = (x.reshape(steps * rows, 2) @ self.input).view(steps, rows, -1)
        recurrent = self.recurrent
        h, states = x.new_zeros(rows, len(recurrent)), []
        for arrived in arriving.unbind():
            h = torch.sigmoid(torch.addmm(arrived, h, recurrent))
            states.append(h)
        return torch.sigmoid(torch.cat(states) @ self.readout).view(steps, rows, 1)


def compute_loss(output: Tensor, y: Tensor) -> Tensor:
    """Half the squared error of a sequence, mean over the sequences."""
    return 0.5 * (output - y).square().sum() / y.shape[1]


def train(network: Network, alpha: float, data: Iterable[tuple[Tensor, Tensor]]) -> Iterator[Tensor]:
    """One update for each (x, y); gives its loss."""
    optimizer = torch.optim.SGD(network.parameters(), lr=alpha)
    for x, y in data:
        optimizer.zero_grad()
        loss = compute_loss(network(x), y)
        loss.backward()
        optimizer.step()
        yield loss


def make_sums(bits: int, count: int) -> tuple[Tensor, Tensor]:
    """`count` random additions, the lowest digits first: x (T, count, 2) and y (T, count, 1)."""
    a, b = torch.randint(2**bits, (2, count))
    place = torch.arange(bits + 1)[:, None]
    x = torch.stack([a >> place & 1, b >> place & 1], dim=-1)
    y = (a + b) >> place & 1
    return x.double(), y.double()[:, :, None]


@torch.no_grad()
def evaluate(network: Network, x: Tensor, y: Tensor) -> dict[str, float]:
    output = network(x)
    right = (output.round() == y).all(dim=0)
    return {"loss/eval": compute_loss(output, y).item(), "accuracy/eval": right.double().mean().item()}


@hydra.main(version_base="1.3", config_path=None, config_name="adder")
def main(config: DictConfig) -> None:
    torch.manual_seed(config.seed)
    network = Network(config.hidden_size)
    x, y = make_sums(config.bits, config.updates)
    evaluation = make_sums(config.bits, config.eval_size)
    recorded = set(torch.linspace(1, config.updates, config.log_points).round().int().tolist())
    with mlflow.start_run(run_name=f"alpha={config.alpha} seed={config.seed}"):
        mlflow.log_params(dict(config))
        data = zip(x.split(1, dim=1), y.split(1, dim=1), strict=True)
        for update, loss in enumerate(train(network, config.alpha, data), 1):
            if update in recorded:
                mlflow.log_metrics({"loss/train": loss.item(), **evaluate(network, *evaluation)}, step=update)
        weights = Path(HydraConfig.get().runtime.output_dir) / "weights.pt"
        torch.save(network.state_dict(), weights)
        mlflow.log_artifact(str(weights))


if __name__ == "__main__":
    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    mlflow.set_experiment("adder")
    main()
