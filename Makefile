# A later call resumes where an earlier one stopped; every failure says in one line how to fix it.

PYTHON ?= python3
VENV_PYTHON = .venv/bin/python
# Notebooks run in their own folder, so a relative MNIST_DIR has to become absolute first.
ENV = if [ -n "$$MNIST_DIR" ]; then MNIST_DIR=$$(cd "$$MNIST_DIR" && pwd) || exit 1; export MNIST_DIR; fi;

EXECUTE = $(VENV_PYTHON) -m nbconvert --to notebook --execute --CoalesceStreamsPreprocessor.enabled=True --output-dir out
AT_ONCE = 1

# SHORT=1 with `notebooks` or `lab`: every training is one epoch, and there are 9,000 digits to train on instead of 60,000.
# What is left is compiling cells, one after the other: two notebooks at once keep two cores busy.
ifeq ($(SHORT),1)
export DIGIT_GAN_EPOCHS = 1
export DIGIT_GAN_DIGITS = 9000
AT_ONCE = 2
endif

.PHONY: notebooks lab mnist test bench quality bench-kernel site setup setup-tests clean

notebooks: setup  ## execute the notebooks in the Rust kernel, into out/
	@echo "Executing the notebooks: a full training takes minutes; SHORT=1 shortens it."
	@$(ENV) printf '%s\n' notebooks/*.ipynb | xargs -n 1 -P $(AT_ONCE) sh -c '$(EXECUTE) "$$0" || exit 255'
	@$(VENV_PYTHON) -m nbconvert --to html --output-dir out out/*.ipynb
	@cp notebooks/*.md out/
	@echo "The notebooks with their outputs, as .ipynb and .html: $$PWD/out"

mnist:  ## fetch MNIST into data/mnist, or SET=fashion-mnist, kmnist, qmnist, emnist
	@$(PYTHON) kernel/sets.py $(SET)

lab: setup  ## JupyterLab with the Rust kernel
	@$(ENV) $(VENV_PYTHON) -m jupyterlab notebooks

test: setup-tests  ## all tests
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy --workspace --all-targets --features cli -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --features cli --no-deps
	@$(ENV) cargo test --workspace --features cli
	@$(ENV) $(VENV_PYTHON) -m pytest tests/python -ra -n 2 --dist loadfile

bench:  ## a training step against PyTorch, Keras, JAX, burn and candle-nn; BENCH="--quick" for minutes instead of hours
	@$(PYTHON) bench/bench.py $(BENCH)

quality:  ## trials of recipes, three seeds each, into bench/QUALITY.md; hours
	@$(ENV) $(PYTHON) bench/quality.py $(QUALITY)

bench-kernel: setup-tests  ## what the kernel costs; COLD=--cold builds its dependencies anew as well
	@$(VENV_PYTHON) tests/python/bench_kernel.py $(COLD)

site: .venv-site/installed  ## the lesson as a site, into out/site; DRAWING=digits.html puts that page on its front
	@DRAWING="$(DRAWING)" .venv-site/bin/python -m sphinx -q -W --keep-going -c site . out/site
	@echo "The site: $$PWD/out/site/index.html"

.venv-site/installed: site/requirements.txt
	@$(PYTHON) -m venv .venv-site
	@.venv-site/bin/python -m pip install --quiet --disable-pip-version-check -r $< && touch $@

setup:  ## tools, kernel, MNIST if it can be had, compiled dependencies
	@$(PYTHON) kernel/prepare.py

setup-tests:
	@$(PYTHON) kernel/prepare.py --tests

clean:
	rm -rf .venv .venv-bench .venv-site target bench/burn/target out
