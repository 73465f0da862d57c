#include "zoo_stream.h"
#include "engine/training/interrupt.h"
#include "kernels/device/parallel.h"
#include <chrono>
#include <fmt/core.h>

namespace theta {

namespace {
constexpr int judged_at_once = 64, barren_waves = 8;
}

float ZooStream::fact(const Row &row, const std::string &column) const {
  for (std::size_t part = 0; part < scored_on_.size(); ++part)
    if (column == scored_on_[part].loss)
      return row.loss[part];
    else if (column == scored_on_[part].quality)
      return row.quality[part];
  const RunRecipe &r = row.choice.recipe;
  const std::pair<const char *, float> all[] = {{"run", float(row.run)},
                                                {"step", float(row.step)},
                                                {"optimizer", float(r.optimizer)},
                                                {"activation", float(r.act)},
                                                {"initialisation", float(row.choice.initialisation)},
                                                {"train_loss", row.train_loss},
                                                {"lr", r.lr},
                                                {"momentum", r.momentum},
                                                {"weight_decay", r.weight_decay},
                                                {"label_smoothing", r.label_smoothing},
                                                {"label_noise", r.label_noise},
                                                {"dropout", r.dropout}};
  for (const auto &[name, value] : all)
    if (column == name)
      return value;
  throw InputError("zoo stream: found no column '", column, "'");
}

ZooStream::ZooStream(const ZooRecipe &recipe, const NetworkShape &shape, std::uint64_t seed, const DatasetSizes &sizes,
                     Backend backend, bool scored, int buffered)
    : recipe_(recipe), shape_(shape), seed_(seed),
      wave_(recipe, shape, recipe.wave, seed, false, backend, trainer_for(backend, shape, recipe)),
      evaluator_(shape, most_images(learning_of(shape).scored_on(sizes)), std::min(recipe.wave, judged_at_once),
                 backend, trainer_for(backend, shape, 1)),
      scored_(scored), buffered_(buffered), examples_(learning_of(shape).part(shape, sizes)),
      scored_on_(learning_of(shape).scored_on(sizes)) {
  check_fits(shape, sizes);
  if (wave_.needs_file())
    throw InputError("zoo.count: found ", wave_.checkpoints(), " rows of ", wave_.parameters(),
                     " parameters a run, expected fewer of a stream, which keeps them in memory");
}

ZooStream::~ZooStream() { stop(); }

void ZooStream::stop() {
  if (!thread_.joinable())
    return;
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void ZooStream::plan(MemoryPlan &plan) {
  examples_->plan(plan);
  wave_.plan(plan);
  if (scored_)
    evaluator_.plan(plan);
  for (int i = 0; i < buffered_; ++i)
    rows_.push_back(plan.reserve<float>(
        fmt::format("stream.rows.{}", i), MemoryClass::data,
        {recipe_.wave, std::int64_t(wave_.checkpoints()), std::int64_t(wave_.parameters())}, "zoo.wave"));
}

void ZooStream::start(Device device, const Dataset &data, StreamPosition from, int threads) {
  for (int i = 0; i < buffered_; ++i)
    free_.push_back(i);
  position_ = from;
  thread_ = std::thread([=, this, &data] { produce(device, data, from.wave, threads); });
}

bool ZooStream::ending() {
  const std::lock_guard lock(mutex_);
  return ending_;
}

std::optional<ZooStream::Ready> ZooStream::train_wave(Stream &s, long wave, int slot) {
  wave_.start(s, int(wave * recipe_.wave), recipe_.wave);
  for (long step = 0, next; step < recipe_.steps; step = next) {
    if (ending())
      return {};
    next = std::min(recipe_.steps, step + wave_.chunk());
    wave_.train(s, on_device_, step, next);
  }
  wave_.put_in_form(s);
  Ready ready{wave, slot, {}};
  const auto diverged = wave_.diverged(s);
  const auto losses = wave_.row_losses(s);
  const auto updates = wave_.updates(s);
  const std::size_t v = wave_.parameters(), checkpoints = wave_.checkpoints();
  float *rows = rows_[std::size_t(slot)];
  for (std::size_t row = 0; row < wave_.due().size(); ++row) {
    const std::size_t i = row / checkpoints;
    if (diverged[i])
      continue;
    wave_.row_to(s, row, rows + ready.rows.size() * v);
    ready.rows.push_back({wave * recipe_.wave + std::int64_t(i), updates[row], wave_.choices()[i], losses[row]});
  }
  for (std::size_t part = 0; scored_ && part < scored_on_.size(); ++part)
    if (!score(s, part, ready))
      return {};
  s.synchronize();
  return ready;
}

// Loss and accuracy of a wave's rows on one part.
bool ZooStream::score(Stream &s, std::size_t part, Ready &ready) {
  examples_->score_on(evaluator_, s, *data_, on_device_, part);
  const std::size_t v = wave_.parameters();
  const float *rows = rows_[std::size_t(ready.slot)];
  for (std::size_t first = 0; first < ready.rows.size(); first += std::size_t(evaluator_.wave())) {
    if (ending())
      return false;
    const std::size_t count = std::min(std::size_t(evaluator_.wave()), ready.rows.size() - first);
    copy(s, evaluator_.theta(), rows + first * v, count * v * sizeof(float));
    ScoredRuns of;
    for (std::size_t j = 0; j < count; ++j) {
      const long run = ready.rows[first + j].run;
      of.activations.push_back(ready.rows[first + j].choice.recipe.act);
      of.signals.push_back(examples_->signal_of(run));
      const auto shares = examples_->shares(recipe_, seed_, run);
      of.shares.insert(of.shares.end(), shares.begin(), shares.end());
    }
    Scores scores;
    evaluator_.score(s, int(count), scores, of);
    for (std::size_t j = 0; j < count; ++j)
      ready.rows[first + j].loss[part] = scores.loss[j], ready.rows[first + j].quality[part] = scores.accuracy[j];
  }
  return true;
}

void ZooStream::produce(Device device, const Dataset &data, long first_wave, int threads) {
  try {
    if (threads > 0)
      use_threads(threads); // of this thread's loops
    Stream s(device);
    on_device_ = examples_->upload(s, data);
    data_ = &data;
    for (long wave = first_wave;; ++wave) {
      int slot;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return ending_ || !free_.empty(); });
        if (ending_)
          return;
        slot = free_.back();
        free_.pop_back();
      }
      auto ready = train_wave(s, wave, slot);
      if (!ready)
        return;
      {
        const std::lock_guard lock(mutex_);
        ready_.push_back(std::move(*ready));
      }
      changed_.notify_all();
    }
  } catch (...) {
    {
      const std::lock_guard lock(mutex_);
      failure_ = std::current_exception();
    }
    changed_.notify_all();
  }
}

