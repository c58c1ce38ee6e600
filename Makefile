# The course's commands. Needed: make, and Python 3.11, 3.12 or 3.13. Each command first sets up what it needs in .venv.
#
#   make lab LAB_ARGS="--no-browser --port 9000"     passes arguments on to JupyterLab
#   make lab PYTHON=/path/to/python3.12              chooses the Python to set up with

.PHONY: teach test test-all release handout roster collect grade feedback export bench train docs site lint lock
.PHONY: version show rerun drop rename solution backup restore
.PHONY: programs given_TO given_FROM given_STUDENT given_CHECK given_OLD given_NEW given_PHASE
include setup.mk

teach: .venv/lab     ## open JupyterLab with nbgrader's tools: Formgrader, Create Assignment, Validate
	$(jupyterlab) $(LAB_ARGS)

all = $(filter test-all,$(MAKECMDGOALS))
test: .venv/dev      ## run the tests that need Python alone, on all cores: some minutes
	$(pytest) --ignore=tests/system -m "not slow" $(if $(all),--no-skips --cov --cov-report=)
	$(if $(all),,@echo "Left out: tests/system (JupyterLab in a browser, the sandbox, attacks, whole classes, whole notebooks), and"; \
	echo "what computes for long (a killed training, each wrong artifact). make test-all runs everything. It needs Linux.")

test-all: programs test  ## run every test, in the sandbox and in a real browser too (Linux)
	$(pytest) -m slow --no-skips --cov --cov-append --cov-report=term
# Tests that share a class or a server go to one process; the long ones, in tests/system, are first in the alphabet.
programs:
	@$(find_python); "$$python" tests/helpers/needs.py
pytest = $(python) -m pytest --numprocesses=auto --dist=loadgroup --no-loadscope-reorder

release: .venv/lab   ## source/ to the learners' notebooks/
	$(python) -m autograder release

version: given_PHASE .venv/lab  ## hand out other cells beside those that were handed in: make version PHASE=phase2_techniques
	$(python) -m autograder version "$(PHASE)"

handout: given_TO .venv/lab    ## make the learners' own repository: make handout TO=../learners
	$(python) -m autograder handout "$(TO)"

roster: given_FROM .venv/lab    ## bring a learning platform's list of people into roster.csv: make roster FROM=participants.csv
	$(python) -m autograder roster "$(FROM)" $(ARGS)

collect: given_FROM .venv/lab  ## bring a learning platform's export, or a folder, into submitted/: make collect FROM=export.zip
	$(python) -m autograder collect "$(FROM)" $(ARGS)

