# Two commands: `make report` and `make test`. Both set up `.venv/` first.
# PYTHON=python3.12 picks an interpreter; ARGS="--configfile my.yaml" reaches Snakemake.

PYTHON ?= python3
TARGET ?= report
BIN := .venv/bin
INSTALLED := .venv/.installed
RUN_LOCK := results/.lock

.PHONY: report test test-kills lint lock clean help

report: $(INSTALLED)
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
	$(BIN)/python -m pytest

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

# For whoever changes requirements/direct.in; needs uv.
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header \
	  --quiet requirements/direct.in --output-file requirements/locked.txt

clean:
	rm -rf .venv .snakemake results

help:
	@echo "make report   set up, run the workflow, print where the report is"
	@echo "make test     set up, linters and tests"
	@echo "make test-kills  kill runs at random moments; see docs/interruptions.md"
