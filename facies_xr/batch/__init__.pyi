from .board import Board as Board
from .board import status as status
from .manifest import Manifest as Manifest
from .planning import plan as plan
from .results import glaciers as glaciers
from .results import seasons as seasons
from .results import smb as smb
from .running import run as run
