// A zoo without end: trains wave after wave in a thread of its own and hands the rows straight from device memory to
// whoever trains on them, none of them twice and none to disk. Run r is what a ZooTrainer of the same recipe and seed
// makes of run r; the order of rows is by run, then step, less the runs that diverged.
#pragma once
#include "data/dataset.h"
#include "evaluator.h"
#include "learning.h"
#include "wave.h"
#include <array>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace theta {

// Where the next row comes from: row `row` of wave `wave`.
struct StreamPosition {
  long wave = 0, row = 0;
  bool operator==(const StreamPosition &) const = default;
};

class ZooStream {
public:
  // What is known of a row beside its weights.
  struct Row {
    std::int64_t run, step;
    RunChoice choice;
    float train_loss;
    // What it is scored on, in the order of Learning::scored_on: test images, then validation images; 0 where not.
    static constexpr std::size_t most_parts = 2;
    std::array<float, most_parts> loss{}, quality{}; // accuracy; of fields, PSNR in decibels
  };

  // Waves of recipe.wave runs (recipe.networks does not count); at most `buffered` of them wait to be taken. Where rows
  // are not scored, their losses and accuracies are 0. Throws InputError as ZooTrainer does.
  ZooStream(const ZooRecipe &, const NetworkShape &, std::uint64_t seed, const DatasetSizes &, Backend,
            bool scored = true, int buffered = 2);
  ~ZooStream(); // stops

  void plan(MemoryPlan &);
  std::size_t parameters() const { return wave_.parameters(); }
  std::size_t checkpoints() const { return wave_.checkpoints(); } // rows a run

  // Starts the thread, on `threads` cores of the cpu (0: as many as there are). Call it once; the plan's arena and data
  // must live as long as this.
  void start(Device, const Dataset &, StreamPosition from = {}, int threads = 0);

  // The next `count` rows: theta [count, V] on the stream's device, and what is known of them. Waits for them. Throws
  // what the thread threw, Interrupted when asked to stop, Error after too many waves without a row.
  std::vector<Row> next(Stream &, float *theta, std::size_t count);

  // The number that the zoo's column of that name would hold of a row. Throws InputError where there is none.
  float fact(const Row &, const std::string &column) const;

  // Ends the thread after the steps that it is in, and waits for it: arena and data are free to go then.
  void stop();

  StreamPosition position() const { return position_; } // of the row that next() will begin with

private:
  // A trained wave that waits in the buffer.
  struct Ready {
    long wave;
    int slot;
    std::vector<Row> rows;
  };
  void produce(Device, const Dataset &, long first_wave, int threads);
  bool score(Stream &, std::size_t part, Ready &); // false: the stream is ending
  bool ending();
  std::optional<Ready> train_wave(Stream &, long wave, int slot); // nothing: the stream is ending

  ZooRecipe recipe_;
  NetworkShape shape_;
  std::uint64_t seed_;
  Wave wave_;
  Evaluator evaluator_;
  bool scored_;
  int buffered_;
  std::unique_ptr<TrainingPart> examples_;
  std::vector<ScoredPart> scored_on_;
  Examples on_device_{};
  const Dataset *data_ = nullptr;
  std::vector<Tensor<float>> rows_; // [wave, checkpoints, V] each, rows packed together
  StreamPosition position_;

  std::thread thread_;
  std::mutex mutex_; // guards what follows
  std::condition_variable changed_;
  std::deque<Ready> ready_;
  std::vector<int> free_;
  std::exception_ptr failure_;
  bool ending_ = false;
};

} // namespace theta
