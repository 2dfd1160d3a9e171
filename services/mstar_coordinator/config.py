"""Settings of the coordinator's API, from environment variables only."""

from enum import StrEnum
from pathlib import Path
from typing import Self
from urllib.parse import quote, urlsplit

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from mstar.model_types import UntriedModelsText, parse_untried
from mstar.trackers import Tracker
from mstar.trusted_code import TrustedCodeText, parse_trusted_code
from mstar_coordinator.oidc_claims import ClaimRules, read_projects, read_roles
from mstar_web.config import ServiceSettings, is_loopback
from mstar_worker.config import BrokerUrl

RECIPES = Path(__file__).parents[2] / "recipes"


class GpuSharing(StrEnum):
    """How the services come by their GPUs."""

    DEDICATED = "dedicated"
    """Each has its own, all the time."""
    SCALE_TO_ZERO = "scaleToZero"
    """They take turns; who has none has no pods."""
    COLOCATED = "colocated"
    """They take turns; who has none sleeps in place."""


class ModelRules(BaseSettings):
    """Which models runs may use; for the process that looks at a plan, which has no other settings."""

    model_config = SettingsConfigDict(
        env_prefix="MSTAR_COORDINATOR_", extra="ignore", env_ignore_empty=True, use_attribute_docstrings=True
    )

    trusted_code: TrustedCodeText = ""
    """Code from model folders that policy, PRM and trainer may run, written as in their settings of the same name. A
    run on such a model is refused at once unless it is listed here."""
    untried_models: UntriedModelsText = ""
    """Comma-separated model types that runs may use although M-STaR was never tried with them; transformers must be
    able to load them (docs/models.md lists them). Their numbers may be wrong, and such a run says so."""
    model_check_gb: float = Field(default=2.0, ge=0)
    """Largest model, in GB of weights, that is loaded and run once, in a limited process, before a run on it is started
    or refused. Of larger ones only the names and shapes of the tensors are compared. Needs torch next to the
    coordinator. The coordinator's image has none, so there policy and PRM check the first weights that they load."""
    model_check_seconds: float = Field(default=120.0, gt=0, le=600)
    """Time limit for loading the models of a run or study and running each once. What is not done by then is left to
    the services. A study whose model folders take longer than this to read is refused."""

    @property
    def allowed_types(self) -> frozenset[str]:
        """Types of model that the operator allows: code from a folder, and untried ones."""
        return frozenset(parse_trusted_code(self.trusted_code).keys() | parse_untried(self.untried_models))


