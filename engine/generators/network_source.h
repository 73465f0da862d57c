// Where a generator's training networks come from: a zoo's mapped shards, read ahead, or a zoo without end. Batch i is
// the same whenever and however often it is asked for.
#pragma once
#include "data/prefetch.h"
#include "engine/memory/plan.h"
#include "engine/zoo/zoo_stream.h"

namespace theta {

// A zoo without end: its recipe, and the data, where it is to run.
struct StreamTask {
  ZooRecipe recipe;
  NetworkShape network;
  DatasetSizes sizes;
  const Dataset *data = nullptr;
};

// What a consumer wants of a batch.
struct NetworkBatch {
  int networks = 1;
  bool pairs = false;               // also an earlier checkpoint of each network's run, its start
  std::vector<std::string> columns; // what it wants to know of each
};

class NetworkSource {
public:
  // Column by column of the batch's networks; of their starts too, where it has pairs.
  struct Facts {
    std::vector<float> target, start; // [columns, networks]
    std::vector<std::uint32_t> row;   // [networks]: which they are, of the zoo, or of a zoo without end by run
  };
  virtual ~NetworkSource() = default;
  // The next batch, on the stream's device: theta [networks, V], start [networks, V] or null. What is known of it stays
  // until the next call.
  virtual const Facts &next(Stream &, float *theta, float *start) = 0;
  // What tells where the next batch begins, beside its number; for saving.
  virtual std::map<std::string, long> position() const { return {}; }
};

// Each number's place among others: the share of them below it, and half of those that equal it; 0 to 1. Finite
// numbers.
std::vector<float> ranks_among(std::vector<float> numbers, std::vector<float> others);

// A column of a zoo's rows; behind rank_prefix their ranks in it among the rows `among`. Throws InputError where there
// is no such column, or a number to rank that is not finite.
inline constexpr std::string_view rank_prefix = "rank.";
std::vector<float> told_numbers(const ZooReader &, const std::string &name, const std::vector<std::size_t> &among);

// Which rows of a zoo make batch i. Each epoch has an order of its own. Pairs: every row but a run's first is a target,
// its start an earlier one of its run, drawn at random, early ones more often: even in the square root of their place.
class ZooBatches {
public:
  // The rows that may be drawn. Throws InputError where a column is missing, or no run has two of the rows.
  ZooBatches(const ZooReader &, const std::vector<std::size_t> &rows, NetworkBatch, std::uint64_t seed);
  std::size_t rows() const { return std::size_t(batch_.networks) * (batch_.pairs ? 2 : 1); } // targets, then starts
  std::size_t row_of(std::uint64_t batch, std::size_t i) const;
  void facts_of(std::uint64_t batch, NetworkSource::Facts &) const; // written
  const NetworkBatch &batch() const { return batch_; }
  std::size_t targets() const { return targets_.size(); }

private:
  NetworkBatch batch_;
  std::uint64_t seed_;
  std::vector<std::size_t> targets_;             // rows
  std::vector<std::size_t> run_rows_;            // where there are pairs: all rows, run by run, ascending in steps
  std::vector<std::size_t> run_first_, earlier_; // of each target: where its run begins in run_rows_, rows before it
  std::vector<std::vector<float>> columns_;      // of all rows of the zoo
};

// Shards, read ahead into `staging`: buffers in host memory, [networks·(pairs ? 2 : 1), V] each. The batches must live
// as long as this.
class ZooSource : public NetworkSource {
public:
  ZooSource(const ZooReader &, const ZooBatches &, std::vector<float *> staging, long first_batch,
            Prefetch::Prepare prepare = {});
  const Facts &next(Stream &, float *theta, float *start) override;

private:
  const ZooBatches &batches_;
  Facts facts_;
  std::size_t parameters_;
  long next_;
  Prefetch prefetch_;
};

// A zoo without end, in training on cores of its own, until this is gone. No network comes twice. Runs that the
// recipe's own zoo holds out are left out. Pairs: one of each run, its target any row but the first, its start an
// earlier one as above, both drawn at random.
class StreamSource : public NetworkSource {
public:
  // run_rows: room on the device for a run's rows, [checkpoints, V], where there are pairs. Throws InputError for
  // columns that a stream does not know, and for pairs of runs of one row.
  StreamSource(ZooStream &, const ZooRecipe &, NetworkBatch, float *run_rows, std::uint64_t seed);
  ~StreamSource() override { stream_.stop(); }
  const Facts &next(Stream &, float *theta, float *start) override;
  std::map<std::string, long> position() const override;

private:
  ZooStream &stream_;
  ZooRecipe recipe_;
  NetworkBatch batch_;
  float *run_rows_;
  std::uint64_t seed_;
  Facts facts_;
};

} // namespace theta
