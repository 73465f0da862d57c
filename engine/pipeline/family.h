// A run of several architectures: [network] widths is a list of lists. Each of them, and each of network.unseen, is a
// member: a run of its own in the folder of the whole, with a zoo in zoo/NAME, samples and figures in NAME/. What they
// share is the generator, which learns all zoos but those of the unseen, and zoo/family.json, which names them.
#pragma once
#include "stages.h"

namespace theta {

// Whether the configuration names several architectures.
bool is_family(const Config &);

// The configurations of the members, each of one architecture; the unseen last. Their names are their widths,
// "49-8-10".
struct Member {
  std::string name;
  bool seen;
  Config config;
};
std::vector<Member> members_of(const Config &);

class Family {
public:
  // As Stages. Throws InputError too for a generator that learns one architecture alone.
  explicit Family(Run);

  void zoo();
  void fit();
  void sample();
  void eval();
  void finetune();
  void report(); // pictures of every member
  void all();

private:
  std::string fit_key();
  void share_generator(); // tells the members whose samples they have
  std::filesystem::path generator_path() const { return run_.out / "generator.safetensors"; }
  void each(void (Stages::*stage)());

  Run run_;
  std::vector<Member> members_;
  std::optional<FolderLock> lock_;
  Journal journal_;
  std::vector<std::unique_ptr<Stages>> stages_; // of the members
};

// The folders of a family's members, where `run` is a family's folder that has been judged; else `run` alone.
std::vector<std::filesystem::path> members_in(const std::filesystem::path &run);

// Whatever the configuration is of: a stage of a run, or of each member of a family.
struct StageOfAll {
  void (Stages::*one)();
  void (Family::*family)();
};
void run_stage(Run, const StageOfAll &);

// The memory plans of every member, and of their generator.
std::vector<MemoryPlan> family_plans(const Config &, Backend, Budget = {}, StagesOf = StagesOf::run);

} // namespace theta
