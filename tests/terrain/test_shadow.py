"""Cast shadow: closed forms, ray marches, and the law of chunks."""

import math

import numba
import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from facies_xr.synthetic.sky import ray_march
from facies_xr.terrain import relief
from facies_xr.terrain.shadow import EARTH_RADIUS, Front, Sweep, cast_shadow, flattened

# Intersection over union with the ray marches of reference_terrain, self-shading in both, that the method reached.
REFERENCES = {
    ("baker_cop30_10m_crop", 10): {(150, 35): 0.969, (210, 20): 0.981, (95, 55): 0.995},
    ("argentiere25", 25): {(150, 35): 0.976, (210, 20): 0.990, (95, 55): 0.989},
}


def shadow(z, azimuth, elevation, resolution=10.0, corner=(0, 0)):
    return cast_shadow(z.astype("float32"), Sweep.of(azimuth, elevation, resolution), corner)


@pytest.mark.parametrize("elevation", [5, 10, 20, 35, 55])
@pytest.mark.parametrize("azimuth", [0, 90, 180, 270])
def test_the_shadow_of_a_wall_ends_where_it_must(azimuth, elevation):
    z = np.zeros((301, 301))
    z[150, 90:211] = 120 if azimuth in (0, 180) else 0
    z[90:211, 150] = 120 if azimuth in (90, 270) else z[90:211, 150]
    shaded = shadow(z, azimuth, elevation)
    line = shaded[:, 150] if azimuth in (0, 180) else shaded[150]
    away = line[151:] if azimuth in (0, 270) else line[:150][::-1]
    reach = 120 / np.tan(np.radians(elevation)) / 10
    expected = min(int(np.ceil(reach)) - 1, 150)
    assert abs(int(away.sum()) - expected) <= 1
    assert away[: away.sum()].all()
    toward = line[:150] if azimuth in (0, 270) else line[151:]
    assert not toward.any()


@pytest.mark.parametrize(("elevation", "least"), [(10, 0.995), (20, 0.995), (45, 0.985)])
def test_smooth_fractal_terrain_against_a_fine_ray_march(elevation, least):
    rng = np.random.default_rng(1)
    z = sum(gaussian_filter(rng.standard_normal((400, 400)), s) * s**1.6 for s in (2, 4, 8, 16, 32))
    z = (gaussian_filter(z, 2) * 60).astype("float32")
    both = either = 0
    for azimuth in (20, 115, 200, 310):
        slope, aspect = relief.slope_and_aspect(z, 10)
        turned = relief.incidence(slope, aspect, azimuth, elevation) <= 0
        ours = shadow(z, azimuth, elevation)[1:-1, 1:-1] | turned
        true = ~fine_march(z, azimuth, elevation)[1:-1, 1:-1] | turned
        both, either = both + (ours & true).sum(), either + (ours | true).sum()
    assert both / either >= least


@numba.njit
def fine_march(z, azimuth, elevation, resolution=10.0, step=0.1):
    """Plain ray march on the bilinear surface, in steps of a tenth of a pixel; True is lit."""
    dr, dc = -math.cos(math.radians(azimuth)), math.sin(math.radians(azimuth))
    rise, highest = math.tan(math.radians(elevation)) * resolution, z.max()
    lit = np.ones(z.shape, np.bool_)
    for r in range(z.shape[0]):
        for c in range(z.shape[1]):
            k = step
            while True:
                y, x, ray = r + k * dr, c + k * dc, z[r, c] + k * rise
                if ray > highest or not (0 <= y <= z.shape[0] - 1 and 0 <= x <= z.shape[1] - 1):
                    break
                i, j = min(int(y), z.shape[0] - 2), min(int(x), z.shape[1] - 2)
                v, u = y - i, x - j
                above = (1 - u) * z[i, j] + u * z[i, j + 1]
                below = (1 - u) * z[i + 1, j] + u * z[i + 1, j + 1]
                if (1 - v) * above + v * below > ray + 1e-4:
                    lit[r, c] = False
                    break
                k += step
    return lit


@pytest.mark.parametrize("terrain", REFERENCES, ids=lambda t: t[0])
def test_real_terrain_against_the_reference_ray_marches(shared, terrain):
    name, resolution = terrain
    with rasterio.open(shared / "reference_terrain" / f"{name}_dem.tif") as file:
        z = file.read(1)
    slope, aspect = relief.slope_and_aspect(z, resolution)
    for (azimuth, elevation), least in REFERENCES[terrain].items():
        path = shared / "reference_terrain" / f"{name}_insun_raymarch_az{azimuth}_el{elevation}.tif"
        with rasterio.open(path) as file:
            true = file.read(1)[1:-1, 1:-1] == 0
        turned = relief.incidence(slope, aspect, azimuth, elevation) <= 0
        ours = shadow(z, azimuth, elevation, resolution)[1:-1, 1:-1] | turned
        true |= turned
        assert (ours & true).sum() / (ours | true).sum() >= least


