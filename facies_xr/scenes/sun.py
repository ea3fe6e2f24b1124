"""Where the sun stands."""

import math
from datetime import datetime


def position(when: datetime, longitude: float, latitude: float) -> tuple[float, float]:
    """Azimuth and elevation of the sun, within about 0.1 degree. [degree]

    References
    ----------
    Michalsky, J. J. (1988): The Astronomical Almanac's algorithm for approximate solar position. Solar Energy 40.
    """
    days = (when - datetime(2000, 1, 1, 12)).total_seconds() / 86400
    mean, anomaly = math.radians((280.460 + 0.9856474 * days) % 360), math.radians((357.528 + 0.9856003 * days) % 360)
    ecliptic = mean + math.radians(1.915 * math.sin(anomaly) + 0.020 * math.sin(2 * anomaly))
    obliquity = math.radians(23.439 - 4e-7 * days)
    ascension = math.atan2(math.cos(obliquity) * math.sin(ecliptic), math.cos(ecliptic))
    declination = math.asin(math.sin(obliquity) * math.sin(ecliptic))
    sidereal = math.radians((280.46062 + 360.985647 * days + longitude) % 360)
    hour, phi = sidereal - ascension, math.radians(latitude)
    height = math.asin(math.sin(phi) * math.sin(declination) + math.cos(phi) * math.cos(declination) * math.cos(hour))
    azimuth = math.atan2(-math.sin(hour), math.cos(phi) * math.tan(declination) - math.sin(phi) * math.cos(hour))
    return math.degrees(azimuth) % 360, math.degrees(height)
