"""Where a service keeps artefacts and images: all below its home folder, or in an object store with a cache there.

Only these two are shared between services, so only they go to the object store. The rest of a home is the coordinator's
own and stays on its disk: the database, the run folders with recipe, results, report and what a run publishes, and data
sets and models that recipes name. With an object store the worker of the queue `control`, which prepares and publishes,
shares that disk with the coordinator; no other process needs it.
"""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mstar.types import Frozen
from mstar_artefacts.images import ImageStore
from mstar_artefacts.store import ArtefactStore

GIGABYTE = 10**9
IMAGES_SHARE = 0.1
"""Of the cache, for images; each is a hundredth of a second's work to fetch again, a checkpoint is minutes."""


class Storage(Frozen):
    """One service's place for artefacts and images."""

    home: Path
    remote: str | None = None
    """`s3://bucket/prefix`; None: everything lies below home."""
    endpoint: str | None = None
    cache_bytes: int = 50 * GIGABYTE

    def artefacts(self) -> ArtefactStore:
        """The artefact store. Nothing is connected before it is used."""
        if self.remote is None:
            return ArtefactStore(self.home)
        # Imported here, since s3fs takes half a second and most installations have a folder.
        from mstar_artefacts.cache import Cache
        from mstar_artefacts.remote import RemoteArtefacts
        from mstar_artefacts.s3_objects import S3Objects

        limit = int(self.cache_bytes * (1 - IMAGES_SHARE))
        return RemoteArtefacts(S3Objects(self.remote, self.endpoint), Cache(self._cache / "artefacts", limit))

    def images(self) -> ImageStore:
        """The image store."""
        if self.remote is None:
            return ImageStore(self.home / ".mstar" / "images")
        from mstar_artefacts.remote import RemoteImages
        from mstar_artefacts.s3_objects import S3Objects

        limit = int(self.cache_bytes * IMAGES_SHARE)
        return RemoteImages(S3Objects(self.remote, self.endpoint), self._cache / "images", limit)

    @property
    def _cache(self) -> Path:
        return self.home / ".mstar" / "cache"


def storage_of(home: Path | Storage) -> Storage:
    """A plain folder as storage: all lies below it."""
    return home if isinstance(home, Storage) else Storage(home=home)


def _bucket_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("write s3://bucket or s3://bucket/prefix")
    # Settings show up in logs and process lists, so they must not be where a secret can stand.
    if "@" in parts.netloc or ":" in parts.netloc:
        raise ValueError("the URL takes a bucket only: credentials come from the environment, hosts as endpoint")
    return url


def _endpoint_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError("write http://host:port or https://host, without credentials")
    return url


class StorageSettings(BaseModel):
    """The fields of every service's settings that say where its data lies."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    home: Path = Path("runs")
    """Folder of the service's data. Artefacts and images (in `.mstar/images`) lie below it, and all services share it,
    unless `artefacts` is set; then it has their cache."""
    artefacts: Annotated[str, AfterValidator(_bucket_url)] | None = None
    """`s3://bucket/prefix`: keep artefacts and images there, the same for all services, with credentials from where AWS
    tools find them."""
    artefacts_endpoint: Annotated[str, AfterValidator(_endpoint_url)] | None = None
    """URL of an object store that is not AWS's but speaks its protocol."""
    artefacts_cache_gigabytes: float = Field(default=50, gt=0)
    """Disk space below home for copies of what is in the object store; a trainer's should hold two checkpoints."""

    def storage(self) -> Storage:
        """Where artefacts and images are."""
        return Storage(
            home=self.home.absolute(),
            remote=self.artefacts,
            endpoint=self.artefacts_endpoint,
            cache_bytes=int(self.artefacts_cache_gigabytes * GIGABYTE),
        )
