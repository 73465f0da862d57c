#include "parallel.h"
#include "container.h"
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <sched.h>
#include <thread>
#include <vector>

namespace theta {

namespace {

int available() {
  if (const char *wanted = std::getenv("OMP_NUM_THREADS"))
    if (const long n = std::strtol(wanted, nullptr, 10); n >= 1)
      return int(std::min(n, 1024L));
  cpu_set_t cores;
  return cores_allowed(sched_getaffinity(0, sizeof cores, &cores) == 0 ? std::max(1, CPU_COUNT(&cores)) : 1);
}

std::atomic<int> everywhere = 0; // 0: as many as are available
thread_local int here = 0;       // 0: as everywhere
thread_local int index = 0;
thread_local bool sharing = false; // inside a loop

// Waits until ready(), a little while awake, since the next loop is often some microseconds away, and then asleep: a
// core that waits awake is one that another process could use, or a helper whose own core is taken.
template <class Ready, class Sleep> void wait(Ready ready, Sleep sleep) {
  using Clock = std::chrono::steady_clock;
  constexpr auto awake = std::chrono::microseconds(50);
  const auto start = Clock::now();
  do {
    for (int i = 0; i < 32; ++i) {
      if (ready())
        return;
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    }
  } while (Clock::now() - start < awake);
  while (!ready())
    sleep();
}

class Team {
public:
  explicit Team(int helpers) : next_(std::size_t(helpers) + 1) {
    for (int i = 0; i < helpers; ++i)
      helpers_.emplace_back([this, i] { help(i + 1); });
  }
  ~Team() {
    ended_ = true;
    generation_.fetch_add(1), generation_.notify_all();
    for (std::thread &helper : helpers_)
      helper.join();
  }
  int helpers() const { return int(helpers_.size()); }

  void share_pieces(long pieces, void (*piece)(void *, long), void *context) {
    piece_ = piece, context_ = context, pieces_ = pieces;
    for (int t = 0; t < shares(); ++t)
      next_[std::size_t(t)].at = pieces * t / shares();
    open_ = true;
    generation_.fetch_add(1), generation_.notify_all();
    work(0);
    open_ = false; // from now on no helper joins; those that have are waited for
    wait([&] { return inside_.load() == 0; },
         [&] {
           if (const int now = inside_.load())
             inside_.wait(now);
         });
  }

private:
  int shares() const { return helpers() + 1; }

  // First a thread's own share, whose data its caches may still hold from the loop before, then what others have left.
  void work(int which) {
    for (int t = 0; t < shares(); ++t) {
      const int of = (which + t) % shares();
      const long last = pieces_ * (of + 1) / shares();
      for (long i = next_[std::size_t(of)].at.fetch_add(1); i < last; i = next_[std::size_t(of)].at.fetch_add(1))
        piece_(context_, i);
    }
  }

  void help(int which) {
    index = which, sharing = true;
    for (int seen = 0;;) {
      wait([&] { return generation_.load() != seen; }, [&] { generation_.wait(seen); });
      seen = generation_.load();
      if (ended_)
        return;
      inside_.fetch_add(1); // before asking whether the loop is open: its owner closes it and then looks here
      if (open_)
        work(which);
      if (inside_.fetch_sub(1) == 1)
        inside_.notify_all();
    }
  }

  void (*piece_)(void *, long) = nullptr;
  void *context_ = nullptr;
  long pieces_ = 0;
  struct alignas(64) Next {
    std::atomic<long> at = 0;
  };
  std::vector<Next> next_; // piece of each share
  alignas(64) std::atomic<int> inside_ = 0;
  std::atomic<bool> open_ = false, ended_ = false;
  alignas(64) std::atomic<int> generation_ = 0; // of loops
  std::vector<std::thread> helpers_;
};

} // namespace

int threads() {
  static const int all = available();
  return here ? here : everywhere.load() ? everywhere.load() : all;
}
void use_threads(int n) { here = n; }
void use_threads_everywhere(int n) { everywhere = n; }
int thread_index() { return index; }

void share_pieces(long pieces, void (*piece)(void *, long), void *context) {
  const int helpers = threads() - 1;
  if (sharing || helpers == 0 || pieces <= 1) {
    for (long i = 0; i < pieces; ++i)
      piece(context, i);
    return;
  }
  thread_local std::unique_ptr<Team> team;
  if (!team || team->helpers() != helpers)
    team.reset(), team = std::make_unique<Team>(helpers);
  sharing = true;
  team->share_pieces(pieces, piece, context);
  sharing = false;
}

} // namespace theta
