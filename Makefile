# theta: the build, the tests and the demo.
#
#   make          build/theta; with the CUDA kernels where nvcc and a GPU are found, for that GPU
#   make demo     build, then the whole pipeline on real images: runs/demo.toml, and pictures: runs/fields_demo.toml
#   make test     build and run every test, the CUDA kernels in the emulator of tests/simt among them
#   make test-native      the native tests alone: seconds, for everyday work; ONLY='*conv*' some of them
#   make test-processors  the native tests as built for x86-64-v3, and tuned for two other processors
#   make kernels  every CUDA kernel compiled, for CUDA=1 where no GPU is
#   make deps     fetch the header libraries and the data set into .deps/ (no root needed)
#   make check    layout of the code, direction of the includes
#   make format   lay the code out with clang-format
#   make gpu-check  on a GPU box: every test on the GPU, the demo, the benchmark; one record in runs/records.
#                 SCALE=1 adds G.pt's zoo, 2.1 million checkpoints, 34 GB of disk
#   make kernel-report  registers, spills and stack of every CUDA kernel, as the compiler gives them
#   make corpus   fetch text in twelve languages into .deps/text/ (runs/text_small.toml)
#   make bundle   theta-bundle.tar.gz: sources, .deps and data for a box that reaches no registry
#   make install PREFIX=/usr/local  the program, the data set and the configurations, found from any folder
#   make clean
#
# CUDA=1 compiles the CUDA kernels where nvcc is but no GPU, CUDA=0 leaves them out; CUDA_ARCH="80 90a" says for what;
# MARCH=x86-64-v3 compiles for another processor, MTUNE=icelake-server for one's own as if it were another.