TERRAIN = gaussian_filter(np.random.default_rng(5).standard_normal((90, 100)), 3).astype("float32") * 900 + 2000


@given(
    azimuth=st.one_of(st.floats(0, 360), st.sampled_from([0, 45, 90, 135, 180, 225, 270, 315])),
    elevation=st.floats(4, 60),
    corner=st.tuples(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6)),
    window=st.tuples(st.integers(0, 80), st.integers(1, 30), st.integers(0, 90), st.integers(1, 30)),
    voids=st.integers(0, 30),
)
@settings(max_examples=150, deadline=None)
def test_a_window_with_its_margin_is_the_whole_bit_for_bit(azimuth, elevation, corner, window, voids):
    z = TERRAIN.copy()
    rng = np.random.default_rng(voids)
    z[rng.integers(0, 90, voids), rng.integers(0, 100, voids)] = np.nan
    sweep = Sweep.of(azimuth, elevation, 10)
    whole = cast_shadow(z, sweep, corner)
    r0, h, c0, w = window
    r1, c1 = min(r0 + h, 90), min(c0 + w, 100)
    (top, bottom), (left, right) = sweep.margin(float(np.nanmin(z)), float(np.nanmax(z)))
    y0, y1, x0, x1 = max(r0 - top, 0), min(r1 + bottom, 90), max(c0 - left, 0), min(c1 + right, 100)
    part = cast_shadow(z[y0:y1, x0:x1], sweep, (corner[0] + y0, corner[1] + x0))
    np.testing.assert_array_equal(part[r0 - y0 : r1 - y0, c0 - x0 : c1 - x0], whole[r0:r1, c0:c1])


def test_voids_let_light_through_and_lie_in_no_shadow():
    z = np.zeros((60, 60), "float32")
    z[20] = 100
    z[20, 30] = np.nan
    shaded = shadow(z, 0, 30)
    assert shaded[25, 10]
    assert not shaded[22, 30]
    assert not shaded[20, 30]


def test_the_worlds_own_march_agrees_with_the_sweep_though_they_share_nothing():
    z = TERRAIN.astype("float64")
    lit = ray_march(z, (0, 90), (0, 100), 140.0, 25.0, 10.0)
    ours = shadow(z, 140.0, 25.0)
    assert ((~lit & ours).sum()) / ((~lit | ours).sum()) > 0.97


@pytest.mark.parametrize("azimuth", [90.0, 180.0])
@pytest.mark.parametrize(("height", "elevation"), [(2000, 10), (1500, 5), (1500, 2)])
@pytest.mark.parametrize("at_the_tip", [True, False])
def test_curvature_and_refraction_shorten_or_lengthen_a_long_shadow(azimuth, height, elevation, at_the_tip):
    """Drop of the light over a distance d: d tan(e) + d^2 / 2R with e at the target, minus with e at the peak."""
    slope, sign = np.tan(np.radians(elevation)), 1 if at_the_tip else -1
    curve = 1 / (2 * EARTH_RADIUS)
    reach = (-slope + np.sqrt(slope**2 + sign * 4 * curve * height)) / (sign * 2 * curve)
    flat = height / slope
    assert (reach < flat) == at_the_tip
    n = int(reach / 10) + 300
    z = np.zeros((n, 7), "float32")
    z[20] = height
    away = 10.0 * (np.arange(n) - 20)[:, None] - (reach if at_the_tip else 0)
    z = flattened(z, away[:, 0], np.zeros(7))
    z, azimuth = (z, 0.0) if azimuth == 180 else (z.T[:, ::-1], azimuth)
    shaded = cast_shadow(z, Sweep.of(azimuth, elevation, 10.0), (5, 9))
    line = shaded[:, 3] if azimuth == 0 else shaded[3, ::-1]
    assert abs(10 * (np.flatnonzero(line)[-1] - 20) - reach) <= 10
    assert abs(reach - flat) > 20


def test_one_family_is_nearly_as_good_and_as_free_of_windows():
    exact, fast = (cast_shadow(TERRAIN, Sweep.of(205.0, 18.0, 10.0, families), (3, 4)) for families in (2, 1))
    assert (exact & fast).sum() / (exact | fast).sum() > 0.98
    assert (exact != fast).any()
    sweep = Sweep.of(205.0, 18.0, 10.0, 1)
    (top, bottom), (left, right) = sweep.margin(float(TERRAIN.min()), float(TERRAIN.max()))
    y0, y1, x0, x1 = max(40 - top, 0), min(60 + bottom, 90), max(30 - left, 0), min(50 + right, 100)
    part = cast_shadow(TERRAIN[y0:y1, x0:x1], sweep, (3 + y0, 4 + x0))
    np.testing.assert_array_equal(part[40 - y0 : 60 - y0, 30 - x0 : 50 - x0], fast[40:60, 30:50])


