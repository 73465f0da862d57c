# theta: the build, the tests and the demo.
#
#   make          build/theta, with both devices where nvcc is found and with cpu alone where it is not
#   make demo     build, then the whole pipeline on real images: runs/demo.toml, and pictures: runs/fields_demo.toml
#   make test     build and run every test, the CUDA kernels in the emulator of tests/simt among them
#   make deps     fetch the header libraries and the data set into .deps/ (no root needed)
#   make check    layout of the code, direction of the includes
#   make format   lay the code out with clang-format
#   make gpu-check  on a GPU box: every test on the GPU, the demo, the benchmark; one record in runs/records.
#                 SCALE=1 adds G.pt's zoo, 2.1 million checkpoints, 34 GB of disk
#   make kernel-report  registers, spills and stack of every CUDA kernel, as the compiler gives them
#   make bundle   theta-bundle.tar.gz: sources, .deps and data for a box that reaches no registry
#   make install PREFIX=/usr/local  the program, the data set and the configurations, found from any folder
#   make clean
#
# CUDA=0 leaves CUDA out; CUDA_ARCH="90a" compiles for one architecture; MARCH=x86-64-v3 for another processor.

SHELL := /bin/bash
# As many jobs as processors, unless a -j says otherwise.
ifeq ($(filter -j%,$(MAKEFLAGS))$(filter --jobs%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell nproc)
endif
CXX ?= g++
MARCH ?= native
CUDA_HOME ?= $(shell dirname $$(dirname $$(readlink -f $$(command -v nvcc || echo /usr/local/cuda/bin/nvcc))))
NVCC := $(wildcard $(CUDA_HOME)/bin/nvcc)
CUDA ?= $(if $(NVCC),1,0)
CCACHE := $(shell command -v ccache)
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
COMMON := -std=c++20 -fopenmp-simd $(INCLUDES) -MMD -MP -DFMT_HEADER_ONLY
# Nobody reads errno after a square root; without it, square roots are computed several at a time.
CXXFLAGS = $(COMMON) $(WARNINGS) $(OPTIMISE) -fno-math-errno -march=$(MARCH) -DTHETA_CUDA=$(CUDA) -DTHETA_SIMT=0
OPTIMISE := -O3
# The emulator's build: kernels/*/*.cu compiled by g++ so that every access of a kernel is a call to tests/simt/memory.cpp,
# everything else under AddressSanitizer; UBSan over all.
SIMTFLAGS := $(COMMON) $(WARNINGS) -Wno-unknown-pragmas -march=$(MARCH) -g1 -fno-omit-frame-pointer -Itests/simt \
  -DTHETA_CUDA=1 -DTHETA_SIMT=1
SIMT_HOST := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all
SIMT_KERNEL := -O1 -fsanitize=thread,undefined -fno-sanitize-recover=all --param tsan-instrument-func-entry-exit=0 \
  -Wno-attributes

CUDA_ARCH ?= 80 90a
ARCH_FLAGS := $(foreach a,$(CUDA_ARCH),-gencode arch=compute_$(a),code=sm_$(a)) \
  -gencode arch=compute_$(firstword $(CUDA_ARCH)),code=compute_$(firstword $(CUDA_ARCH))
NVCCFLAGS := -std=c++20 -O3 --extended-lambda --expt-relaxed-constexpr $(ARCH_FLAGS) $(INCLUDES) -I$(dir $(CUBLAS_HEADER)) \
  -MMD -MP -DTHETA_CUDA=1 -DTHETA_SIMT=0 -Xcompiler -Wall,-Wextra,-Werror,-Wno-missing-field-initializers,-fopenmp-simd,-march=$(MARCH) -Werror all-warnings

ENGINE_SOURCES := $(wildcard kernels/*/*.cpp data/*.cpp engine/*/*.cpp engine/generators/*/*.cpp)
CUDA_SOURCES := $(wildcard kernels/*/*.cu)
TEST_SOURCES := $(wildcard tests/*.cpp tests/kernels/*.cpp tests/data/*.cpp tests/engine/*.cpp)
PROGRAM_SOURCES := $(wildcard tools/*.cpp)

# One folder of objects a variant, so that switching CUDA on or off mixes nothing.
NATIVE := build/$(if $(filter 1,$(CUDA)),cuda,cpu)
SIMT := build/simt
LIBRARY := $(ENGINE_SOURCES:%=$(NATIVE)/%.o) $(if $(filter 1,$(CUDA)),$(CUDA_SOURCES:%=$(NATIVE)/%.o))
# The subcommands share large headers, so they are compiled as one.
PROGRAM := $(NATIVE)/program.cpp.o
TESTS := $(TEST_SOURCES:%=$(NATIVE)/%.o)
EMULATED := $(filter-out kernels/device/device.cu kernels/operations/gemm_cublaslt.cu,$(CUDA_SOURCES))
SIMT_OBJECTS := $(patsubst %,$(SIMT)/%.o,$(ENGINE_SOURCES) $(TEST_SOURCES) $(wildcard tests/simt/*.cpp) $(EMULATED) \
  $(wildcard tests/simt/*.cu))

STATIC := -L.deps/usr/lib/$(MULTIARCH) -l:libminizip.a -l:libcsv.a -l:libpng16.a -l:libgif.a -l:libturbojpeg.a -l:libz.a
LIBS := $(STATIC) -lpthread
ifeq ($(CUDA),1)
LIBS += -L$(CUDA_HOME)/lib64 -lcudart_static $(CUBLAS_LIBRARY) -Wl,-rpath,$(dir $(CUBLAS_LIBRARY)) -lrt -ldl
endif

.PHONY: all deps demo test check format bundle install gpu-check kernel-report clean
.SECONDARY:
all: build/theta

# The program and the tests are linked per variant and then given their name.
build/theta: $(NATIVE)/theta
	@ln -sf $(NATIVE:build/%=%)/theta $@
$(NATIVE)/theta: $(PROGRAM) $(LIBRARY)
	@echo 'link $@'; $(CXX) $^ $(LIBS) -o $@
$(NATIVE)/run-tests: $(TESTS) $(LIBRARY)
	@echo 'link $@'; $(CXX) $^ $(LIBS) -o $@
$(SIMT)/run-tests: $(SIMT_OBJECTS)
	@echo 'link $@'; $(CXX) -fsanitize=address,undefined -rdynamic $^ $(STATIC) -ldl -o $@
	@printf '%s\n' $^ > $(SIMT)/objects; echo '$(STATIC)' > $(SIMT)/libraries
	@echo '$(CXX) $(filter-out -MMD -MP -fopenmp-simd,$(SIMTFLAGS)) $(subst -O1,-O0,$(SIMT_KERNEL)) -w' > $(SIMT)/kernel-command

# Where the assembler looks for the files that the program carries (engine/report/embedded.cpp).
$(NATIVE)/engine/report/embedded.cpp.o $(SIMT)/engine/report/embedded.cpp.o: private EMBED := \
  -Wa,-I. -Wa,-I.deps/usr/share -Wa,-I/usr/share -Wa,-I/usr/local/share
$(NATIVE)/engine/report/embedded.cpp.o $(SIMT)/engine/report/embedded.cpp.o: engine/report/page.css engine/report/page.js

$(NATIVE)/%.cpp.o: %.cpp .deps/ready $(NATIVE)/flags
	@mkdir -p $(@D)
	@echo 'c++  $<'; $(CCACHE) $(CXX) $(CXXFLAGS) $(EMBED) -c $< -o $@
$(NATIVE)/%.cu.o: %.cu .deps/ready $(NATIVE)/flags
	@mkdir -p $(@D)
	@echo 'nvcc $<'; $(CCACHE) $(NVCC) $(NVCCFLAGS) -c $< -o $@
$(SIMT)/%.cpp.o: %.cpp .deps/ready $(SIMT)/flags
	@mkdir -p $(@D)
	@echo 'simt $<'; $(CCACHE) $(CXX) $(SIMTFLAGS) $(SIMT_HOST) $(EMBED) -c $< -o $@
$(SIMT)/%.cu.o: %.cu .deps/ready $(SIMT)/flags
	@mkdir -p $(@D)
	@echo 'simt $<'; $(CCACHE) $(CXX) $(SIMTFLAGS) $(SIMT_KERNEL) -x c++ -c $< -o $@
$(SIMT)/tests/simt/%.cpp.o: private SIMT_HOST := -O2
# What only calls operations compiles faster without the optimiser.
$(SIMT)/engine/%.o $(SIMT)/tests/%.cpp.o: private SIMT_HOST := $(subst -O1,-O0,$(SIMT_HOST))

# What `theta --version` says. A bundle has its commit in a file.
COMMIT := $(shell git describe --always --dirty 2>/dev/null || cat COMMIT 2>/dev/null || echo unknown)
ABOUT = -DTHETA_VERSION='"0.1"' -DTHETA_COMMIT='"$(COMMIT)"' -DTHETA_MARCH='"$(MARCH)"' -DTHETA_ARCHITECTURES='"$(CUDA_ARCH)"'

$(NATIVE)/program.cpp.o: $(PROGRAM_SOURCES) tools/options.h .deps/ready $(NATIVE)/flags $(NATIVE)/about
	@echo 'c++  $(PROGRAM_SOURCES)'; printf '#include "%s"\n' $(PROGRAM_SOURCES) > $(NATIVE)/program.cpp
	@$(CCACHE) $(CXX) $(CXXFLAGS) $(ABOUT) -c $(NATIVE)/program.cpp -o $@

# What only reads, writes and prints compiles faster without the optimiser.
$(NATIVE)/program.cpp.o $(NATIVE)/data/%.o $(NATIVE)/engine/pipeline/%.o $(NATIVE)/engine/report/%.o $(NATIVE)/engine/bench/%.o $(NATIVE)/tests/%.o: private OPTIMISE := -O1

# Objects are made anew when the flags change.
$(NATIVE)/flags: FORCE
	@mkdir -p $(@D); echo '$(CXXFLAGS) $(NVCCFLAGS)' | cmp -s - $@ || echo '$(CXXFLAGS) $(NVCCFLAGS)' > $@
$(NATIVE)/about: FORCE
	@mkdir -p $(@D); echo '$(ABOUT)' | cmp -s - $@ || echo '$(ABOUT)' > $@
$(SIMT)/flags: FORCE
	@mkdir -p $(@D); echo '$(SIMTFLAGS) $(SIMT_HOST) $(SIMT_KERNEL)' | cmp -s - $@ || echo '$(SIMTFLAGS) $(SIMT_HOST) $(SIMT_KERNEL)' > $@
.PHONY: FORCE
FORCE:

deps .deps/ready: tools/deps.sh
	@tools/deps.sh
	@touch .deps/ready

demo: build/theta
	./build/theta run runs/demo.toml
	./build/theta run runs/fields_demo.toml

test: build/theta $(NATIVE)/run-tests $(SIMT)/run-tests
	@tests/run $(NATIVE) $(SIMT)

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
	@git rev-parse HEAD >COMMIT; tar czf theta-bundle.tar.gz --transform 's|^|theta/|S' --exclude='.deps/fetch.*' \
	  .deps COMMIT $$(git ls-files); rm COMMIT
	@ls -sh theta-bundle.tar.gz

PREFIX ?= /usr/local
install: build/theta
	install -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/share/theta/datasets' '$(DESTDIR)$(PREFIX)/share/theta/runs'
	install -m 755 $(NATIVE)/theta '$(DESTDIR)$(PREFIX)/bin/theta'
	install -m 644 runs/*.toml '$(DESTDIR)$(PREFIX)/share/theta/runs'
	for root in .deps/usr/share/datasets /usr/share/datasets; do \
	  [ ! -d $$root/fashion-mnist ] || { cp -r $$root/fashion-mnist '$(DESTDIR)$(PREFIX)/share/theta/datasets/'; break; }; done

clean:
	rm -rf build

-include $(shell find $(NATIVE) $(SIMT) -name '*.d' 2>/dev/null)
