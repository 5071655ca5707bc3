# make demo   train on the bundled pictures, from nothing
# make test   run all tests, from nothing
# make bench  run a short version of the benchmarks of speed
# All make their own virtual environment in .venv first. PYTHON=python3.12
# chooses another interpreter for it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BROWSER := $(VENV)/.browser

.PHONY: help demo test bench clean

help:
	@sed -n 's/^# \{0,1\}//p;/^$$/q' Makefile

$(READY): setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and \
	"keras-transfer needs Python 3.11 or newer; " + sys.executable + " is " + \
	sys.version.split()[0] + ". Try: make PYTHON=python3.12 ...")'
	@echo "==> Making a virtual environment in $(VENV) (a few minutes, once)"
	@$(PYTHON) -m venv --clear $(VENV)
	@echo "==> Installing keras-transfer with all it needs for demo and tests"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--no-input --editable ".[test]"
	@touch $(READY)

# One test looks at TensorBoard's pages, and is skipped without a browser.
$(BROWSER): $(READY) tests/board/install_chromium.sh
	@sh tests/board/install_chromium.sh
	@touch $(BROWSER)

demo: $(READY)
	@echo "==> Training EfficientNet-Lite0 on the clip art in examples/data"
	@$(BIN)/python examples/classify_images.py --side 128 --epochs 20

test: $(READY) $(BROWSER)
	@echo "==> Checking the style of the code"
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --check --quiet .
	@echo "==> Running the tests"
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal

bench: $(READY)
	@for run in "batch_norm" "extraction --images 500 --rounds 1" \
		"partial --images 320 --rounds 1" \
		"scale --examples 1000 10000" "input --images 500 --rounds 1" \
		"unfreezing --rounds 1" "board --images 200 --rounds 1"; do \
		set -- $$run; echo "==> benchmarks/$$1.py"; \
		$(BIN)/python benchmarks/$$1.py $${run#$$1} || exit 1; \
	done

clean:
	rm -rf $(VENV) build dist *.egg-info
