# The two that a newcomer needs: `make demo` and `make test`. Both bring what they need themselves.

PYTHON ?= python3
TARGET := $(or $(CARGO_TARGET_DIR),target)
LUCARNE := $(TARGET)/release/lucarne

# The version that the models were tested with. The wheel carries the shared library; nothing of its Python is used.
ORT_VERSION := 1.31.1
TRAINER := .lucarne/training/bin/python
ORT := .lucarne/onnxruntime/libonnxruntime.so.$(ORT_VERSION)
# Python packages that Lucarne is measured beside.
PEERS := .lucarne/bench/installed

.PHONY: demo test build fmt lint unit doc bless bench models clean

demo: build
	$(LUCARNE) run pipelines/01_first_light.yaml --overwrite
	$(LUCARNE) query runs/first_light -f pipelines/01_first_light.sql

build: $(ORT)
	cargo build --release --locked

test: fmt lint unit doc

fmt:
	cargo fmt --check

lint:
	cargo clippy --locked --all-targets -- -D warnings

unit: $(ORT)
	cargo test --locked

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps

# Writes again what tests hold: schemas and the expected output of mistakes and queries. Read the difference before you commit it.
bless: $(ORT)
	LUCARNE_BLESS=1 cargo test --locked

# Lucarne beside GalSim, fitsio, ONNX Runtime and pyarrow: `make bench`, or `make bench ONLY="blur observe --repetitions 9"`.
# The peers are installed once, into a folder of their own; LUCARNE_BENCH_PYTHON names an interpreter that has them already.
bench: $(ORT) $(if $(LUCARNE_BENCH_PYTHON),,$(PEERS))
	cargo bench --locked --bench peers -- $(ONLY)

# Trains the two ConvNets from nothing: about 15,000 images, 20 CPU minutes. PyTorch alone is 3 GB to fetch.
models: build $(TRAINER)
	$(LUCARNE) run pipelines/03_training_set.yaml --overwrite
	cd models && ../$(TRAINER) -m training --run ../runs/training_set --out . --networks convnet --trainings regular da --epochs 12 --seed 1

$(TRAINER): models/training/requirements.txt
	$(PYTHON) -m venv .lucarne/training
	$@ -m pip install --quiet --only-binary=:all: --requirement $<
	touch $@

$(PEERS): benches/requirements.txt
	$(PYTHON) -m venv .lucarne/bench
	.lucarne/bench/bin/python -m pip install --quiet --only-binary=:all: --requirement benches/requirements.txt
	touch $@

$(ORT):
	@$(PYTHON) -m pip --version >/dev/null 2>&1 || { echo "lucarne: ONNX Runtime comes from PyPI: install pip for $(PYTHON) (Debian: apt-get install python3-pip)" >&2; exit 1; }
	rm -rf .lucarne/wheel && mkdir -p .lucarne/wheel .lucarne/onnxruntime
	$(PYTHON) -m pip download --quiet --no-deps --only-binary=:all: --dest .lucarne/wheel onnxruntime==$(ORT_VERSION)
	$(PYTHON) -m zipfile -e .lucarne/wheel/*.whl .lucarne/wheel/unpacked
	cp .lucarne/wheel/unpacked/onnxruntime/capi/libonnxruntime.so.* .lucarne/onnxruntime/
	rm -rf .lucarne/wheel

clean:
	cargo clean
	rm -rf .lucarne runs
