from . import batch as batch
from . import synthetic as synthetic
from .batch.results import open_maps as open_maps
from .export import to_cog as to_cog
from .export import to_table as to_table
from .grids import grid as grid
from .maps.inference import calibrate as calibrate
from .maps.inference import classify as classify
from .maps.series import end_of_season as end_of_season
from .maps.statistics import statistics as statistics
from .nn.classifier import Classifier as Classifier
from .nn.registry import load_model as load_model
from .samples import sample as sample
from .scenes.catalog import search as search
from .scenes.cube import load as load
from .scenes.selection import best as best
from .smb.balance import smb as smb
from .smb.download import fetch as fetch
from .smb.evaluate import scores as scores
from .store import open_store as open_store
from .store import write as write
from .terrain.layers import add_terrain as add_terrain

__version__: str
