// What a step of training takes from the heap: nothing, once the first have been made.
#include "engine/pipeline/stages/pipeline.h"
#include "tests/check.h"
#include "tests/idx_files.h"
#include "tests/scratch.h"
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <new>
#include <sstream>

#if !THETA_SIMT // AddressSanitizer counts there

namespace {

std::atomic<long> taken{0};

[[gnu::noinline]] void *take(std::size_t bytes, std::size_t alignment) {
  ++taken;
  void *at = std::aligned_alloc(alignment, (bytes + alignment) / alignment * alignment);
  if (!at)
    throw std::bad_alloc();
  return at;
}
[[gnu::noinline]] void give_back(void *at) { std::free(at); }

} // namespace

void *operator new(std::size_t bytes) { return take(bytes, alignof(std::max_align_t)); }
void *operator new(std::size_t bytes, std::align_val_t at) { return take(bytes, std::size_t(at)); }
void operator delete(void *at) noexcept { give_back(at); }
void operator delete(void *at, std::size_t) noexcept { give_back(at); }
void operator delete(void *at, std::align_val_t) noexcept { give_back(at); }
void operator delete(void *at, std::size_t, std::align_val_t) noexcept { give_back(at); }

using namespace theta;
using namespace theta::test;

TEST_CASE("steps of training take nothing from the heap, whatever the generator") {
  const Scratch folder;
  write_idx_data(folder.path() / "data", 120, 40);
  const auto path = folder.path() / "x.toml";
  std::ofstream(path) << "[data]\nfolder = '" << (folder.path() / "data").string() << "'\npool = 4\nvalidation = 10\n"
                      << "[network]\nwidths = [49, 4, 10]\n[zoo]\nnetworks = 12\nsteps = 30\nbatch = 16\nlr = 1e-2\n"
                      << "checkpoints = 'every'\ncount = 10\n";
  struct Fit {
    std::string generator;
    std::vector<std::string> steps; // keys of its trainings' lengths
    std::string settings;           // those that begin with a point are the generator's own
  };
  const std::string small = ".width=16 .layers=2 .features=8 .batch=4 .accumulate=2",
                    told = " .conditions=['validation_loss']";
  const std::vector<Fit> fits{
      {"p-diff",
       {"autoencoder.steps", "denoiser.steps"},
       "latent=6 autoencoder.channels=[3,4] denoiser.channels=[1,4,1]"},
      {"p-diff",
       {"autoencoder.steps"},
       "latent=6 autoencoder.channels=[3,4] compact=true arithmetic=bf16 denoiser.steps=1"},
      {"transformer", {".steps"}, small + told + " .heads=2 .balance=false .shuffle=true .rescale=0.1"},
      {"subspace", {".steps"}, small + told},
      {"windows", {".steps"}, small + " .accumulate=1 .chunk=32 .window=4 .state=16"},
      {"graph", {".steps"}, small + told + " .heads=2 .edge_width=8"},
      {"graph", {".steps"}, small + told + " .heads=2 .edge_width=8 .arithmetic=bf16 .recompute=true"},
  };
  int run = 10; // each in a folder of its own: a journal that is there already is read
  for (const Fit &fit : fits) {
    CAPTURE(fit.generator);
    // Metrics are written every three steps of 300 to 399, and after the last: as often of 301 as of 303.
    const auto taken_by = [&](int steps) {
      std::vector<std::string> set{"fit.generator=" + fit.generator};
      const auto add = [&](const std::string &key) {
        set.push_back("fit." + (key.starts_with('.') ? fit.generator : "") + key);
      };
      std::istringstream settings(fit.settings);
      for (std::string key; settings >> key;)
        add(key);
      for (const std::string &key : fit.steps)
        add(key + "=" + std::to_string(steps));
      const Silence silence;
      const auto out = folder.path() / std::to_string(run++);
      Pipeline pipeline(Run{.config = load_config(path, set), .out = out, .device = {}, .zoo = folder.path() / "zoo"});
      pipeline.run("zoo");
      const long before = taken;
      pipeline.run("fit");
      return taken - before;
    };
    taken_by(300);
    const long fewer = taken_by(301), more = taken_by(303);
    CHECK(more == fewer);
  }
}

#endif
