# Every target does its own set-up; none needs root. `make help` lists them.
VENV := .venv
PY := $(VENV)/bin/python

.PHONY: help demo test lint unit test-nodes test-container test-storage test-hangs test-gpu bench-launch bench-platforms bench-coordination bench-snapshot bench-watchdog soak clean
help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo:  ## train on real data with two workers, kill one, see the job finish (1-2 min)
	@tools/venv.sh $(VENV) requirements/demo.txt
	@$(PY) examples/digits_ddp/demo.py

test: lint unit  ## all that every change must pass (<= 10 min)

lint:  ## ruff and mypy
	@tools/venv.sh $(VENV) requirements/test.txt
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

unit:  ## pytest
	@tools/venv.sh $(VENV) requirements/test.txt
	@$(PY) -m pytest -n 2 --dist loadgroup -m "not nodes and not container and not hangs and not storage and not gpu"

test-nodes:  ## several nodes, machines and links that fail (root; 5-8 min)
	@tools/venv.sh $(VENV) requirements/test.txt
	@$(PY) -m pytest -n 2 -m nodes

test-hangs:  ## real hangs, and what looks like one (8-10 min)
	@tools/venv.sh $(VENV) requirements/test.txt
	@$(PY) -m pytest -n 2 -m hangs

test-gpu:  ## readings of real NVIDIA GPUs against nvidia-smi (skipped where there is none)
	@tools/venv.sh $(VENV) requirements/test.txt
	@$(PY) -m pytest -m gpu

test-container:  ## training state in real containers with little memory (podman; 1 min)
	@tools/venv.sh $(VENV) requirements/test.txt
	@$(PY) -m pytest -n 2 -m container

test-storage:  ## object storage against a real server, Ceph's RGW (root installs it; 2-3 min)
	@tools/venv.sh $(VENV) requirements/test.txt
	@tools/rgw.sh
	@$(PY) -m pytest -m storage tests/storage

bench-platforms:  ## how long it takes to find out where a job runs (2 min)
	@tools/venv.sh $(VENV) requirements/test.txt
	@$(PY) -m benchmarks.platforms

bench-launch:  ## start, death, restart and stop beside the installed torchrun (20-30 min)
	@tools/venv.sh $(VENV) requirements/test.txt
	@$(PY) -m benchmarks.launch

bench-coordination:  ## 10,000 agents; kills and cuts on three nodes beside torchrun (root; 10 min)
	@tools/venv.sh $(VENV) requirements/test.txt
	@$(PY) -m benchmarks.coordination

bench-snapshot:  ## what a copy of the state at each step costs, and what it saves (15-20 min)
	@tools/venv.sh $(VENV) requirements/test.txt
	@$(PY) -m benchmarks.snapshot

bench-watchdog:  ## how soon hangs are noticed, and what the watch costs (25 min; PEER=path of ft_launcher)
	@tools/venv.sh $(VENV) requirements/test.txt
	@$(PY) -m benchmarks.watchdog --peer "$(PEER)"

soak:  ## the long forms of the randomised tests (~30 min)
	@tools/venv.sh $(VENV) requirements/test.txt
	@SOAK=1 $(PY) -m pytest tests/unit tests/simulation tests/integration/test_state_survives.py tests/integration/test_snapshot_kill.py tests/integration/test_storage_kill.py tests/integration/test_transfer_kills.py

clean:  ## remove the environments and caches (not runs/)
	rm -rf .venv* .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
