# Thin lines over `hil` and cmake. Everything a fresh Debian 12 lacks is installed by the first call.
TARGET ?= qemu-m33
HIL := .venv/bin/hil
RUN := $(HIL) run --target $(TARGET) $(if $(SCENARIO),-k '$(SCENARIO)') $(if $(PROFILE),--profile '$(PROFILE)') \
       $(if $(DEFECT),--defect '$(DEFECT)') $(ARGS)

.PHONY: help setup hil hil-list hil-doctor test lint bench fuzz size clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: ## packages, .venv, library sources, host programs; nothing on a second call
	@setup/setup.sh

hil: setup ## build, run and judge every scenario: make hil TARGET=native [SCENARIO=T12] [PROFILE=r12] [DEFECT=no_sni]
	@$(RUN)

hil-list: setup ## scenarios and targets
	@$(HIL) list

hil-doctor: setup ## what this machine can and cannot do
	@$(HIL) doctor

test: setup ## the bench's own tests: lint, C under ASan + UBSan, Python, end to end
	@setup/test.sh

lint: setup ## formatting, types, static analysis
	@setup/lint.sh

fuzz: setup ## every parser under libFuzzer: make fuzz [SECONDS=60]
	@setup/fuzz.sh $(or $(SECONDS),60)

bench: setup ## throughput, CPU and memory beside tshark, tcpdump, dpkt, scapy and libpcap
	@.venv/bin/python -m tests.bench $(ARGS)

size: setup ## code and RAM of the shim on Cortex-M33 against its bound
	@setup/size.sh

clean: ## what was built, not what was installed
	rm -rf build/host build/asan build/fuzz build/fw build/lint
