"""Blocks of pixels as rows of one flat buffer, and the weather of a day in them, for the compiled loops.

A row of :data:`WIDTH` numbers a quantity, so that a block stays in the fastest cache, and the compiler knows that rows
do not overlap. Of what a day's temperature enters, exp(k T), the loops take the exponentials from two rows. In a block
of one cell, whose pixels differ little in height, exp(k (a + b)) = exp(k a) exp(k b) makes them of one a day and those
of the pixels, which are taken once.
"""

import numba
import numpy as np

from .elementary import FLAGS, LOG2E, ONE, ZERO, F, exp2, inlined, to_bits, to_float

WIDTH = 256
"""Pixels of a block."""

SCALARS = ("rain_steepness", "depletion_steepness", "depletion_centre", "warmth_sharpness", "store_sharpness")

(FACTOR, MELTING, RATIO, CENTRE, WARMING, OFFSET, SNOW, BALANCE, T, WATER, RAINY, COOL, OF_RAINY, OF_WARM, OF_COOL) = (
    WIDTH * k for k in range(15)
)
"""Where rows start: parameters, the offset of temperature, snow and balance; of a day, temperature, factor times
precipitation, exp(k_sr (T - T_sr)) and exp(-k_T |T + delta|); and the pixels' parts of exponentials."""

STATE = WIDTH * 15
"""Derivatives of the snow: to the logarithms of precipitation's and snow's factor, of the rain's steepness, to its
centre, to the logarithms of the depletion's steepness and centre; further to the melting warmth and the snow before."""

DERIVED = WIDTH * 23
"""Derivatives of the balance, in the same order, and to the ice ratio."""

ROWS = 32
CARRIED = 8
"""Derivatives of the snow."""

RATIO_ROW = 8

FAINT = F(17.0)
"""exp(-17) is what float32 cannot tell from 0 beside 1."""

LARGEST, MIDDLE, LEEWAY = F(60.0), F(40.0), F(20.0)
"""Of exponents of 2: of all, and of those of a day and of a pixel that are multiplied."""

FAR = F(1e3)
"""Beyond all temperatures. [K]"""

MOST, NOTHING = np.int32(2**31 - 1), np.int32(0)
"""Bits of numbers above 0 are in the order of the numbers; whole numbers can be compared in vectors."""

compiled = numba.njit(nogil=True, error_model="numpy", fastmath=FLAGS)


@inlined
def limited(x, most=LARGEST):
    """Within what 2^x can take."""
    return min(max(x, -most), most)


@compiled
def load(z, p, cells, offsets, pixels, snow, low):
    """A block's parameters and snow; whether it lies in one cell, and how near its pixels are to one another.

    Returns
    -------
    one, near : bool
        In one cell, and so near that exponentials may be products.
    middle : (float, float)
        Of offset less the rain's centre, of offset and warming; of the products.
    least, most : float
        Lowest offset above the rain's centre, highest offset that melts.
    """
    for row in range(5):
        z[FACTOR + row * WIDTH : FACTOR + (row + 1) * WIDTH] = pixels[row, low : low + WIDTH]
    z[OFFSET : OFFSET + WIDTH] = offsets[low : low + WIDTH]
    z[SNOW : SNOW + WIDTH] = snow[low : low + WIDTH]
    over = z[OFFSET : OFFSET + WIDTH] - z[CENTRE : CENTRE + WIDTH]
    warm = z[OFFSET : OFFSET + WIDTH] + z[WARMING : WARMING + WIDTH]
    middle = F(0.5) * (np.min(over) + np.max(over)), F(0.5) * (np.min(warm) + np.max(warm))
    steep = LOG2E * p[0], LOG2E * p[3]
    one = cells[low] == cells[low + WIDTH - 1]
    near = one and steep[0] * (np.max(over) - middle[0]) < LEEWAY and steep[1] * (np.max(warm) - middle[1]) < LEEWAY
    if near:
        for i in range(WIDTH):
            z[OF_RAINY + i] = exp2(limited(steep[0] * (over[i] - middle[0])))
            z[OF_WARM + i] = exp2(limited(steep[1] * (warm[i] - middle[1])))
            z[OF_COOL + i] = ONE / z[OF_WARM + i]
    return one, near, middle, np.min(over), np.max(warm)


@compiled
def fill(z, temperature, precipitation, cells, first):
    """The weather of each pixel's cell; lowest temperature above the rain's centre, highest that melts, most rain."""
    above, warmest, wettest = MOST, NOTHING, NOTHING
    for i in range(WIDTH):
        t, rain = temperature[cells[first + i]] + z[OFFSET + i], precipitation[cells[first + i]]
        z[T + i], z[WATER + i] = t, z[FACTOR + i] * rain
        above = min(above, to_bits(max(t - z[CENTRE + i] + FAR, ZERO)))
        warmest = max(warmest, to_bits(max(t + z[WARMING + i] + FAR, ZERO)))
        wettest = max(wettest, to_bits(max(rain, ZERO)))
    return to_float(np.int32(above)) - FAR, to_float(np.int32(warmest)) - FAR, to_float(np.int32(wettest))


@compiled
def spread(z, value, rain, falls):
    """The weather of a block in one cell; the precipitation only where it is asked for."""
    for i in range(WIDTH):
        z[T + i] = value + z[OFFSET + i]
    if falls:
        for i in range(WIDTH):
            z[WATER + i] = z[FACTOR + i] * rain


@compiled
def exponentials(z, p, rains, melts):
    """Of the temperature of each pixel: what tells rain from snow, and what melts."""
    steep, sharp = LOG2E * p[0], -LOG2E * p[3]
    if rains:
        for i in range(WIDTH):
            z[RAINY + i] = exp2(limited(steep * (z[T + i] - z[CENTRE + i])))
    if melts:
        for i in range(WIDTH):
            z[COOL + i] = exp2(max(sharp * abs(z[T + i] + z[WARMING + i]), -LARGEST))


@compiled
def products(z, p, value, middle, rains, melts):
    """The same in a block whose pixels are near one another."""
    if rains:
        of_day = exp2(limited(LOG2E * p[0] * (value + middle[0]), MIDDLE))
        for i in range(WIDTH):
            z[RAINY + i] = of_day * z[OF_RAINY + i]
    if melts:
        of_day = exp2(limited(LOG2E * p[3] * (value + middle[1])))
        back = ONE / of_day
        for i in range(WIDTH):
            z[COOL + i] = min(of_day * z[OF_WARM + i], back * z[OF_COOL + i])


@compiled
def of_day(z, p, temperature, precipitation, cells, low, day, place, dry):
    """The weather of a day in a block at its ``place``, as :func:`load` gives it.

    Returns
    -------
    falls, melts : bool
        Whether any snow falls, or, with ``dry``, might fall if there were precipitation; whether anything melts.
    """
    one, near, middle, least, most = place
    value, wettest = temperature[day, cells[low]], precipitation[day, cells[low]]
    above, warmest = value + least, value + most
    if not one:
        above, warmest, wettest = fill(z, temperature[day], precipitation[day], cells, low)
    melts = p[3] * warmest > -FAINT
    falls = (dry or wettest > ZERO) and (p[0] * above < FAINT or not melts)
    if one and (falls or melts):
        spread(z, value, max(wettest, ZERO), falls)
    if near:
        products(z, p, value, middle, falls, melts)
    else:
        exponentials(z, p, falls, melts)
    return falls, melts
