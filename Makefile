# The course's commands. Needed: make, and Python 3.11, 3.12 or 3.13. Each command first sets up what it needs in .venv.
#
#   make lab LAB_ARGS="--no-browser --port 9000"     passes arguments on to JupyterLab
#   make lab PYTHON=/path/to/python3.12              chooses the Python to set up with

.PHONY: help lab test check release handout collect grade feedback export bench train docs lint lock clean
.DEFAULT_GOAL := help

PYTHON ?= python3 python3.13 python3.12 python3.11
LAB_ARGS ?=
folder := $(CURDIR)
PHASE_1 := notebooks/phase1_overview/phase1_overview.ipynb

python := .venv/bin/python
pip_install := $(python) -m pip install --disable-pip-version-check

help:      ## list the commands
	@awk -F ' *## ' '/^[a-z]+:.* ## / { sub(/:.*/, "", $$1); printf "  make %-10s %s\n", $$1, $$2 }' Makefile

lab: .venv/lab       ## open Phase 1 in JupyterLab
	JUPYTER_PREFER_ENV_PATH=1 $(python) -m jupyterlab $(as_root) --ServerApp.root_dir="$(folder)" $(LAB_ARGS) $(wildcard $(PHASE_1))

test: .venv/dev      ## run every test
	$(python) -m pytest

check: .venv/lab     ## grade your own notebooks where they are: points, and what is wrong
	$(python) -m autograder check

release: .venv/dev   ## source/ to the learners' notebooks/
	$(python) -m autograder release

handout: .venv/dev   ## make the learners' own repository: make handout TO=../learners
	$(python) -m autograder handout "$(TO)"

collect: .venv/lab   ## bring a Moodle or Canvas export, or a folder, into submitted/: make collect FROM=export.zip
	$(python) -m autograder collect "$(FROM)"

grade: .venv/lab     ## grade all that is new in submitted/, sandboxed and in parallel: make grade ARGS="--workers 4"
	$(python) -m autograder grade $(ARGS)

feedback: .venv/lab  ## write feedback/ for everything graded
	$(python) -m autograder feedback

export: .venv/lab    ## write grades/: a CSV and a page about the class
	$(python) -m autograder export

bench: .venv/dev     ## measure speed, memory and quality here, beside other libraries; a missed bar stops nothing
	-$(python) benchmarks/model_speed.py
	-$(python) benchmarks/load_memory.py
	-$(python) benchmarks/course_speed.py
	-$(python) benchmarks/selection.py
	-$(python) benchmarks/one_shot.py
	-$(python) benchmarks/structured.py
	-$(python) benchmarks/masked_training.py
	-$(python) benchmarks/storage.py
	-$(python) benchmarks/gradual.py
	-$(python) benchmarks/deploy.py
	-$(python) benchmarks/serving.py
	-$(python) benchmarks/challenges.py
	-$(python) benchmarks/grading.py

train: .venv/lab     ## train gpt2-mini again
	$(python) -m gpt2_lib.train

docs: .venv/lab      ## draw the pictures and write the model card again
	$(python) docs/make.py

lint: .venv/dev      ## ruff: style and format
	$(python) -m ruff check
	$(python) -m ruff format --check

# The newest versions that pyproject.toml allows, for every platform and Python it names. PyTorch stays where it is: drop
# its constraint to move it. Its CUDA libraries are left out: pip adds them itself where it installs the CUDA build.
lock: .venv/dev      ## pin the newest versions in requirements*.lock
	$(pip_install) uv
	grep '^torch==' requirements.lock > .venv/torch.txt
	$(compile) --extra deploy -c .venv/torch.txt -o .venv/all.lock
	$(tidy) .venv/all.lock | uniq > requirements.lock
	$(compile) --all-extras -c requirements.lock -o .venv/all.lock
	$(tidy) .venv/all.lock | uniq > requirements-dev.lock

compile = $(python) -m uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --upgrade --no-header --no-annotate
tidy = sed -E '/^(nvidia-|cuda-|triton)/d; s/^(torch==[0-9.]+).*/\1/'

clean:               ## remove .venv and the caches of tools; never a notebook
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis *.egg-info

# A container's user is root, and JupyterLab wants that said.
as_root = $(shell [ "$$(id -u)" != 0 ] || echo --allow-root)

# .venv/lab and .venv/dev stand where an install is complete; .venv/lab holds this folder's path. An install that was
# interrupted, a folder that moved, a Python that went away: none of these is trusted, and .venv is made anew. When only
# a lock changed, .venv is brought up to date where it is.
whole := $(shell [ "$$(cat .venv/lab 2>/dev/null)" = "$(CURDIR)" ] && $(python) -c '' 2>/dev/null && echo yes)
ifneq ($(whole),yes)
.PHONY: .venv/lab
endif

.venv/lab: requirements.lock pyproject.toml
ifneq ($(whole),yes)
	@$(find_python); echo "Setting up .venv with $$($$python --version): once, a few minutes."; $$python -m venv --clear .venv
endif
	@rm -f .venv/lab .venv/dev
	$(pip_install) -r requirements.lock
	$(pip_install) --no-deps -e .
	@printf '%s' "$(CURDIR)" > .venv/lab

.venv/dev: .venv/lab requirements-dev.lock
	@rm -f .venv/lab .venv/dev
	$(pip_install) -r requirements-dev.lock
	@printf '%s' "$(CURDIR)" > .venv/lab; touch .venv/dev

# Sets $python to the first of $(PYTHON) that fits, or says what to install.
define find_python
found=; for python in $(PYTHON); do \
	  if "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then \
	    "$$python" -c 'import ensurepip' 2>/dev/null && found=yes && break; no_venv=$$python; \
	  fi; \
	done; \
	if [ -z "$$found" ]; then \
	  if [ -n "$$no_venv" ]; then \
	    echo "$$no_venv can't make virtual environments. On Debian and Ubuntu: sudo apt install python3-venv"; \
	  else \
	    echo "Python 3.11, 3.12 or 3.13 is needed, and none is among: $(PYTHON) ($$(python3 --version 2>&1))."; \
	    echo "Install one, or name one you have: make lab PYTHON=/path/to/python3.12"; \
	  fi >&2; exit 1; \
	fi
endef
