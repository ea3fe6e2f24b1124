"""Object stores whose files are not open to everyone, and the credentials that the environment has for them."""

import os
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from .errors import AccessError


@dataclass(frozen=True)
class Bucket:
    """An object store whose files are not open to everyone."""

    archive: str
    region: str
    requester_pays: bool
    keys: tuple[str, str]
    """Environment variables of the key pair."""
    where: str
    """Where a user gets the keys."""
    endpoint: str | None = None

    @property
    def own_keys(self) -> tuple[str, str] | None:
        """The key pair, if the environment has it."""
        key, secret = (os.environ.get(name) for name in self.keys)
        return (key, secret) if key and secret else None


AWS_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_AWS = "an AWS account (you pay for what you read); see https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-files.html"

BUCKETS = {
    "usgs-landsat": Bucket("USGS Landsat", "us-west-2", True, AWS_KEYS, _AWS),
    "sentinel-s2-l1c": Bucket("Sentinel-2 L1C on AWS", "eu-central-1", True, AWS_KEYS, _AWS),
    "sentinel-s2-l2a": Bucket("Sentinel-2 L2A on AWS", "eu-central-1", True, AWS_KEYS, _AWS),
    "eodata": Bucket(
        "Copernicus Data Space",
        "default",
        False,
        ("CDSE_S3_ACCESS_KEY", "CDSE_S3_SECRET_KEY"),
        "https://eodata-s3keysmanager.dataspace.copernicus.eu (free, after sign-in)",
        "eodata.dataspace.copernicus.eu",
    ),
}
"""Buckets that ask for credentials. CDSE_S3_ENDPOINT replaces the endpoint of "eodata" inside its own cloud."""


def session(bucket: str):
    """Session of a bucket, made once for a state of the environment; temporary credentials renew themselves in it."""
    known = BUCKETS.get(bucket)
    return _new_session(bucket, known.own_keys if known else None, endpoint(bucket)[0])


@lru_cache(maxsize=16)
def _new_session(bucket: str, keys: tuple[str, str] | None, endpoint: str | None):
    known = BUCKETS.get(bucket)
    try:
        from rasterio.session import AWSSession

        import boto3  # isort: skip  (rasterio finds out by itself whether it is there)
    except ImportError:
        raise AccessError(f's3://{bucket} needs boto3; install it with: pip install "facies_xr[cloud]".') from None
    if known is None:
        session = boto3.Session()
        unsigned = session.get_credentials() is None
        return AWSSession(None if unsigned else session, aws_unsigned=unsigned, endpoint_url=endpoint)
    if known.keys == AWS_KEYS:
        session = boto3.Session(region_name=known.region)
    else:
        session = boto3.Session(*keys, region_name=known.region) if keys else None
    if session is None or session.get_credentials() is None:
        raise AccessError(
            f"{known.archive} (s3://{bucket}) needs credentials and there are none: set {known.keys[0]} and "
            f"{known.keys[1]}, which come from {known.where}."
        )
    return AWSSession(session, requester_pays=known.requester_pays, endpoint_url=endpoint)


def endpoint(bucket: str) -> tuple[str | None, dict[str, str]]:
    """Host of a bucket's store, None for Amazon's own, and the options that another host needs."""
    known = BUCKETS.get(bucket)
    if known is not None and known.endpoint:
        url = os.environ.get("CDSE_S3_ENDPOINT", known.endpoint)
    else:
        url = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    if not url:
        return None, {}
    scheme, _, host = url.rpartition("://")
    return host.rstrip("/"), {"AWS_VIRTUAL_HOSTING": "FALSE", "AWS_HTTPS": "NO" if scheme == "http" else "YES"}


def s3fs_options(bucket: str) -> dict[str, Any]:
    """What s3fs needs to open a bucket's files."""
    opened = session(bucket)
    credentials = opened.credentials
    options: dict[str, Any] = {"requester_pays": opened.requester_pays, "anon": opened.unsigned}
    for ours, theirs in (
        ("key", "aws_access_key_id"),
        ("secret", "aws_secret_access_key"),
        ("token", "aws_session_token"),
    ):
        if theirs in credentials:
            options[ours] = credentials[theirs]
    host, gdal = endpoint(bucket)
    if host:
        options["endpoint_url"] = f"{'http' if gdal['AWS_HTTPS'] == 'NO' else 'https'}://{host}"
    return options
