"""The networks by name."""

from .network import DenseNet, FaciesNet, Network
from .scales import ScalesNet

ARCHITECTURES: dict[str, type[Network]] = {net.architecture: net for net in (FaciesNet, DenseNet, ScalesNet)}
"""Networks by the name that a classifier's file gives them."""
