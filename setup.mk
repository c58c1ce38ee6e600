# What learners and instructors need alike: lab, check, clean, and the set-up of .venv. The Makefile includes it.

.PHONY: help lab check clean
.DEFAULT_GOAL := help

PYTHON ?= python3 python3.13 python3.12 python3.11
LAB_ARGS ?=
folder := $(CURDIR)
PHASE_1 := notebooks/phase1_overview/phase1_overview.ipynb

python := .venv/bin/python
# PIP_USER=0: some clusters set it, and pip then refuses to install into .venv.
pip_install := PIP_USER=0 $(python) -m pip install --disable-pip-version-check

help:      ## list the commands
	@awk -F ' *## ' '/^[a-z-]+:.* ## / { sub(/:.*/, "", $$1); printf "  make %-10s %s\n", $$1, $$2 }' setup.mk Makefile

lab: .venv/lab       ## open Phase 1 in JupyterLab
	$(jupyterlab) --LabApp.app_settings_dir=gpt2_lib/course/jupyterlab $(LAB_ARGS) $(wildcard $(PHASE_1))
jupyterlab = JUPYTER_PREFER_ENV_PATH=1 $(python) -m jupyterlab $(as_root) --ServerApp.root_dir="$(folder)"

check: .venv/lab     ## grade your own notebooks where they are: points, and what is wrong
	$(python) -m autograder check

clean:               ## remove .venv and the caches of tools and of Python; never a notebook
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . \( -name submitted -o -name .git \) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# A container's user is root, and JupyterLab wants that said.
as_root = $(shell [ "$$(id -u)" != 0 ] || echo --allow-root)

# .venv/lab and .venv/dev stand where an install is complete; .venv/lab holds this folder's path. An install that was
# interrupted, a folder that moved, a Python that went away or became another version, which knows nothing of what was
# installed for the old one: none of these is trusted, and .venv is made anew. When only a lock changed, .venv is
# brought up to date where it is.
whole := $(shell [ "$$(cat .venv/lab 2>/dev/null)" = "$$(pwd -P)" ] && $(python) -c 'import pip' 2>/dev/null && echo yes)
ifneq ($(whole),yes)
.PHONY: .venv/lab
endif

# Where there is no home, or none to write to, pip, Jupyter and Matplotlib keep their files in .venv.
ifneq ($(shell [ -w "$$HOME" ] && echo yes),yes)
export HOME := $(CURDIR)/.venv/home
endif

# Megabytes of .venv, measured on Linux with PyTorch's CPU build.
lab_size := 1600

.venv/lab: requirements.lock pyproject.toml
ifneq ($(whole),yes)
	@$(find_python); \
	  echo "Setting up .venv with $$("$$python" --version): once, a few minutes," \
	    "about 0.4 GB to download and 1.6 GB on disk."; \
	  "$$python" -m venv --clear .venv || $(call stop,$(lab_size))
endif
	@rm -f .venv/lab .venv/dev
	@$(cpu_torch)
	@$(call install,-r requirements.lock,$(lab_size))
	@# By a path, which type checkers follow too: setuptools' own way is a hook that they don't run.
	@$(call install,--no-deps --config-settings editable_mode=compat -e .,$(lab_size))
	@# For every kernel of .venv: a name that a cell above makes is said to be missing in a sentence, with that cell.
	@mkdir -p .venv/etc/ipython && cp gpt2_lib/course/jupyterlab/ipython_kernel_config.json .venv/etc/ipython/
	@printf '%s' "$$(pwd -P)" > .venv/lab

# Without an NVIDIA GPU, Linux has no use for the CUDA libraries that PyPI's PyTorch brings, several gigabytes, so
# PyTorch's own index of CPU builds is asked first. The limit is on each wait for an answer, not on the download. pip's
# complaints are hidden, because nothing is lost: where that index is out of reach, pip's own has PyTorch, too.
# TORCH_INDEX= (empty) leaves this out.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
TORCH_TIMEOUT ?= 20
NVIDIA_DRIVER ?= /proc/driver/nvidia/version
define cpu_torch
if [ -z "$(TORCH_INDEX)" ] || [ "$$(uname -s)" != Linux ]; then :; \
	elif [ -e "$(NVIDIA_DRIVER)" ] || nvidia-smi >/dev/null 2>&1; then \
	  echo "An NVIDIA GPU is here: PyTorch comes with CUDA, several GB more."; \
	else \
	  torch=$$($(python) -c '$(missing_torch)'); \
	  if [ -n "$$torch" ]; then \
	    echo "pip install $$torch"; \
	    $(pip_install) --no-deps --index-url "$(TORCH_INDEX)" --timeout $(TORCH_TIMEOUT) --retries 0 "$$torch" 2>/dev/null || \
	      echo "$(TORCH_INDEX) gave no CPU build of PyTorch, so pip's own index is asked:" \
	        "it may add some GB for CUDA."; \
	  fi; \
	fi
endef

# Prints the CPU build of the PyTorch that requirements.lock pins, unless that version is installed, whatever its build.
define missing_torch
import importlib.metadata as m, re; \
	  pin = re.search("torch==([0-9.]+)", open("requirements.lock").read())[1]; \
	  here = [d.version.split("+")[0] for d in m.distributions(name="torch")]; \
	  print("" if pin in here else f"torch=={pin}+cpu")
endef

# pip's last lines seldom say what to do.
define install
echo "pip install $(1)"; $(pip_install) $(1) || $(call stop,$(2))
endef

# Ends a command. $(1): how many megabytes .venv needs. pip unpacks in the folder for temporary files.
define stop
{ room() { df -Pk "$$1" | { read -r _; read -r _ _ _ free _; echo $$(($${free:-999999999} / 1024)); }; }; \
	  held=$$(du -sk .venv 2>/dev/null | { read -r size _; echo $$(($${size:-0} / 1024)); }); \
	  here=$$(($$(room .) + $$held)); temporary=$${TMPDIR:-/tmp}; \
	  if [ $$here -lt $(1) ]; then \
	    echo "The set-up stopped, because the disk is too full: .venv needs about $(1) MB and can have $$here MB." \
	      "Make room, then give the same command again."; \
	  elif [ "$$(room "$$temporary")" -lt 500 ]; then \
	    echo "The set-up stopped, because $$temporary is too full: pip needs about 500 MB there." \
	      "Make room, or name another folder with TMPDIR=, then give the same command again."; \
	  else \
	    echo "The set-up stopped for the reason above, most often the network (behind a proxy, set HTTPS_PROXY)." \
	      "Then give the same command again."; \
	  fi >&2; exit 1; }
endef

# Sets $python to the first of $(PYTHON) that fits, or says what to install.
define find_python
found=; seen=; for python in $(PYTHON); do \
	  if "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then \
	    "$$python" -c 'import ensurepip, venv' 2>/dev/null && found=yes && break; no_venv=$$python; \
	  fi; \
	  version=$$("$$python" --version 2>&1) && seen="$${seen:+$$seen, }$$python is $$version"; \
	done; \
	if [ -z "$$found" ]; then \
	  if [ -n "$$no_venv" ]; then \
	    echo "$$no_venv can't make virtual environments. On Debian and Ubuntu: sudo apt install python3-venv"; \
	  else \
	    echo "Python 3.11, 3.12 or 3.13 is needed, and none is among: $(PYTHON) ($${seen:-none is installed})."; \
	    echo "Install one, or name one you have: make lab PYTHON=/path/to/python3.12"; \
	  fi >&2; exit 1; \
	fi
endef