class CoordinatorSettings(ModelRules, ServiceSettings):
    """The coordinator's API process. A variable `MSTAR_COORDINATOR_…` that no field has is an error."""

    model_config = SettingsConfigDict(env_prefix="MSTAR_COORDINATOR_")
    optional_roles = frozenset({"metrics", "score"})

    port: int = Field(default=8400, ge=0, le=65_535)
    """Port to listen on; 0 takes a free one."""
    run_admin_key: SecretStr | None = None
    """Bearer key of those who start and steer runs."""
    score_key: SecretStr | None = None
    """Bearer key of clients that score responses through the coordinator; required with prm_url if any key is set."""
    prm_url: str | None = None
    """PRM that /v1/score is forwarded to, for clients that could not reach it while another service has its GPU; with
    colocated, also the PRM to put to sleep. Unset, nothing is forwarded."""
    session_hours: float = Field(default=12.0, gt=0, le=24 * 90)
    """How long a person stays signed in to the pages."""
    public_url: str = ""
    """URL at which browsers reach this service, such as `https://mstar.example.org`; required with oidc_issuer."""
    oidc_issuer: str = ""
    """OpenID Connect provider for sign-in, such as `https://login.example.org/realms/lab`; unset, people sign in with
    keys only. Register `<public_url>/sign-in/oidc/return` there as the redirect URI."""
    oidc_client_id: str = ""
    """Client id under which this service is registered with the provider."""
    oidc_client_secret: SecretStr | None = None
    """The client's secret."""
    oidc_scope: str = "openid email profile"
    """Scopes requested from the provider; some send groups only if `groups` is among them."""
    oidc_label: str = Field(default="your organisation", max_length=60)
    """Name of the provider on the sign-in page."""
    oidc_role_claim: str = "groups"
    """Claim of the id token whose values give roles; a dotted path, such as `realm_access.roles`."""
    oidc_roles: str = ""
    """Comma-separated `VALUE=ROLE`, such as `mstar-admins=run_admin,staff=read`. Roles: read, run_admin, score, upload.
    A person with none of the values cannot sign in."""
    oidc_project_claim: str = ""
    """Claim whose values give the project; unset, everyone is in `default`."""
    oidc_projects: str = ""
    """Comma-separated `VALUE=PROJECT`. A person with none or several of the projects cannot sign in."""
    audit_days: float = Field(default=400.0, gt=0)
    """How long entries of the audit log are kept."""
    tracking: str = ""
    """Comma-separated trackers of every run, in addition to those that its recipe names: `wandb`, `mlflow`,
    `tensorboard`, `trackio`."""
    broker_url: BrokerUrl
    """Redis or Valkey that carries task messages; `redis+socket:///path?virtual_host=0` for a unix socket."""
    database_url: SecretStr | None = None
    """SQL database of runs and steps; unset, SQLite in `.mstar/mstar.sqlite` below home."""
    # At least 4, since the coordinator looks once a second and must look twice in a lease (`scheduler.leases`).
    lease_seconds: float = Field(default=20.0, ge=4)
    """A worker that sends no heartbeat for this long loses its step. The coordinator checks once a second."""
    republish_seconds: float = Field(default=5.0, gt=0)
    """Task messages older than this are sent again when their queue is empty."""
    stream_training: bool = True
    """Begin training with the first selected shard, while the others are still sampled and scored."""
    gpu_sharing: GpuSharing = GpuSharing.DEDICATED
    """`dedicated`: each service has its own GPUs. With the other two, policy, PRM and trainer take turns on the same
    GPUs, and training waits for all of its data: `scaleToZero` starts and stops pods of a Kubernetes cluster,
    `colocated` puts services to sleep."""
    stuck_seconds: float = Field(default=900.0, gt=0)
    """A turn on the GPUs that pods hold up for this long, by not starting or not ending, is reported as a problem."""
    policy_url: str | None = None
    """Policy to put to sleep; required with colocated, as is prm_url."""
    cluster_namespace: str = "default"
    """Where the chart is installed; used with scaleToZero, as are the next five."""
    cluster_instance: str = "mstar"
    """Name of the chart's release, which is a label of its pods."""
    cluster_prefix: str = "mstar"
    """Prefix of the names of its deployments."""
    policy_replicas: int = Field(default=1, ge=1)
    """Pods of the policy while it has the GPUs."""
    prm_replicas: int = Field(default=1, ge=1)
    """Pods of the PRM while it has the GPUs."""
    job_template: Path = Path("/etc/mstar/trainer-job.yaml")
    """Manifest of the training Job, as the chart renders it."""
    data_root: Path = Field(default_factory=Path.cwd)
    """Folder below which recipes may name data sets and models; relative paths start here."""
    recipes_folder: Path = RECIPES
    """Folder of the recipes that can be started by name."""
    reserve_bytes: int = Field(default=500_000_000, ge=0)
    """Disk space that must be free beyond a new run's checkpoints, or the run is refused."""

    data_check_seconds: float = Field(default=20.0, gt=0, le=50)
    """Time limit for checking a run's data set before the run is started or refused. What is not checked by then is
    left to the run's first step."""
    import_days: float = Field(default=30.0, gt=0)
    """How long an imported data set is kept after a run last opened it; a run that needs it later imports it again."""
    training_gpu_gb: float | None = Field(default=None, gt=0)
    """Memory of each training GPU. A run whose training would not fit, by the estimate of `mstar plan`, is refused.
    Unset, this is not checked."""
    training_four_bit: bool = False
    """Whether the trainers have bitsandbytes, so that recipes may set `lora.quantize`."""

    @model_validator(mode="after")
    def _scores_are_asked_for_with_a_key(self) -> Self:
        if self.prm_url is not None and self.keys() and self.score_key is None:
            raise ValueError("prm_url is set and the other roles have keys: set score_key too, or unset prm_url")
        return self

    @model_validator(mode="after")
    def _provider_is_whole(self) -> Self:
        if not self.oidc_issuer:
            return self
        if not self.keys():
            raise ValueError("oidc_issuer is set, and the service asks for no key: set run_admin_key and internal_key")
        for name, url in (("oidc_issuer", self.oidc_issuer), ("public_url", self.public_url)):
            if not url or not _is_safe(url):
                raise ValueError(f"{name}: write https://…, or http://localhost… where it is on this machine")
        if not self.oidc_client_id or self.oidc_client_secret is None:
            raise ValueError("oidc_issuer is set: set oidc_client_id and oidc_client_secret too")
        if not self.oidc_roles:
            raise ValueError("oidc_issuer is set, and nobody would have a role: set oidc_roles")
        if bool(self.oidc_project_claim) is not bool(self.oidc_projects):
            raise ValueError("set oidc_project_claim and oidc_projects both, or neither")
        self.claim_rules()
        return self

    def claim_rules(self) -> ClaimRules:
        """What claims open. Raises ValueError for a role or project that can't be."""
        roles, projects = read_roles(self.oidc_roles), read_projects(self.oidc_projects)
        return ClaimRules(self.oidc_role_claim, roles, self.oidc_project_claim, projects)

    def provider_proof(self) -> bytes:
        """Changes with the provider and what its claims open; empty without one."""
        if not self.oidc_issuer:
            return b""
        return repr((self.oidc_issuer, self.oidc_client_id, self.claim_rules())).encode()

    @model_validator(mode="after")
    def _sleepers_are_known(self) -> Self:
        if self.gpu_sharing is GpuSharing.COLOCATED and (self.policy_url is None or self.prm_url is None):
            raise ValueError("gpu_sharing is colocated: set policy_url and prm_url, or use dedicated")
        return self

    @model_validator(mode="after")
    def _trackers_are_known(self) -> Self:
        self.trackers()
        return self

    def trackers(self) -> tuple[Tracker, ...]:
        """Those of `tracking`. Raises ValueError for one that nobody knows."""
        names = [name.strip() for name in self.tracking.split(",") if name.strip()]
        if unknown := [name for name in names if name not in list(Tracker)]:
            raise ValueError(f"tracking: {unknown[0][:40]!r} is not one of {', '.join(Tracker)}")
        return tuple(map(Tracker, names))

    def store_url(self) -> str:
        """URL of the database to open."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        # Quoted, since the folder may be called anything: `?` would begin the options, and `%41` would be read as A.
        return f"sqlite:///{quote(str(self.home.absolute() / '.mstar' / 'mstar.sqlite'), safe=' +/')}"


def _is_safe(url: str) -> bool:
    """Whether a URL is one that nobody on the way can read or change, and has no more than scheme, host and path."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.query or parts.fragment or parts.username is not None or not host:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
