// A run: its members and its stages. [network] widths may be a list of lists: each of them, and each of network.unseen,
// is a member, a run of its own in the folder of the whole, with a zoo in zoo/NAME, samples and figures in NAME/. What
// they share is the generator, which learns all zoos but those of the unseen, and zoo/family.json, which names them.
// A run of one architecture is a family of one, whose member has the folder for itself.
#pragma once
#include "member.h"

namespace theta {

// Whether the configuration names several architectures.
bool is_family(const Config &);

// The configurations of a family's members, each of one architecture; the unseen last. Their names are their widths,
// "49-8-10".
struct MemberConfig {
  std::string name;
  bool seen;
  Config config;
};
std::vector<MemberConfig> members_of(const Config &);

class Pipeline {
public:
  // As Member. Throws InputError too for a generator that learns one architecture alone.
  explicit Pipeline(Run);
  Pipeline(const Pipeline &) = delete;

  void run(std::string_view stage) { stage_named(stage).run_all(*this); }
  void all(); // all that are wanted, and the page

  const Run &order() const { return run_; }
  const std::vector<std::unique_ptr<Member>> &members() const { return members_; }
  std::vector<Member *> seen() const;
  bool is_family() const { return members_.size() > 1 || !members_[0]->name().empty(); }
  Journal &journal() { return journal_ ? *journal_ : members_[0]->journal(); }

private:
  Run run_;
  std::optional<FolderLock> lock_;
  std::optional<Journal> journal_; // of a family
  std::vector<std::unique_ptr<Member>> members_;
};

// The folders of a family's members, where `run` is a family's folder that has been judged; else `run` alone.
std::vector<std::filesystem::path> members_in(const std::filesystem::path &run);

// The memory plans of every member, and of their generator.
std::vector<MemoryPlan> family_plans(const Config &, Backend, Budget = {}, StagesOf = StagesOf::run);

} // namespace theta