std::vector<ZooStream::Row> ZooStream::next(Stream &s, float *theta, std::size_t count) {
  std::vector<Row> taken;
  int barren = 0;
  while (taken.size() < count) {
    Ready *first = nullptr;
    {
      std::unique_lock lock(mutex_);
      while (ready_.empty() && !failure_) {
        changed_.wait_for(lock, std::chrono::milliseconds(100));
        if (interrupted())
          throw Interrupted("zoo stream: stopped while waiting for networks");
      }
      if (ready_.empty())
        std::rethrow_exception(failure_);
      first = &ready_.front(); // stays in its place: the other thread only adds behind it
    }
    const std::size_t v = wave_.parameters(), from = std::size_t(position_.row);
    const std::size_t here = std::min(count - taken.size(), first->rows.size() - std::min(from, first->rows.size()));
    copy(s, theta + taken.size() * v, rows_[std::size_t(first->slot)] + from * v, here * v * sizeof(float));
    taken.insert(taken.end(), first->rows.begin() + std::ptrdiff_t(from),
                 first->rows.begin() + std::ptrdiff_t(from + here));
    position_.row += long(here);
    if (std::size_t(position_.row) < first->rows.size())
      continue;
    s.synchronize(); // the copy out of the slot that is given back
    barren = first->rows.empty() ? barren + 1 : 0;
    if (barren == barren_waves)
      throw Error("zoo stream: every run of ", barren, " waves diverged; a smaller zoo.lr may help");
    position_ = {position_.wave + 1, 0};
    {
      const std::lock_guard lock(mutex_);
      free_.push_back(first->slot);
      ready_.pop_front();
    }
    changed_.notify_all();
  }
  return taken;
}

} // namespace theta
