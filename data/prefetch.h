// Batches of networks, or of parts of them, read ahead of their use: a thread fills staging buffers, so that the disk
// works while the device computes.
#pragma once
#include "zoo_reader.h"
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace theta {

class Prefetch {
public:
  // Batch i is what fill(i, buffer) writes, for i = first, first + 1, ...; `staging` is the given number of buffers
  // (host memory, owned by the caller), of which one is with the caller.
  using Fill = std::function<void(std::uint64_t batch, float *buffer)>;
  Prefetch(std::vector<float *> staging, std::uint64_t first, Fill fill);

  // Batch i holds `rows` rows, row_of(i, 0), row_of(i, 1), ..., each V floats. The reading thread hands every row that it
  // has read to `prepare`, where there is one, which may change it in place.
  using Prepare = std::function<void(std::size_t row, float *theta)>;
  Prefetch(const ZooReader &zoo, std::vector<float *> staging, std::uint64_t first, std::size_t rows,
           std::function<std::size_t(std::uint64_t batch, std::size_t i)> row_of, Prepare prepare = {});
  ~Prefetch();
  Prefetch(const Prefetch &) = delete;
  Prefetch &operator=(const Prefetch &) = delete;

  // The next batch. Valid until the next call. Throws what the reading thread threw.
  const float *next();

private:
  void read_ahead();
  const std::vector<float *> staging_;
  const Fill fill_;
  std::uint64_t produced_, taken_, released_; // batches read, handed out, and given back
  bool stop_ = false;
  std::exception_ptr failure_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::thread thread_;
};

} // namespace theta
