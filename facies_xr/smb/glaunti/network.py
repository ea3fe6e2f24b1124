"""The network that corrects parameters: two branches, of fields and of months, and five fields out (papers/002).

Names of modules are those of the published weights, so that these load as they are.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CORRECTIONS = 5
"""Fields of the output: of precipitation, snow factor, ice ratio, rain's centre, melting warmth."""

FIELDS, CLIMATE = 15, 2
"""Channels of the two inputs."""

COARSE = 8
"""Pixels of the input along a pixel of the coarsest stage."""

EPSILON = 1e-6
OUTPUT = 0.1
"""By which the last layer is multiplied."""


class RMSNorm(nn.Module):
    """Each channel relative to its root mean square over all places, or over those of a mask."""

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Of (channel, ...)."""
        places = tuple(range(1, x.ndim))
        if mask is None:
            square = (x**2).mean(places, keepdim=True)
        else:
            square = (mask * x**2).sum(places, keepdim=True) / mask.sum().clamp(min=1)
        shape = (-1, *[1] * (x.ndim - 1))
        return self.weight.view(shape) * x / (square + EPSILON).sqrt() + self.bias.view(shape)


class Twice(nn.Module):
    """Convolution of three, norm and swish, twice; with a mask nothing outside of it counts."""

    def __init__(self, channels: int, flat: bool = True):
        super().__init__()
        convolution = nn.Conv2d if flat else nn.Conv1d
        self.conv1 = convolution(channels, channels, 3, padding=1, bias=False)
        self.norm1 = RMSNorm(channels)
        self.conv2 = convolution(channels, channels, 3, padding=1, bias=False)
        self.norm2 = RMSNorm(channels)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Of (channel, ...)."""
        for convolution, norm in ((self.conv1, self.norm1), (self.conv2, self.norm2)):
            x = F.silu(norm(convolution(x[None])[0], mask))
            if mask is not None:
                x = x * mask
        return x


class Fields(nn.Module):
    """The branch of the fields: 32 channels on a grid eight times as coarse."""

    def __init__(self, channels: int):
        super().__init__()
        self.in_conv = nn.Conv2d(channels, 32, 1, bias=False)
        self.stage1, self.stage2, self.stage3, self.bottleneck = (Twice(32) for _ in range(4))

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Features (32, y, x), and the mask on their grid."""
        x = self.in_conv(x[None])[0]
        for stage in (self.stage1, self.stage2, self.stage3):
            x = F.max_pool2d(stage(x, mask)[None], 2)[0]
            mask = None if mask is None else F.max_pool2d(mask[None], 2)[0]
            if mask is not None:
                x = x * mask
        return self.bottleneck(x, mask), mask


class Months(nn.Module):
    """The branch of the months: eight numbers."""

    def __init__(self, channels: int):
        super().__init__()
        self.in_conv = nn.Conv1d(channels, 8, 1, bias=False)
        self.stage1, self.stage2 = Twice(8, flat=False), Twice(8, flat=False)

    def forward(self, x: Tensor) -> Tensor:
        """Features (8, 1)."""
        x = self.in_conv(x[None])[0]
        for stage in (self.stage1, self.stage2):
            x = F.avg_pool1d(stage(x)[None], 2)[0]
        return x.mean(1, keepdim=True)


class Corrector(nn.Module):
    """From fields and months of a balance year to corrections of five parameters in each pixel.

    Parameters
    ----------
    limit : float, optional
        Largest absolute correction; none as published.
    masked : bool
        Whether nothing outside of the glacier counts, in the norms as in the convolutions: then neither the crop nor
        the padding of the raster changes a result, as long as ``origin`` says where the raster lies. As published,
        all pixels count.
    """

    def __init__(self, fields: int = FIELDS, climate: int = CLIMATE, *, limit: float | None = None,
                 masked: bool = False):  # fmt: skip
        super().__init__()
        self.branch2d, self.branch1d = Fields(fields), Months(climate)
        self.proj_1d_to_2d = nn.Conv1d(8, 32, 1, bias=False)
        self.fuse = Twice(32)
        self.out_conv = nn.Conv2d(32, CORRECTIONS, 1)
        self.limit, self.masked = limit, masked

    def forward(self, fields: Tensor, climate: Tensor, outline: Tensor | None = None,
                origin: tuple[int, int] = (0, 0)) -> Tensor:  # fmt: skip
        """Corrections.

        Parameters
        ----------
        fields : Tensor (15, y, x)
        climate : Tensor (2, month)
        outline : Tensor (y, x), optional
            For a masked network: the share of the glacier in each pixel.
        origin : (int, int)
            Row and column of the first pixel on the absolute grid.

        Returns
        -------
        Tensor (5, y, x)
        """
        height, width = fields.shape[-2:]
        mask = None
        if self.masked and outline is not None:
            top, left = COARSE + origin[0] % COARSE, COARSE + origin[1] % COARSE
            pad = (left, COARSE + -(left + width) % COARSE, top, COARSE + -(top + height) % COARSE)
            mask = F.pad((outline > 0).to(fields.dtype)[None], pad)
            fields = F.pad(fields, pad) * mask
        deep, coarse = self.branch2d(fields, mask)
        deep = deep + self.proj_1d_to_2d(self.branch1d(climate)[None])[0][:, :, None]
        if coarse is not None:
            deep = deep * coarse
        found = OUTPUT * self.out_conv(self.fuse(deep, coarse)[None])
        if mask is not None:
            found = found * coarse
            found = F.interpolate(found, scale_factor=COARSE, mode="bilinear", align_corners=False)
            found = found[..., top : top + height, left : left + width]
        else:
            found = F.interpolate(found, size=(height, width), mode="bilinear", align_corners=False)
        return found[0] if self.limit is None else self.limit * torch.tanh(found[0] / self.limit)
