# Two commands: `make report` and `make test`. Both set up `.venv/` first.
# PYTHON=python3.12 picks an interpreter; ARGS="--configfile my.yaml" reaches Snakemake;
# PROFILE=profiles/slurm runs the jobs on a cluster, see docs/slurm.md.

PYTHON ?= python3
TARGET ?= report
BIN := .venv/bin
INSTALLED := .venv/.installed
RUN_LOCK := results/.lock
# Snakemake's plug-in for SLURM is kept apart from .venv/: it is on the path only where it is used.
SLURM := .slurm-plugin

.PHONY: report test test-slurm test-kills lint lock clean help

report: $(INSTALLED)
ifdef PROFILE
report: $(SLURM)/.installed
report: export PYTHONPATH := $(CURDIR)/$(SLURM)
report: private override ARGS += --workflow-profile $(PROFILE)
endif
report:
	@mkdir -p results && [ -w results ] || \
	  { echo "Results go to $(CURDIR)/results, which cannot be written to." >&2; exit 1; }
	@if [ -n "$$(ls -A .snakemake/locks 2>/dev/null)" ]; then \
	  flock --nonblock $(RUN_LOCK) true || \
	    { echo "Another run is going on in this folder; wait for it to end." >&2; exit 75; }; \
	  echo "An earlier run was cut off; going on where it stopped."; \
	  $(BIN)/snakemake --unlock >/dev/null 2>&1; \
	fi
	@$(BIN)/snakemake $(TARGET) $(ARGS)
	@echo "The report: $(CURDIR)/results/report/index.html"

test: $(INSTALLED) lint
	$(BIN)/python -m pytest --numprocesses 2 --no-loadscope-reorder

# On whatever SLURM there is; its nodes must see this folder.
test-slurm: $(INSTALLED)
	@command -v sbatch >/dev/null || \
	  { echo "There is no SLURM here: no 'sbatch' on the PATH. See docs/slurm.md." >&2; exit 1; }
	@$(MAKE) --no-print-directory $(SLURM)/.installed
	@mkdir -p results
	PROFILE=$(PROFILE) PLUGIN=$(CURDIR)/$(SLURM) $(BIN)/python -m pytest tests/slurm --basetemp=results/test-slurm $(ARGS)

# 50 kills at random moments; hours long: docs/interruptions.md.
test-kills: $(INSTALLED)
	$(BIN)/python benchmarks/kill_runs.py $(ARGS)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint

$(INSTALLED): requirements/locked.txt requirements/torch.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; this is $$($(PYTHON) --version). Set PYTHON=..." >&2; exit 1; }
	@[ ! -L .venv ] || \
	  { echo ".venv is a link to an older set-up; bring that up to date, or remove the link." >&2; exit 1; }
	@echo "Setting up .venv (about two minutes, 3 GB) ..."
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/locked.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/torch.txt
	@touch $@

$(SLURM)/.installed: requirements/slurm.txt | $(INSTALLED)
	@rm -rf $(SLURM)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target $(SLURM) -r requirements/slurm.txt
	@touch $@

# For whoever changes requirements/direct.in; needs uv.
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header \
	  --quiet requirements/direct.in --output-file requirements/locked.txt

clean:
	rm -rf .venv .slurm-plugin .snakemake results

help:
	@echo "make report   set up, run the workflow, print where the report is"
	@echo "make test     set up, linters and tests"
	@echo "make report PROFILE=profiles/slurm   the same on a SLURM cluster; make test-slurm tests it"
	@echo "make test-kills  kill runs at random moments; see docs/interruptions.md"
