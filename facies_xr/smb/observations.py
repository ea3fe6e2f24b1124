"""Records for users: read them, and see which glacier of a map each is of."""

from .match import match as match
from .records import read as read
