"""A synthetic glacier world with known truth, for the demo, tests, documentation and benchmarks.

Nothing here comes from a real glacier; scores on it are synthetic.
"""

from .world import Region, World

__all__ = ["Region", "World"]
