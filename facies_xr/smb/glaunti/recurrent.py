"""The recurrent baseline: a gated recurrent unit over the days of each pixel, with no physics (papers/002, model b)."""

import torch
from torch import Tensor, nn

from ..degreeday.integrate import weights

HIDDEN = 16


class Recurrent(nn.Module):
    """A unit with 16 hidden numbers a pixel; inputs are precipitation and temperature over their scales."""

    def __init__(self, scales: tuple[float, float]):
        super().__init__()
        self.scales = scales
        """Of precipitation [m w.e. per day] and temperature [K]."""
        self.cell = nn.GRUCell(2, HIDDEN)
        self.out = nn.Linear(HIDDEN, 1)
        self.init_h = nn.Parameter(0.01 * torch.randn(HIDDEN))
        with torch.no_grad():
            self.cell.bias_hh[: 2 * HIDDEN] = 0  # one bias a gate, as published: 963 numbers
        self.cell.bias_hh.register_hook(lambda grad: torch.cat([0 * grad[: 2 * HIDDEN], grad[2 * HIDDEN :]]))

    def start(self, shape: tuple[int, ...]) -> Tensor:
        """Hidden numbers of each pixel before the first day."""
        return self.init_h.expand(*shape, HIDDEN)

    def forward(self, temperature: Tensor, precipitation: Tensor, hidden: Tensor | None = None
                ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Daily balances of a period, and the hidden numbers at its end.

        Parameters
        ----------
        temperature, precipitation : Tensor (time, ...)
            [degC; m w.e. per day]
        hidden : Tensor (..., 16), optional
            From a period whose last day is the first of this one: that day is not taken in twice.
        """
        shape = temperature.shape[1:]
        fresh = hidden is None
        h = (self.start(shape) if hidden is None else hidden).reshape(-1, HIDDEN)
        x = torch.stack([precipitation / self.scales[0], temperature / self.scales[1]], -1).reshape(
            len(temperature), -1, 2
        )
        daily = []
        for day, weight in enumerate(weights(len(x))):
            if fresh or day:
                h = self.cell(x[day], h)
            daily.append(weight * self.out(h)[:, 0])
        return torch.stack(daily).reshape(temperature.shape), h.reshape(*shape, HIDDEN)
