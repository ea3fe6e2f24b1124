from .manifest import Manifest as Manifest
from .planning import plan as plan
from .running import run as run
