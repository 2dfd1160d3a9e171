"""The services behind an evaluation: ones that serve already, or ones started here once a response is missing.

A finished evaluation is shown again, judged anew or compared without loading a model.
"""

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from mstar.errors import InvalidInput
from mstar.http_json import Target
from mstar.judges import Benchmark
from mstar.judges.asking import Asking
from mstar_eval.models import Measured, folder_version
from mstar_eval.responses import Settings
from mstar_eval.services import ModelServices, SamplingOptions

KEY = "MSTAR_EVAL_KEY"
"""Variable with the bearer key of services that are named by address."""
Notice = Callable[[str], None]


class Session:
    """A model to measure, and a PRM where the best of n is asked for.

    A context manager: services that it started stop at its end.
    """

    def __init__(self, about: Measured, prm: str | Path | None, home: Path, notice: Notice = lambda line: None) -> None:
        """`prm`: a model folder or an address. `home`: where services that are started keep their logs."""
        self.about, self._prm, self._home, self._notice = about, prm, home, notice
        self._stack = ExitStack()
        self._running: ModelServices | None = None
        self._versions: tuple[str, str] | None = None

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def settings(
        self, benchmark: Benchmark, data_sha256: str, how: SamplingOptions, seed: int, asking: Asking
    ) -> Settings:
        """How responses are made. Raises Unavailable where a service that was named by address does not answer."""
        model_version, prm_version = self._both_versions()
        return Settings(
            benchmark=benchmark.name,
            data_sha256=data_sha256,
            model=self.about.name,
            model_version=model_version,
            n=how.n,
            temperature=how.temperature,
            max_tokens=how.max_tokens,
            top_p=how.top_p,
            seed=seed,
            asking=asking,
            prm_version=prm_version,
        )

    @property
    def separator(self) -> str | None:
        """What separates the steps of a run's policy, whatever prompt it is asked with; None for one of no run."""
        return None if self.about.form is None else self.about.form.step_separator

    def services(self) -> ModelServices:
        """The services, started if need be. Raises Unavailable when a model cannot be loaded."""
        if self._running is None:
            self._running = self._started()
            # Asked at once: a model that cannot be loaded fails here, not with the first shard.
            self._running.weights()
        return self._running

    def _started(self) -> ModelServices:
        named = {"policy": self.about.folder, "prm": self._prm}
        folders = {name: folder for name, folder in named.items() if isinstance(folder, Path)}
        targets = {"policy": target_of(self.about.url)} if self.about.url else {}
        if isinstance(self._prm, str):
            targets["prm"] = target_of(self._prm)
        if not folders:
            return self._stack.enter_context(ModelServices(targets["policy"], targets.get("prm")))
        # Only here: whoever measures a service by its address needs no supervisor.
        from mstar_embedded.models import served_models

        supervisor, urls = self._stack.enter_context(served_models(self._home, folders, self._notice))
        targets |= {name: Target(url) for name, url in urls.items()}
        services = ModelServices(targets["policy"], targets.get("prm"), broken=lambda: supervisor.failure)
        return self._stack.enter_context(services)

    def _both_versions(self) -> tuple[str, str]:
        """Of policy and PRM, without starting a service for a folder."""
        if self._versions is None:
            folder, prm = self.about.folder, self._prm
            # Of a folder by its files, without loading it: a finished evaluation starts no service.
            self._versions = (
                folder_version(folder) if folder else self.services().version,
                folder_version(prm) if isinstance(prm, Path) else self.services().prm_version() if prm else "",
            )
        return self._versions


def prm_of(given: str | None, about: Measured, samples: int) -> str | Path | None:
    """The PRM to rank with: the one that is named, else the run's own; None for greedy answers. Raises InvalidInput."""
    # One response needs no ranking, so its PRM is not even loaded.
    if samples == 1 or given == "none":
        return None
    if given is None:
        return about.prm
    if given.startswith(("http://", "https://")):
        return given
    if not (Path(given) / "config.json").is_file():
        raise InvalidInput(f"--prm {given}: neither an address nor a folder with a model", field="prm")
    return Path(given)


def target_of(url: str) -> Target:
    """A service that is named by address, with the key of the environment."""
    return Target(url, os.environ.get(KEY) or None, "the address", KEY)
