# A façade: CMakePresets.json and the scripts it names do the work.
PREFIX ?= /usr/local
PROGRAMS := zerodb-node zdb zbench
INSTALLED := $(PROGRAMS) zscale zerodb_client
.PHONY: all programs deps test demo bench scale sim seeds crash power leaks chaos soak hostile asan tsan fuzz lint format \
  install packages packages-check clean

all: deps
	cmake --preset release >/dev/null && cmake --build --preset release

programs: deps
	cmake --preset release >/dev/null && cmake --build --preset release --target $(PROGRAMS)

deps:
	@tools/deps.sh

test: all
	ctest --preset release --output-on-failure -j2

demo: programs
	tools/demo.sh

bench: programs
	build/release/bin/zbench $(ARGS)

scale: programs
	tests/scale/test_scale.py

sim: deps
	cmake --preset release >/dev/null && cmake --build --preset release --target zsim
	build/release/bin/zsim $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),200) --start $(or $(START),1))

# The cases in simulated worlds with seeds other than their own: make seeds SEEDS=100 START=1
seeds: all
	tests/sim/seeds.sh build/release/tests $(or $(SEEDS),20) $(or $(START),1)

crash power: programs
	cmake --build --preset release --target power_loss
	$(if $(ROUNDS),ZERODB_ROUNDS=$(ROUNDS)) tests/chaos/test_$@.py

# Half an hour of steady work during which nothing may grow: make soak SECONDS=7200
soak: programs
	ZERODB_SOAK_S=$(or $(SECONDS),1800) tests/chaos/test_soak.py

hostile: programs
	cmake --build --preset release --target zliar
	tests/hostile/test_hostile.py --full $(ARGS)

leaks: programs
	tests/chaos/test_leaks.py

chaos: programs
	cmake --build --preset release --target failing_disk
	tests/chaos/test_network.py --full $(ARGS)

# The suite with sanitizers, or some of its programs only: make tsan PARTS="store bus"
asan tsan: deps
	cmake --preset $@ >/dev/null
	cmake --build --preset $@ $(if $(PARTS),--target $(PARTS:%=tests_%))
	ctest --preset $@ $(if $(PARTS),--label-regex '^($(subst $() ,|,$(strip $(PARTS))))$$')

# Hostile bytes for every decoder: make fuzz SECONDS=7200 TARGETS="manifest roster"
fuzz:
	tools/deps.sh fuzz && cmake --preset fuzz >/dev/null && cmake --build --preset fuzz
	tests/fuzz/run.py --seconds $(or $(SECONDS),60) --seed $(or $(SEED),0) $(TARGETS)

lint:
	tools/deps.sh lint && cmake --preset dev >/dev/null
	git ls-files '*.cpp' '*.hpp' | xargs clang-format --dry-run --Werror && run-clang-tidy -quiet -p build/dev

format:
	tools/deps.sh lint && git ls-files '*.cpp' '*.hpp' | xargs clang-format -i

install: all
	cmake --install build/release --prefix $(PREFIX)

packages: deps
	tools/deps.sh packages && cmake --preset release >/dev/null && cmake --build --preset release --target $(INSTALLED)
	cd build/release && cpack

packages-check: packages
	tests/install/test_packages.sh build/release/packages

clean:
	rm -rf build
