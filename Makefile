# A façade: CMakePresets.json and the scripts it names do the work.
PREFIX ?= /usr/local
PROGRAMS := zerodb-node zdb zbench
INSTALLED := $(PROGRAMS) zscale zerodb_client
.PHONY: all programs deps test demo bench scale sim crash power leaks chaos asan tsan lint format install packages packages-check clean

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

sim: all
	ctest --preset release -L '^sim$$'

crash power: programs
	cmake --build --preset release --target power_loss
	$(if $(ROUNDS),ZERODB_ROUNDS=$(ROUNDS)) tests/chaos/test_$@.py

leaks: programs
	tests/chaos/test_leaks.py

chaos: programs
	tests/chaos/test_network.py --full

asan tsan: deps
	cmake --preset $@ >/dev/null && cmake --build --preset $@ && ctest --preset $@

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
