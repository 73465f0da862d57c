#include "prefetch.h"

namespace theta {

Prefetch::Prefetch(const ZooReader &zoo, std::vector<float *> staging, std::uint64_t first,
                   std::function<std::vector<std::size_t>(std::uint64_t)> rows_of, Prepare prepare)
    : zoo_(zoo), staging_(std::move(staging)), rows_of_(std::move(rows_of)), prepare_(std::move(prepare)),
      produced_(first), taken_(first), released_(first), thread_([this] { read_ahead(); }) {}

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
      float *to = staging_[batch % staging_.size()];
      for (const std::size_t row : rows_of_(batch)) {
        zoo_.theta(row, to);
        if (prepare_)
          prepare_(row, to);
        to += zoo_.parameters();
      }
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