HEIGHT = FOOT = 120.0
"""Of a cone and a pyramid with flanks of 45 degrees; the foot is half its width. [m]"""


def outlines_of(shape, wrong_distances, elevation):
    """Largest distance [px] of a wrong pixel from the true outline, for 24 suns and places of the peak."""
    rng, worst = np.random.default_rng(elevation), []
    for azimuth in rng.uniform(0, 360, 24):
        y0, x0 = 200 + rng.uniform(-0.5, 0.5, 2)
        y, x = (np.mgrid[:401, :401] - np.array([y0, x0])[:, None, None]) * 10.0
        z = np.maximum(HEIGHT * (1 - shape(x, y) / FOOT), 0)
        shaded = cast_shadow(z.astype("float32"), Sweep.of(azimuth, elevation, 10.0), (0, 0))
        a, reach = np.radians(azimuth), HEIGHT / np.tan(np.radians(elevation))
        tip = -reach * np.sin(a), reach * np.cos(a)  # y grows with the rows, southwards
        seen = (z == 0) & (np.hypot(x, y) < 1900)
        seen &= np.hypot(x - tip[0], y - tip[1]) > 80  # the sampling of the DEM shortens the tip
        distances = wrong_distances(x, y, a, reach, tip, shaded, seen)
        worst.append(float(distances.max() / 10) if distances.size else 0.0)
    return worst


def wrong_of_cone(x, y, a, reach, tip, shaded, seen):
    """The shadow of a cone is a wedge between two tangents, known in closed form."""
    if reach <= FOOT:
        return np.full(int((shaded & (np.hypot(x, y) >= FOOT)).any()), 90.0)
    along, across = -x * np.sin(a) + y * np.cos(a), x * np.cos(a) + y * np.sin(a)
    half = np.arcsin(FOOT / reach)  # of the wedge with its tip at the end of the shadow
    distance = (reach - along) * np.sin(half) - np.abs(across) * np.cos(half)  # to the nearer tangent, inside > 0
    behind = seen & (along > FOOT * np.sin(half)) & (along < 1900)
    return np.abs(distance[(shaded != (distance > 0)) & behind])


def wrong_of_pyramid(x, y, a, reach, tip, shaded, seen):
    """The shadow of a pyramid on the plain is the convex hull of its foot and of its tip's shadow."""
    hull = shapely.box(-FOOT, -FOOT, FOOT, FOOT).union(shapely.Point(tip)).convex_hull
    shapely.prepare(hull)
    x, y, shaded = x[seen], y[seen], shaded[seen]
    wrong = shaded != shapely.contains_xy(hull, x, y)
    return shapely.distance(hull.exterior, shapely.points(x[wrong], y[wrong]))


def widest(x, y):
    return np.maximum(np.abs(x), np.abs(y))


@pytest.mark.parametrize("elevation", [5, 10, 20, 30, 45, 60])
@pytest.mark.parametrize(("shape", "wrong"), [(np.hypot, wrong_of_cone), (widest, wrong_of_pyramid)])
def test_cones_and_pyramids_are_right_by_their_outlines(shape, wrong, elevation):
    worst = outlines_of(shape, wrong, elevation)
    assert np.percentile(worst, 95) <= 0.6
    assert max(worst) <= 0.8


@given(
    azimuth=st.one_of(st.floats(0, 360), st.sampled_from([0, 45, 90, 135, 180, 225, 270, 315])),
    elevation=st.floats(2, 60),
    corner=st.tuples(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6)),
    cuts=st.sets(st.integers(1, 89), max_size=12),
    voids=st.integers(0, 30),
)
@settings(max_examples=80, deadline=None)
def test_bands_give_the_whole_bit_for_bit(azimuth, elevation, corner, cuts, voids):
    z = TERRAIN.copy()
    rng = np.random.default_rng(voids)
    z[rng.integers(0, 90, voids), rng.integers(0, 100, voids)] = np.nan
    sweep = Sweep.of(azimuth, elevation, 10)
    front = Front.before(sweep, z.shape, corner)
    axis = 1 if sweep.transposed else 0
    bands = np.split(z, sorted(cuts), axis)
    found = []
    for band in bands if sweep.step > 0 else bands[::-1]:
        part, front = front.shade(band)
        found.append(part)
    found = np.concatenate(found if sweep.step > 0 else found[::-1], axis)
    np.testing.assert_array_equal(found, cast_shadow(z, sweep, corner))