SHELL := /bin/bash
# As many jobs as processors, unless a -j says otherwise.
ifeq ($(filter -j%,$(MAKEFLAGS))$(filter --jobs%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell nproc)
endif
CXX ?= g++
MARCH ?= native
MTUNE ?=
CUDA_HOME ?= $(shell dirname $$(dirname $$(readlink -f $$(command -v nvcc || echo /usr/local/cuda/bin/nvcc))))
NVCC := $(wildcard $(CUDA_HOME)/bin/nvcc)
# "9.0" where a GPU answers. Its architecture is what is compiled for: 90a has instructions that 90 lacks.
GPU := $(if $(NVCC),$(shell nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1))
CUDA ?= $(if $(GPU)$(filter kernels kernel-report,$(MAKECMDGOALS)),1,0)
CUDA_ARCH ?= $(if $(GPU),$(subst .,,$(GPU:9.0=9.0a)),80 90a)
CCACHE := $(shell command -v ccache)
export CCACHE_SLOPPINESS ?= pch_defines,time_macros
MULTIARCH := $(shell $(CXX) -dumpmachine)

# cuBLASLt comes with the toolkit or, on boxes whose toolkit is trimmed, with Python's nvidia-cublas package.
ifeq ($(CUDA),1)
anywhere = $(shell find / -name '$1' -not -path '/proc/*' 2>/dev/null | head -n 1)
CUBLAS_HEADER := $(firstword $(wildcard $(CUDA_HOME)/include/cublasLt.h))
CUBLAS_HEADER := $(if $(CUBLAS_HEADER),$(CUBLAS_HEADER),$(call anywhere,cublasLt.h))
CUBLAS_LIBRARY := $(firstword $(wildcard $(CUDA_HOME)/lib64/libcublasLt.so $(CUDA_HOME)/lib64/libcublasLt.so.*))
CUBLAS_LIBRARY := $(if $(CUBLAS_LIBRARY),$(CUBLAS_LIBRARY),$(call anywhere,libcublasLt.so*))
endif

INCLUDES := -I. -isystem .deps/usr/include -isystem .deps/usr/include/$(MULTIARCH)
# GCC 12 sees overlaps in std::string, and unset registers in its own AVX-512 header, that are not there.
WARNINGS := -Wall -Wextra -Werror -Wno-missing-field-initializers -Wno-restrict -Wno-maybe-uninitialized -Wno-uninitialized
# A product and a sum are one instruction where the source says so (multiply_add in kernels/parts/simd.h, fmaf), nowhere
# else: what a compiler fuses differs between processors, and between two instances of one template.
COMMON := -std=c++20 -fopenmp-simd -ffp-contract=off $(INCLUDES) -MMD -MP
# Nobody reads errno after a square root; without it, square roots are computed several at a time.
CXXFLAGS := $(COMMON) $(WARNINGS) -fno-math-errno -march=$(MARCH) $(MTUNE:%=-mtune=%) -DTHETA_CUDA=$(CUDA) -DTHETA_SIMT=0
# The emulator's build: kernels/*/*.cu compiled by g++ so that every access of a kernel is a call to tests/simt/memory.cpp,
# everything else under AddressSanitizer; UBSan over all.
SIMTFLAGS := $(COMMON) $(WARNINGS) -Wno-unknown-pragmas -march=$(MARCH) -fno-omit-frame-pointer -Itests/simt \
  -DTHETA_CUDA=1 -DTHETA_SIMT=1
SIMT_HOST := -fsanitize=address,undefined -fno-sanitize-recover=all
# Debug information for kernels alone: reports name the lines of these.
SIMT_KERNEL := -O1 -g1 -fsanitize=thread,undefined -fno-sanitize-recover=all --param tsan-instrument-func-entry-exit=0 \
  -Wno-attributes

ARCH_FLAGS := $(foreach a,$(CUDA_ARCH),-gencode arch=compute_$(a),code=sm_$(a)) \
  -gencode arch=compute_$(firstword $(CUDA_ARCH)),code=compute_$(firstword $(CUDA_ARCH))
NVCCFLAGS := -std=c++20 -O3 -fmad=false --threads $(words $(CUDA_ARCH)) --extended-lambda --expt-relaxed-constexpr $(ARCH_FLAGS) \
  $(INCLUDES) -I$(dir $(CUBLAS_HEADER)) -MMD -MP -DTHETA_CUDA=1 -DTHETA_SIMT=0 -Werror all-warnings \
  -Xcompiler -Wall,-Wextra,-Werror,-Wno-missing-field-initializers,-fopenmp-simd,-ffp-contract=off,-march=$(MARCH)

# What is compiled: kernels file by file, every folder above them as one unit or a few, each of which is the text of its
# files: they share large headers, and most of a file's time would go to these and to what their templates come to.
FOLDERS := data engine/settings engine/memory engine/networks engine/weights engine/layers engine/training engine/diffusion \
  engine/shapes engine/zoo engine/generators engine/generators/flow engine/generators/graph engine/generators/pdiff engine/generators/subspace \
  engine/generators/transformer engine/generators/windows engine/analysis engine/report engine/tasks engine/pipeline engine/bench \
  tests/kernels tests/data tests/engine
ALONE := data/format.cpp engine/weights/dense.cpp engine/analysis/assigned.cpp
# How many units a folder is: as many as make a change to one file a matter of ten seconds.
parts = $(or $(parts_$1),1)
parts_data := 2
parts_engine/pipeline := 3
parts_engine/tasks := 2
parts_engine/report := 2
parts_tests/kernels := 4
parts_tests/engine := 6

KERNEL_SOURCES := $(wildcard kernels/*/*.cpp)
CUDA_SOURCES := $(wildcard kernels/*/*.cu)
PROGRAM_SOURCES := $(wildcard tools/*.cpp)
ENGINE_FOLDERS := $(filter-out tests/%,$(FOLDERS))
TEST_FOLDERS := $(filter tests/%,$(FOLDERS))
# Their rooms are compiled with them.
WITH_ROOMS := engine/tasks engine/pipeline
files = $(filter-out $(ALONE),$(wildcard $1/*.cpp $(if $(filter $1,$(WITH_ROOMS)),$1/*/*.cpp)))
numbers = $(wordlist 1,$(call parts,$1),1 2 3 4 5 6 7 8)
units = $(foreach f,$1,$(foreach i,$(call numbers,$f),$f.$i.cpp))
unit_files = $(shell printf '%s\n' $(call files,$1) | awk 'NR % $(call parts,$1) + 1 == $2')

