#include "prefetch.h"

namespace theta {

Prefetch::Prefetch(std::vector<float *> staging, std::uint64_t first, Fill fill)
    : staging_(std::move(staging)), fill_(std::move(fill)), produced_(first), taken_(first), released_(first),
      thread_([this] { read_ahead(); }) {}

Prefetch::Prefetch(const ZooReader &zoo, std::vector<float *> staging, std::uint64_t first,
                   std::function<std::vector<std::size_t>(std::uint64_t)> rows_of, Prepare prepare)
    : Prefetch(std::move(staging), first,
               [&zoo, rows_of = std::move(rows_of), prepare = std::move(prepare)](std::uint64_t batch, float *to) {
                 const std::vector<std::size_t> rows = rows_of(batch);
                 for (std::size_t i = 0; i < rows.size(); ++i, to += zoo.parameters()) {
                   if (i + 1 < rows.size() && rows[i + 1] != rows[i] + 1)
                     zoo.will_read(rows[i + 1]);
                   zoo.theta(rows[i], to);
                   if (prepare)
                     prepare(rows[i], to);
                 }
               }) {}

Prefetch::~Prefetch() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Prefetch::read_ahead() {
  try {
    for (;;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stop_ || produced_ - released_ < staging_.size(); });
      if (stop_)
        return;
      const std::uint64_t batch = produced_;
      lock.unlock();
      fill_(batch, staging_[batch % staging_.size()]);
      lock.lock();
      ++produced_;
      changed_.notify_all();
    }
  } catch (...) {
    const std::lock_guard lock(mutex_);
    failure_ = std::current_exception();
    changed_.notify_all();
  }
}

const float *Prefetch::next() {
  std::unique_lock lock(mutex_);
  released_ = taken_;
  changed_.notify_all();
  changed_.wait(lock, [&] { return failure_ || produced_ > taken_; });
  if (failure_)
    std::rethrow_exception(failure_);
  return staging_[taken_++ % staging_.size()];
}

} // namespace theta
