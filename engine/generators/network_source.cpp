#include "network_source.h"
#include <algorithm>
#include <cmath>

namespace theta {

namespace {

constexpr std::uint32_t order_stream = 2; // of batches

// Which of n earlier networks is a start: even in the square root of its place, since starts of samples are first ones.
std::size_t start_of(std::uint32_t bits, std::size_t n) {
  const double u = uniform01(bits);
  return std::min(n - 1, std::size_t(u * u * double(n)));
}

} // namespace

std::vector<float> ranks_among(std::vector<float> numbers, std::vector<float> others) {
  std::sort(others.begin(), others.end());
  for (float &number : numbers) {
    const auto [first, last] = std::equal_range(others.begin(), others.end(), number);
    number = float(double((first - others.begin()) + (last - others.begin())) / (2 * double(others.size())));
  }
  return numbers;
}

std::vector<float> told_numbers(const ZooReader &zoo, const std::string &name, const std::vector<std::size_t> &among) {
  const bool rank = name.starts_with(rank_prefix);
  const std::string column = rank ? name.substr(rank_prefix.size()) : name;
  if (!zoo.has_column(column))
    throw InputError("fit: ", zoo.path().string(), ": found no column '", column, "', expected one to condition on");
  auto numbers = zoo.numbers(column);
  if (!rank)
    return numbers;
  for (const float number : numbers)
    if (!std::isfinite(number))
      throw InputError("fit: condition ", name, ": found ", number, ", expected a finite number");
  std::vector<float> others;
  for (const std::size_t row : among)
    others.push_back(numbers[row]);
  return ranks_among(std::move(numbers), std::move(others));
}

ZooBatches::ZooBatches(const ZooReader &zoo, const std::vector<std::size_t> &rows, NetworkBatch batch,
                       std::uint64_t seed)
    : batch_(std::move(batch)), seed_(seed) {
  for (const std::string &column : batch_.columns)
    columns_.push_back(told_numbers(zoo, column, rows));
  if (!batch_.pairs) {
    targets_ = rows;
    return;
  }
  const auto run = zoo.integers("run"), step = zoo.integers("step");
  run_rows_ = rows;
  std::stable_sort(run_rows_.begin(), run_rows_.end(), [&](std::size_t a, std::size_t b) {
    return std::pair(run[a], step[a]) < std::pair(run[b], step[b]);
  });
  for (std::size_t i = 0, first = 0; i < run_rows_.size(); ++i) {
    if (run[run_rows_[i]] != run[run_rows_[first]])
      first = i;
    if (i > first)
      targets_.push_back(run_rows_[i]), run_first_.push_back(first), earlier_.push_back(i - first);
  }
  if (targets_.empty())
    throw InputError("fit: ", zoo.path().string(),
                     ": found one checkpoint a run, expected several for a generator that starts from one");
}

std::size_t ZooBatches::row_of(std::uint64_t batch, std::size_t i) const {
  const auto networks = std::size_t(batch_.networks);
  const std::uint64_t position = batch * networks + i % networks;
  const auto target = shuffled(seed_, Purpose::batch_order, order_stream, position, std::uint32_t(targets_.size()));
  if (i < networks)
    return targets_[target];
  const auto bits = philox(seed_, Purpose::start_choice, order_stream, position).word[0];
  return run_rows_[run_first_[target] + start_of(bits, earlier_[target])];
}

void ZooBatches::facts_of(std::uint64_t batch, NetworkSource::Facts &facts) const {
  const auto networks = std::size_t(batch_.networks);
  facts.target.resize(columns_.size() * networks), facts.start.resize(batch_.pairs ? facts.target.size() : 0);
  facts.row.resize(networks);
  for (std::size_t i = 0; i < rows(); ++i) {
    const std::size_t row = row_of(batch, i);
    if (i < networks)
      facts.row[i] = std::uint32_t(row);
    for (std::size_t k = 0; k < columns_.size(); ++k)
      (i < networks ? facts.target : facts.start)[k * networks + i % networks] = columns_[k][row];
  }
}

ZooSource::ZooSource(const ZooReader &zoo, const ZooBatches &batches, std::vector<float *> staging, long first_batch,
                     Prefetch::Prepare prepare)
    : batches_(batches), parameters_(zoo.parameters()), next_(first_batch),
      prefetch_(
          zoo, std::move(staging), std::uint64_t(first_batch), batches.rows(),
          [&batches](std::uint64_t batch, std::size_t i) { return batches.row_of(batch, i); }, std::move(prepare)) {}

const NetworkSource::Facts &ZooSource::next(Stream &s, float *theta, float *start) {
  s.synchronize(); // copies out of the batch that next() gives back
  const float *networks = prefetch_.next();
  const std::size_t size = std::size_t(batches_.batch().networks) * parameters_;
  copy(s, theta, networks, size * sizeof(float));
  if (batches_.batch().pairs)
    copy(s, start, networks + size, size * sizeof(float));
  batches_.facts_of(std::uint64_t(next_++), facts_);
  return facts_;
}

StreamSource::StreamSource(ZooStream &stream, const ZooRecipe &recipe, NetworkBatch batch, float *run_rows,
                           std::uint64_t seed)
    : stream_(stream), recipe_(recipe), batch_(std::move(batch)), run_rows_(run_rows), seed_(seed) {
  if (batch_.pairs && stream_.checkpoints() < 2)
    throw InputError("fit: zoo.checkpoints: found one checkpoint a run, expected several for a generator that starts "
                     "from one");
  for (const std::string &column : batch_.columns)
    stream_.fact({}, column); // throws for one that it has not
}

const NetworkSource::Facts &StreamSource::next(Stream &s, float *theta, float *start) {
  std::vector<ZooStream::Row> targets, starts;
  const std::size_t v = stream_.parameters();
  while (targets.size() < std::size_t(batch_.networks)) {
    float *to = theta + targets.size() * v;
    const auto rows = stream_.next(s, batch_.pairs ? run_rows_ : to, batch_.pairs ? stream_.checkpoints() : 1);
    const std::int64_t run = rows.front().run;
    if (run < recipe_.networks && is_held_out(run, recipe_.held_out))
      continue;
    if (!batch_.pairs) {
      targets.push_back(rows.front());
      continue;
    }
    const auto bits = philox(seed_, Purpose::start_choice, order_stream, std::uint64_t(run));
    const std::size_t target = 1 + uniform_below(bits.word[0], rows.size() - 1);
    const std::size_t from = start_of(bits.word[1], target);
    copy(s, to, run_rows_ + target * v, v * sizeof(float));
    copy(s, start + starts.size() * v, run_rows_ + from * v, v * sizeof(float));
    targets.push_back(rows[target]), starts.push_back(rows[from]);
  }
  facts_ = {};
  for (const auto &row : targets)
    facts_.row.push_back(std::uint32_t(row.run));
  for (const auto &column : batch_.columns) {
    for (const auto &row : targets)
      facts_.target.push_back(stream_.fact(row, column));
    for (const auto &row : starts)
      facts_.start.push_back(stream_.fact(row, column));
  }
  return facts_;
}

std::map<std::string, long> StreamSource::position() const {
  return {{"wave", stream_.position().wave}, {"row", stream_.position().row}};
}

} // namespace theta