# Said before anything is set up.
given_TO:
	$(if $(TO),,$(error Name the folder of the learners' repository: make handout TO=../learners))
given_FROM:
	$(if $(FROM),,$(error Name the file: make collect FROM=export.zip, make roster FROM=participants.csv, or make restore FROM=backups/course-....zip))
given_STUDENT:
	$(if $(STUDENT),,$(error Name the learner by their id: make $(MAKECMDGOALS) STUDENT=ada-lovelace))
given_PHASE:
	$(if $(PHASE),,$(error Name the assignment: make version PHASE=phase2_techniques))
given_CHECK:
	$(if $(CHECK),,$(error Name the check as on the feedback page: make rerun STUDENT=ada-lovelace CHECK=mask_count))
given_OLD given_NEW:
	$(if $(and $(OLD),$(NEW)),,$(error Name both ids: make rename OLD=smith NEW=sam-smith))

grade: .venv/lab     ## grade all that is new in submitted/, sandboxed and in parallel: make grade ARGS="--workers 4"
	$(python) -m autograder grade $(ARGS)

feedback: .venv/lab  ## write feedback/ for everything graded
	$(python) -m autograder feedback $(ARGS)

export: .venv/lab    ## write grades/: tables, a page about the class, and what Moodle and Canvas take
	$(python) -m autograder export $(ARGS)

# A term's exceptions. ARGS="--assignment phase2_techniques" says which one, where it matters.
show: given_STUDENT .venv/lab     ## a learner's answers beside the solutions, in one page: make show STUDENT=ada-lovelace
	$(python) -m autograder show "$(STUDENT)" $(ARGS)

rerun: given_STUDENT given_CHECK .venv/lab  ## run one check again with the same random inputs: make rerun STUDENT=ada-lovelace CHECK=mask_count
	$(python) -m autograder rerun "$(STUDENT)" "$(CHECK)" $(ARGS)

drop: given_STUDENT .venv/lab     ## take a learner out of the course: make drop STUDENT=ada-lovelace
	$(python) -m autograder drop "$(STUDENT)" $(ARGS)

rename: given_OLD given_NEW .venv/lab  ## give a learner another id, or make two ids one: make rename OLD=smith NEW=sam-smith
	$(python) -m autograder rename "$(OLD)" "$(NEW)"

solution: .venv/lab  ## grade the course's own solutions: the self-test
	$(python) -m autograder solution $(ARGS)

backup: .venv/lab    ## write all of this term into one zip in backups/
	$(python) -m autograder backup $(if $(TO),"$(TO)")

restore: given_FROM .venv/lab     ## bring a backup back: make restore FROM=backups/course-2026-11-20-120000.zip
	$(python) -m autograder restore "$(FROM)"

bench: .venv/dev     ## measure speed, memory and quality here, beside other libraries; a missed bar stops nothing
	-$(python) benchmarks/model_speed.py
	-$(python) benchmarks/load_memory.py
	-$(python) benchmarks/prune_memory.py
	-$(python) benchmarks/course_speed.py
	-$(python) benchmarks/selection.py
	-$(python) benchmarks/admm.py
	-$(python) benchmarks/calibration.py
	-$(python) benchmarks/one_shot.py
	-$(python) benchmarks/refit.py
	-$(python) benchmarks/structured.py
	-$(python) benchmarks/masked_training.py
	-$(python) benchmarks/storage.py
	-$(python) benchmarks/gradual.py
	-$(python) benchmarks/controls.py
	-$(python) benchmarks/deploy.py
	-$(python) benchmarks/serving.py
	-$(python) benchmarks/challenges.py
	-$(python) benchmarks/busy.py
	-$(python) benchmarks/busy_class.py
	-$(python) benchmarks/grading.py

train: .venv/lab     ## train gpt2-mini again
	$(python) -m gpt2_lib.train

site: .venv/dev      ## the course as a website in build/site: notebooks with what they show, the guide, the docs
	$(python) -m docs.website

docs: .venv/dev      ## draw the pictures and write the model card again
	$(python) docs/make.py

lint: .venv/dev      ## ruff: style and format; pyright: types; and whether the notebooks are as their sources say
	@failed=; \
	for tool in "ruff check" "ruff format --check" "pyright --project ." "autograder check-release"; do \
	  echo "$$tool"; $(python) -m $$tool || failed="$$failed, $$tool"; \
	done; \
	[ -z "$$failed" ] || { echo "Failed: $${failed#, }" >&2; exit 1; }

# The newest versions that pyproject.toml allows, for every platform and Python it names. PyTorch stays where it is: drop
# its constraint to move it. Its CUDA libraries are left out: pip adds them itself where it installs the CUDA build.
lock: .venv/dev      ## pin the newest versions in requirements*.lock
	$(pip_install) uv
	grep '^torch==' requirements.lock > .venv/torch.txt
	$(compile) --extra course --extra deploy -c .venv/torch.txt -o .venv/all.lock
	$(tidy) .venv/all.lock | uniq > requirements.lock
	$(compile) --all-extras -c requirements.lock -o .venv/all.lock
	$(tidy) .venv/all.lock | uniq > requirements-dev.lock

compile = $(python) -m uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --upgrade --no-header --no-annotate
tidy = sed -E '/^(nvidia-|cuda-|triton)/d; s/^(torch==[0-9.]+).*/\1/'

dev_size := 3200
.venv/dev: .venv/lab requirements-dev.lock
	@echo "Setting up the tests' tools: once, a few minutes, about 0.4 GB more to download and 1.6 GB more on disk."
	@rm -f .venv/dev
	@$(call install,-r requirements-dev.lock,$(dev_size))
	@touch .venv/dev
