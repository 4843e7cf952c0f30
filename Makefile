# Every task of this repository. `make` alone lists them.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.NOTPARALLEL:
.DEFAULT_GOAL := help

# Tools are built once into a folder of their own and found there by their version.
TOOLS   := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/serverplane-tools
LINTER  := $(TOOLS)/golangci-lint-v2.15.0
OUT     := out
FUZZ    ?= 30s
STORIES ?= .

# Packages with goroutines that share data and with tests that are quick even under the race detector.
RACED := ./internal/stream ./internal/secret ./internal/plane ./internal/mirror

# The longest package takes half a minute: one that waits for ever says where it waits after some, not after ten.
PATIENCE := -timeout 5m

# Says how long a step took; used as $(timed) COMMAND.
timed = TIMEFORMAT='== $@: %0R s'; time

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## install what building and testing needs (Debian or Ubuntu, root); silent when nothing is missing
	@found=$$(scripts/setup --check 2>&1) || scripts/setup || { echo "$$found" >&2; exit 1; }

.PHONY: assets
assets: ## fetch the libraries that pages load in a browser, to be embedded; silent when up to date
	@scripts/assets

.PHONY: build
build: ## bin/serverplane, with the browser libraries if they can be had; its version is the tag and commit of the checkout
	@mkdir -p bin
	@scripts/assets --if-can
	go build -buildvcs=auto -o bin/serverplane ./cmd/serverplane

.PHONY: demo
demo: setup build ## one app on three real servers, on this machine, until Ctrl-C (root)
	@go build -o bin/demo ./e2e/demo
	@exec bin/demo -binary bin/serverplane

.PHONY: demo-check
demo-check: setup build ## the same, but end at once: exit 0 only if three servers shared 30 requests evenly
	@go build -o bin/demo ./e2e/demo
	@exec bin/demo -binary bin/serverplane -check

.PHONY: fleet
fleet: setup ## three empty real servers to try things on, until Ctrl-C (root)
	@mkdir -p bin && go build -o bin/fleet ./e2e/fleet/cmd/fleet
	@exec bin/fleet up -n 3

.PHONY: check
check: setup assets format vet beside race ## everything but the stories on real servers; under 90 s once warm

.PHONY: test
test: check stories ## everything: check, and the stories on real servers (root)

.PHONY: format
format: ## fail if a Go file is not formatted
	@$(timed) { wrong=$$(git ls-files -z --cached --others --exclude-standard -- '*.go' ':(exclude)_*' | xargs -0 gofmt -l); \
	[ -z "$$wrong" ] || { printf 'not formatted, run gofmt -w on:\n%s\n' "$$wrong" >&2; exit 1; }; }

.PHONY: vet
vet: ## go vet, the stories included
	@$(timed) go vet -tags e2e ./...

# Tests wait more than they compute, and what is as nice as this takes no time from them that they want.
.PHONY: beside
beside: $(LINTER)/golangci-lint ## lint beside unit
	@mkdir -p $(OUT)
	@nice -n 19 $(MAKE) --no-print-directory lint >$(OUT)/lint.log 2>&1 & lint=$$!; \
	trap 'kill $$lint 2>/dev/null' INT TERM; \
	unit=0; $(MAKE) --no-print-directory unit || unit=$$?; \
	linted=0; wait $$lint || linted=$$?; \
	cat $(OUT)/lint.log; exit $$((unit ? unit : linted))

.PHONY: lint
lint: $(LINTER)/golangci-lint ## golangci-lint with .golangci.yml
	@$(timed) $(LINTER)/golangci-lint run ./...

# A module's own version decides what is built, not this repository's go.mod.
$(LINTER)/golangci-lint:
	@echo "building golangci-lint, once"
	@GOFLAGS= GOBIN=$(LINTER) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(patsubst golangci-lint-%,%,$(notdir $(LINTER)))

.PHONY: unit
unit: ## all tests that need no fleet; fuzz seeds run as plain cases
	@mkdir -p $(OUT)
	@$(timed) go test $(PATIENCE) ./... 2>&1 | tee $(OUT)/unit.log | grep -v 'no test files'

.PHONY: race
race: ## the packages that share data between goroutines, under the race detector
	@$(timed) go test -race $(PATIENCE) $(RACED)

# One package after the other, and those stories alone that hold something against the clock:
# two fleets on two cores would disturb each other. The rest (t.Parallel) run two at a time.
.PHONY: stories
stories: setup ## the stories on real servers (root); STORIES=Name runs some
	@mkdir -p $(OUT)
	@$(timed) go test -tags e2e -count=1 -timeout 80m -p 1 -parallel 2 -v -run '$(STORIES)' ./e2e/... 2>&1 | tee $(OUT)/stories.log

.PHONY: fuzz
fuzz: ## each fuzz target for FUZZ (30s)
	@for package in $$(git grep -l '^func Fuzz' -- '*_test.go' | xargs -n1 dirname | sort -u); do \
	  for target in $$(go test "./$$package" -list '^Fuzz' | grep '^Fuzz'); do \
	    echo "== $$package $$target"; \
	    go test "./$$package" -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZ); \
	  done; \
	done

.PHONY: bench
bench: setup build ## measure what things cost, on real servers, into docs/performance.md (root, 15 minutes, a quiet machine)
	@go build -o bin/bench ./e2e/bench
	@exec bin/bench -binary bin/serverplane -out docs/performance.md

.PHONY: clean
clean: ## remove what was built here; base images and tools in the user's cache stay
	rm -rf bin $(OUT)
