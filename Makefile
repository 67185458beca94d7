# `make demo` and `make test` are all a newcomer needs: each prepares the machine first (see assets/setup/with).
with := assets/setup/with

.PHONY: help demo test check fmt vm-test bench build shell

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## a sample repository with open changes, under review, in the browser
	@$(with) cargo run -- demo $(DEMO)

test: ## the whole test suite, on real Nix; TEST=… picks tests by name
	@$(with) .ci/test $(TEST)

check: ## formatting and lints
	@$(with) .ci/check

vm-test: ## the units, limits and kills under systemd, in a virtual machine
	@$(with) vm-tests/debian

fmt: ## format the sources
	@$(with) cargo fmt

bench: ## the figures: 1,000 small builds beside nix-build, and others
	@$(with) cargo bench $(BENCH)

build: ## the program, optimised: target/release/snowgate
	@$(with) cargo build --release

shell: ## a shell with the Nix that the other targets use
	@$(with) "$${SHELL:-bash}"
