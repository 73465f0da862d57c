#include "prefetch.h"

namespace theta {

Prefetch::Prefetch(std::vector<float *> staging, std::uint64_t first, Fill fill)
    : staging_(std::move(staging)), fill_(std::move(fill)), produced_(first), taken_(first), released_(first),
      thread_([this] { read_ahead(); }) {}

Prefetch::Prefetch(const ZooReader &zoo, std::vector<float *> staging, std::uint64_t first, std::size_t rows,
                   std::function<std::size_t(std::uint64_t, std::size_t)> row_of, Prepare prepare)
    : Prefetch(std::move(staging), first,
               [&zoo, rows, row_of = std::move(row_of), prepare = std::move(prepare)](std::uint64_t batch, float *to) {
                 std::size_t row = row_of(batch, 0);
                 for (std::size_t i = 0; i < rows; ++i, to += zoo.parameters()) {
                   const std::size_t next = i + 1 < rows ? row_of(batch, i + 1) : row + 1;
                   if (next != row + 1)
                     zoo.will_read(next);
                   zoo.theta(row, to);
                   if (prepare)
                     prepare(row, to);
                   row = next;
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
