// What language models learn: to tell the next character of text, each from its own mixture of the classes; they are scored
// on all classes, by which they are judged, and their own loss is that of their mixture.
#include "engine/networks/gpt.h"
#include "engine/zoo/evaluator.h"
#include "engine/zoo/learning.h"
#include "engine/zoo/mixture.h"
#include "kernels/operations/reduce.h"
#include "kernels/operations/softmax_cross_entropy.h"

namespace theta {

namespace {

class TextPart : public TrainingPart {
public:
  TextPart(const NetworkShape &shape, const DatasetSizes &sizes) : TrainingPart(sizes), context_(context_of(shape)) {}
  void plan(MemoryPlan &plan) override {
    codes_ = plan.reserve<std::uint8_t>("zoo.characters", MemoryClass::data, {std::int64_t(sizes_.train)});
    begins_ = plan.reserve<std::uint32_t>("zoo.classes", MemoryClass::data, {sizes_.classes + 1});
  }
  Examples upload(Stream &s, const Dataset &data, const std::vector<std::uint32_t> *) const override {
    const Characters &train = data.text.train;
    for (const Characters *part : {&train, &data.text.validation, &data.text.test})
      for (std::size_t c = 0; c < data.text.classes.size(); ++c)
        if (part->size(c) <= std::size_t(context_))
          throw InputError("network.gpt.context: found ", context_, ", expected less than the ", part->size(c),
                           " characters of a part of ", data.text.classes[c]);
    copy(s, codes_, train.codes.data(), train.codes.size());
    copy(s, begins_, train.begins.data(), train.begins.size() * sizeof(std::uint32_t));
    s.synchronize();
    Examples examples;
    examples.text = {codes_, begins_, sizes_.classes};
    return examples;
  }
  void score_on(Evaluator &evaluator, Stream &s, const Dataset &data, const Examples &,
                std::size_t part) const override {
    evaluator.upload(s, part == 0 ? data.text.test : data.text.validation);
  }
  std::vector<ColumnValue> facts(const ZooRecipe &r, std::uint64_t seed, long run, const Dataset &) const override {
    std::vector<ColumnValue> all;
    for (const float each : shares(r, seed, run))
      all.emplace_back(double(each));
    return all;
  }
  std::vector<float> shares(const ZooRecipe &r, std::uint64_t seed, long run) const override {
    return shares_of(r, seed, run, sizes_.classes);
  }
  std::vector<float> summary(const ZooRecipe &r, std::uint64_t seed, long run, int batches,
                             const Dataset &data) const override {
    const Characters &train = data.text.train;
    const auto shares = shares_of(r, seed, run, sizes_.classes);
    std::vector<float> often(data.text.alphabet.size());
    for (int k = 0; k < batches; ++k) {
      const WindowOrder order{1, r.batch, context_, seed, std::uint32_t(run), std::uint64_t(r.steps + k)};
      for (int b = 0; b < r.batch; ++b) {
        const auto *at = train.codes.data() + order.place(0, b, train.begins.data(), shares.data(), sizes_.classes);
        for (int i = 0; i < context_; ++i)
          often[at[i]] += 1 / float(batches * r.batch * context_);
      }
    }
    return often;
  }

private:
  int context_;
  Tensor<std::uint8_t> codes_;   // of all classes
  Tensor<std::uint32_t> begins_; // [classes + 1]
};

class TextLoss : public BatchLoss {
public:
  TextLoss(const NetworkShape &shape, const ZooRecipe &recipe)
      : context_(context_of(shape)), characters_(alphabet_of(shape)), recipe_(recipe) {}
  void plan(MemoryPlan &plan, int networks, int batch) override {
    batch_ = batch;
    const auto reserve = [&]<class T>(T, const char *name) {
      return plan.reserve<T>(name, MemoryClass::activations, {networks, batch, context_}, "zoo.wave, zoo.batch");
    };
    x_ = reserve(float(), "zoo.x"), row_loss_ = reserve(float(), "zoo.row_loss");
    next_ = reserve(std::uint8_t(), "zoo.next");
    share_ = plan.reserve<float>("zoo.shares", MemoryClass::activations, {networks, 256});
  }
  void plan_done(MemoryPlan &plan) override { plan.release(x_, row_loss_, next_, share_); }
  void compute(Stream &s, LayeredNetworks<float> &networks, const TrainingRuns<float> &runs, const Examples &examples,
               float *gradient, long step) const override {
    std::vector<float> shares;
    for (int i = 0; i < runs.networks; ++i) {
      const auto of = shares_of(recipe_, runs.seed, long(runs.first_run) + i, examples.text.classes);
      shares.insert(shares.end(), of.begin(), of.end());
    }
    copy(s, share_, shares.data(), shares.size() * sizeof(float));
    gather_windows<float>(s, x_, next_, examples.text, share_,
                          {runs.networks, batch_, context_, runs.seed, runs.first_run, std::uint64_t(step)});
    const int rows = batch_ * context_, n = runs.networks;
    float *scores = networks.forward(s, runs.theta, x_);
    softmax_cross_entropy<float>(s, row_loss_, scores, scores, next_, {n * rows, characters_, n * rows, 0, 1.0 / rows});
    fill_zero(s, runs.loss, std::size_t(n) * sizeof(float));
    row_sum<float>(s, runs.loss, row_loss_, n, std::size_t(rows), 1.0 / rows);
    networks.backward(s, runs.theta, gradient, scores, x_);
  }

private:
  int context_, characters_, batch_ = 0;
  ZooRecipe recipe_;
  Tensor<float> x_, row_loss_, share_; // [networks, batch, context] twice, [networks, classes]
  Tensor<std::uint8_t> next_;
};

class Text : public Learning {
public:
  const char *name() const override { return "text"; }
  void check(const ZooRecipe &r) const override {
    if (r.start == StartKind::base)
      throw InputError("zoo.start: found base, expected own, shared or (with network.subset) trunk for text");
    if (r.stop_psnr > 0 || r.low_rank > 0)
      throw InputError("zoo.stop_psnr or zoo.low_rank: found one of them, expected none: they are for fields; "
                       "network.low_rank is for others");
    for (const auto &[key, choice] :
         {std::pair{"zoo.label_smoothing", &r.label_smoothing}, {"zoo.label_noise", &r.label_noise}})
      if (!choice->is_fixed() || choice->values[0] != 0)
        throw InputError(key, ": found a value, expected 0 for text");
    if (r.augment.any())
      throw InputError("zoo.crop, zoo.flip, zoo.cutout or zoo.mixup: found one of them, expected none for text");
  }
  std::vector<ScoredPart> scored_on(const DatasetSizes &sizes) const override {
    const std::size_t windows = std::size_t(sizes.classes) * std::size_t(scored_windows);
    return {{"test", windows, "test_loss", "test_bits"}, {"validation", windows, "validation_loss", "validation_bits"}};
  }
  std::vector<Column> columns(const DatasetSizes &sizes) const override {
    std::vector<Column> all;
    for (const std::string &each : sizes.names)
      all.push_back({share_column(each), Dtype::f32});
    return all;
  }
  std::unique_ptr<BatchLoss> batch_loss(const NetworkShape &shape, const ZooRecipe &recipe) const override {
    return std::make_unique<TextLoss>(shape, recipe);
  }
  std::unique_ptr<TrainingPart> part(const NetworkShape &shape, const DatasetSizes &sizes, std::size_t) const override {
    return std::make_unique<TextPart>(shape, sizes);
  }
};

} // namespace

std::unique_ptr<const Learning> make_text() { return std::make_unique<Text>(); }

} // namespace theta
