// What a configuration would take of memory, and what changes of it would do: on plans alone, no device is touched.
#pragma once
#include "engine/pipeline/stages/stage.h"

namespace theta {

class RunMemory {
public:
  // A configuration's file and overrides, as load_config takes them.
  RunMemory(std::filesystem::path, std::vector<std::string> overrides, Backend, Budget = {});

  // The plans of every stage with `changes` ("fit.batch=16") over the overrides, and the networks' hidden layers and
  // channels `wider` times as wide. Throws InputError as load_config and plans_of do.
  struct Planned {
    Config config;
    std::size_t parameters; // V
    std::vector<MemoryPlan> plans;
    std::size_t bytes = 0; // of the largest, as a budget counts them
    std::size_t stage = 0; // which it is
  };
  Planned planned(const std::vector<std::string> &changes = {}, double wider = 1, StagesOf = StagesOf::run) const;
  std::size_t bytes(const MemoryPlan &plan) const { return plan.bytes_on(backend_); } // as a budget counts them
  RunMemory within(std::size_t budget) const { return {path_, overrides_, backend_, budget}; }
  // The switches against memory that the generator has left (Generator::savings).
  std::vector<std::string> savings(const std::vector<std::string> &changes) const;

  // A stage's bytes as of_v·V + of_bv·B·V + of_b·B + rest, B being the setting `batch`: from the plans at V and twice
  // it, B and twice it. `error` is what the plan at three times both has more, as a share of it. None where so much
  // cannot be planned.
  struct Growth {
    std::string stage, batch;
    double of_v = 0, of_bv = 0, of_b = 0, rest = 0, error = 0;
  };
  std::vector<Growth> growth() const;

  // The change that makes the first stage beyond the budget smallest: a switch of the generator's, where one is left,
  // for it changes no number, or else half of a setting that the stage's largest entries name. Nothing where none is.
  std::optional<std::string> advice(const std::vector<std::string> &changes, std::size_t budget) const;
  // All changes that it takes, one after another; `fits` says whether they do.
  struct Advice {
    std::vector<std::string> changes;
    bool fits = false;
  };
  Advice advice(std::size_t budget) const;

private:
  Planned with_largest(Planned) const; // which stage takes most
  std::filesystem::path path_;
  std::vector<std::string> overrides_;
  Backend backend_;
  Budget budget_;
};

// A growth as a formula: "8.1·V + 1032·B·V + 6.3e+06".
std::string text_of(const RunMemory::Growth &);

} // namespace theta