# How much a unit is optimised: O3 what computes, O2 what computes beside it, O1 what calls, reads, writes and prints.
level = $(or $(if $(filter kernels/%,$1),O3),$(if $(filter engine/weights% engine/analysis% engine/shapes% engine/diffusion%,$1),O2),O1)
# One folder of objects a variant, so that switching between them mixes nothing.
NATIVE := build/$(if $(filter 1,$(CUDA)),cuda,cpu)$(patsubst %,-%,$(filter-out native,$(MARCH)) $(MTUNE))
SIMT := build/simt
ENGINE_UNITS := $(KERNEL_SOURCES) $(ALONE) $(call units,$(ENGINE_FOLDERS))
TEST_UNITS := $(wildcard tests/*.cpp) $(call units,$(TEST_FOLDERS))
# Tuned for another processor, only what computes is compiled anew: the rest is that of one's own (`test-processors`).
home = $(if $(and $(MTUNE),$(filter O1,$(call level,$1))),build/cpu,$(NATIVE))
objects = $(foreach unit,$1,$(call home,$(unit))/$(unit).o)
LIBRARY = $(call objects,$(ENGINE_UNITS)) $(if $(filter 1,$(CUDA)),$(CUDA_SOURCES:%=$(NATIVE)/%.o))
PROGRAM := $(NATIVE)/tools.1.cpp.o
TESTS = $(call objects,$(TEST_UNITS))
EMULATED := $(filter-out kernels/device/device.cu kernels/operations/gemm_cublaslt.cu,$(CUDA_SOURCES))
SIMT_OBJECTS := $(patsubst %,$(SIMT)/%.o,$(ENGINE_UNITS) $(TEST_UNITS) $(wildcard tests/simt/*.cpp) $(EMULATED) \
  $(wildcard tests/simt/*.cu))

STATIC := -L.deps/usr/lib/$(MULTIARCH) -l:libminizip.a -l:libcsv.a -l:libpng16.a -l:libgif.a -l:libturbojpeg.a -l:libz.a
LIBS := $(STATIC) -lpthread
ifeq ($(CUDA),1)
LIBS += -L$(CUDA_HOME)/lib64 -lcudart_static $(CUBLAS_LIBRARY) -Wl,-rpath,$(dir $(CUBLAS_LIBRARY)) -lrt -ldl
endif

.PHONY: all deps corpus demo test test-native test-processors kernels check format bundle install gpu-check kernel-report clean
.SECONDARY:
all: build/theta

# The program and the tests are linked per variant and then given their name.
build/theta: $(NATIVE)/theta | about-cuda
	@ln -sf $(NATIVE:build/%=%)/theta $@
$(NATIVE)/theta: $(PROGRAM) $(LIBRARY)
	@echo 'link $@'; $(CXX) $^ $(LIBS) -o $@
$(NATIVE)/run-tests: $(TESTS) $(LIBRARY)
	@echo 'link $@'; $(CXX) $^ $(LIBS) -o $@
$(SIMT)/run-tests: $(SIMT_OBJECTS)
	@echo 'link $@'; $(CXX) -fsanitize=address,undefined -rdynamic $^ $(STATIC) -ldl -o $@
	@printf '%s\n' $(filter $(SIMT)/kernels/% $(SIMT)/data% $(SIMT)/tests/simt/% $(SIMT)/tests/kernels% $(SIMT)/tests/main% $(SIMT)/tests/image_files%,$^) > $(SIMT)/objects; echo '$(STATIC)' > $(SIMT)/libraries
	@echo '$(CXX) $(filter-out -MMD -MP -fopenmp-simd,$(SIMTFLAGS)) $(subst -O1,-O0,$(SIMT_KERNEL)) -w' > $(SIMT)/kernel-command

.PHONY: about-cuda
about-cuda:
ifeq ($(CUDA)$(GPU),0)
ifneq ($(NVCC),)
	@echo 'nvcc is here, but no GPU answers: the CUDA kernels are left out; CUDA=1 compiles them'
endif
endif

# What only calls operations compiles faster without the optimiser.
simt_level = $(if $(filter kernels/% data% engine/weights/dense%,$1),O1,O0)

# tools/precompiled.h, once a set of flags: with the libraries that it holds go the units at O1 and O0.
PRECOMPILED ?= 1
precompiles = $(and $(filter 1,$(PRECOMPILED)),$(filter %O0 %O1,$1))
precompiled = $(if $(call precompiles,$1),$1/precompiled.h.gch)
include_precompiled = $(if $(call precompiles,$1),-include $1/precompiled.h)
$(NATIVE)/O%/precompiled.h.gch: tools/precompiled.h .deps/ready $(NATIVE)/flags
	@mkdir -p $(@D); cp $< $(@:.gch=)
	@echo 'c++  $< -O$*'; $(CXX) $(CXXFLAGS) -O$* -x c++-header $(@:.gch=) -o $@
$(SIMT)/O%/precompiled.h.gch: tools/precompiled.h .deps/ready $(SIMT)/flags
	@mkdir -p $(@D); cp $< $(@:.gch=)
	@echo 'simt $< -O$*'; $(CXX) $(SIMTFLAGS) -O$* $(SIMT_HOST) -x c++-header $(@:.gch=) -o $@

# Where the assembler looks for the files that the program carries (engine/report/embedded.cpp).
CARRIED := -Wa,-I. -Wa,-I.deps/usr/share -Wa,-I/usr/share -Wa,-I/usr/local/share
EMBED = $(if $(findstring engine/report,$1),$(CARRIED))
build/%/engine/report.1.cpp.o build/%/engine/report.2.cpp.o: engine/report/page.css engine/report/page.js

# A folder's unit: written where its list of files changes.
define unit
build/units/$1.$2.cpp: FORCE
	@mkdir -p $$(@D); printf '#include "%s"\n' $(call unit_files,$1,$2) | cmp -s - $$@ || printf '#include "%s"\n' $(call unit_files,$1,$2) >$$@
endef
$(foreach f,$(FOLDERS) tools,$(foreach i,$(call numbers,$f),$(eval $(call unit,$f,$i))))

define compile # name of the variant, its folder, flags of a unit
	@mkdir -p $(@D)
	@echo '$1 $(subst build/units/,,$<)'; $(CCACHE) $(CXX) $(call include_precompiled,$2/$3) $4 -$3 $(call EMBED,$<) -c $< -o $@
endef
.SECONDEXPANSION:
$(NATIVE)/%.cpp.o: build/units/%.cpp .deps/ready $(NATIVE)/flags $$(call precompiled,$(NATIVE)/$$(call level,%))
	$(call compile,c++ ,$(NATIVE),$(call level,$*),$(CXXFLAGS))
$(NATIVE)/%.cpp.o: %.cpp .deps/ready $(NATIVE)/flags $$(call precompiled,$(NATIVE)/$$(call level,%))
	$(call compile,c++ ,$(NATIVE),$(call level,$*),$(CXXFLAGS))
$(SIMT)/%.cpp.o: build/units/%.cpp .deps/ready $(SIMT)/flags $$(call precompiled,$(SIMT)/$$(call simt_level,%))
	$(call compile,simt,$(SIMT),$(call simt_level,$*),$(SIMTFLAGS) $(SIMT_HOST))
$(SIMT)/%.cpp.o: %.cpp .deps/ready $(SIMT)/flags $$(call precompiled,$(SIMT)/$$(call simt_level,%))
	$(call compile,simt,$(SIMT),$(call simt_level,$*),$(SIMTFLAGS) $(SIMT_HOST))
# Eigen's sums have the order of its packs: those of x86-64-v3 everywhere.
$(NATIVE)/engine/weights/dense.cpp.o: private CXXFLAGS += -mno-avx512f
# The emulator itself: nothing watches it.
$(SIMT)/tests/simt/%.cpp.o: tests/simt/%.cpp .deps/ready $(SIMT)/flags
	@mkdir -p $(@D)
	@echo 'simt $<'; $(CCACHE) $(CXX) $(SIMTFLAGS) -O2 -c $< -o $@
$(NATIVE)/%.cu.o: %.cu .deps/ready $(NATIVE)/flags
	@mkdir -p $(@D)
	@echo 'nvcc $<'; $(CCACHE) $(NVCC) $(NVCCFLAGS) -c $< -o $@
$(SIMT)/%.cu.o: %.cu .deps/ready $(SIMT)/flags
	@mkdir -p $(@D)
	@echo 'simt $<'; $(CCACHE) $(CXX) $(SIMTFLAGS) $(SIMT_KERNEL) -x c++ -c $< -o $@

# What `theta --version` says. A bundle has its commit in a file.
COMMIT := $(shell git describe --always --dirty 2>/dev/null || cat COMMIT 2>/dev/null || echo unknown)
ABOUT = -DTHETA_VERSION='"0.1"' -DTHETA_COMMIT='"$(COMMIT)"' -DTHETA_MARCH='"$(MARCH)"' -DTHETA_ARCHITECTURES='"$(CUDA_ARCH)"'

$(NATIVE)/tools.1.cpp.o: $(NATIVE)/about
$(NATIVE)/tools.1.cpp.o: private CXXFLAGS += $(ABOUT)

# Objects are made anew when the flags change.
NATIVE_FLAGS = $(CXXFLAGS) $(NVCCFLAGS) $(value level)
$(NATIVE)/flags: FORCE
	@mkdir -p $(@D); echo '$(NATIVE_FLAGS)' | cmp -s - $@ || echo '$(NATIVE_FLAGS)' > $@
$(NATIVE)/about: FORCE
	@mkdir -p $(@D); echo '$(ABOUT)' | cmp -s - $@ || echo '$(ABOUT)' > $@
SIMT_FLAGS = $(SIMTFLAGS) $(SIMT_HOST) $(SIMT_KERNEL) $(value simt_level)
$(SIMT)/flags: FORCE
	@mkdir -p $(@D); echo '$(SIMT_FLAGS)' | cmp -s - $@ || echo '$(SIMT_FLAGS)' > $@
.PHONY: FORCE
FORCE:

corpus:
	@tools/corpus.sh

deps .deps/ready: tools/deps.sh
	@tools/deps.sh
	@touch .deps/ready

demo: build/theta
	./build/theta run runs/demo.toml
	./build/theta run runs/fields_demo.toml

test: build/theta $(NATIVE)/run-tests $(SIMT)/run-tests
	@tests/run $(NATIVE) $(SIMT)

ONLY ?= *
test-native: $(NATIVE)/run-tests
	@$(NATIVE)/run-tests --no-version=true -tc='$(ONLY)'

# Built side by side with what is here: one folder of objects each.
PROCESSORS := MARCH=x86-64-v3 MTUNE=generic MTUNE=sapphirerapids
test-processors:
	@$(MAKE) --no-print-directory CUDA=0 build/cpu/run-tests
	@set -e; for processor in $(PROCESSORS); do echo "== $$processor"; $(MAKE) --no-print-directory CUDA=0 $$processor test-native; done

# Every CUDA kernel compiled, where no GPU is to link and run them for.
kernels: $(CUDA_SOURCES:%=$(NATIVE)/%.o)

check:
	@tests/layout.sh

format:
	clang-format -i $$(git ls-files '*.h' '*.cpp' '*.cu' '*.cuh')

gpu-check:
	@tools/gpu_check.sh

kernel-report: .deps/ready
	@tools/kernel_report.sh $(NVCC) $(lastword $(CUDA_ARCH)) $(filter-out -MMD -MP $(ARCH_FLAGS),$(NVCCFLAGS))

bundle:
	@tools/deps.sh --all
	@git rev-parse HEAD >COMMIT; tar czf theta-bundle.tar.gz --transform 's|^|theta/|S' --exclude='.deps/fetch.*' --exclude='.deps/corpus.*' \
	  .deps COMMIT $$(git ls-files); rm COMMIT
	@ls -sh theta-bundle.tar.gz

PREFIX ?= /usr/local
install: build/theta
	install -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/share/theta/datasets' '$(DESTDIR)$(PREFIX)/share/theta/runs'
	install -m 755 $(NATIVE)/theta '$(DESTDIR)$(PREFIX)/bin/theta'
	install -m 644 runs/*.toml '$(DESTDIR)$(PREFIX)/share/theta/runs'
	install -D -m 644 tools/completion.bash '$(DESTDIR)$(PREFIX)/share/bash-completion/completions/theta'
	install -D -m 644 tools/completion.bash '$(DESTDIR)$(PREFIX)/share/theta/completion.bash'
	install -D -m 644 tools/completion.zsh '$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_theta'
	for root in .deps/usr/share/datasets /usr/share/datasets; do \
	  [ ! -d $$root/fashion-mnist ] || { cp -r $$root/fashion-mnist '$(DESTDIR)$(PREFIX)/share/theta/datasets/'; break; }; done

clean:
	rm -rf build

-include $(shell find $(NATIVE) $(SIMT) -name '*.d' 2>/dev/null)
